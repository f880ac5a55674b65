"""Counts of consecutive scored samples, which any process makes and one process joins in order."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from eventseg.errors import DatasetError
from eventseg.files.whole import write_whole
from eventseg.labels.maps import IGNORED, ClassTable
from eventseg.metrics.instances import InstanceCounts, instance_counts
from eventseg.networks.resizing import ResizeRule, resize_nearest
from eventseg.prediction.scored import ScoredBatch
from eventseg.sources.source import Source

FAST = 1
"""Level of zlib for predicted label maps, which are large areas of few values."""

InstanceColumns = ("instances", "pixels", "found", "false", "images", "image_pixels")
"""Fields of :class:`InstanceCounts`, each a column of the file of a part."""


@dataclass(frozen=True, slots=True)
class PredictedMaps:
    """Predicted label maps: their shape (N, H, W), and their bytes in zlib's format."""

    shape: tuple[int, ...]
    compressed: bytes

    @classmethod
    def of(cls, labels: NDArray[np.uint8]) -> PredictedMaps:
        """Return label maps, uint8 (N, H, W), compressed."""
        return cls(labels.shape, zlib.compress(np.ascontiguousarray(labels).tobytes(), FAST))

    def array(self) -> NDArray[np.uint8]:
        """Return the label maps, uint8 (N, H, W)."""
        size = int(np.prod(self.shape))
        raw = zlib.decompressobj().decompress(self.compressed, size)
        return np.frombuffer(raw, np.uint8).reshape(self.shape)


@dataclass(frozen=True, eq=False, slots=True)
class ScoredPart:
    """Counts of consecutive scored samples.

    Parameters
    ----------
    indices : tuple of int (N,)
        Samples, as the source counts them.
    matrices : int64 (N, K, K)
        Confusion matrix of each sample; rows are the truth.
    silent, ignored : int
        Labelled pixels without a prediction, and pixels that the labels ignore.
    instances : tuple of InstanceCounts
        Of each sample that has instance ids, in order.
    maps : tuple of PredictedMaps
        Predictions of the samples, a batch each; empty where nothing needs them.
    """

    indices: tuple[int, ...]
    matrices: NDArray[np.int64]
    silent: int
    ignored: int
    instances: tuple[InstanceCounts, ...] = ()
    maps: tuple[PredictedMaps, ...] = ()

    def write(self, path: Path) -> None:
        """Write the part as an NPZ file of plain arrays."""
        columns = {
            f"instances_{name}": np.array([getattr(one, name) for one in self.instances])
            for name in InstanceColumns
        }
        maps = {
            f"map_{k}": np.frombuffer(one.compressed, np.uint8) for k, one in enumerate(self.maps)
        }
        arrays: dict[str, Any] = {
            "indices": np.array(self.indices, np.int64),
            "matrices": self.matrices,
            "pixels": np.array([self.silent, self.ignored], np.int64),
            "shapes": np.array([one.shape for one in self.maps], np.int64).reshape(-1, 3),
            **columns,
            **maps,
        }
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)
        write_whole(path, lambda file: file.write(content.getbuffer()))

    @classmethod
    def read(cls, path: Path) -> ScoredPart:
        """Read a part.

        Raises
        ------
        DatasetError
            A file that is missing, damaged or of something else.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                indices = tuple(arrays["indices"].tolist())
                matrices = arrays["matrices"]
                silent, ignored = arrays["pixels"].tolist()
                shapes = [tuple(shape) for shape in arrays["shapes"].tolist()]
                columns = [arrays[f"instances_{name}"] for name in InstanceColumns]
                maps = tuple(
                    PredictedMaps(shape, arrays[f"map_{k}"].tobytes())
                    for k, shape in enumerate(shapes)
                )
            if matrices.dtype != np.int64 or matrices.ndim != 3 or len(matrices) != len(indices):
                raise ValueError(f"matrices are {matrices.dtype} {matrices.shape}")
        except (OSError, KeyError, ValueError, EOFError, BadZipFile, zlib.error) as error:
            raise DatasetError(
                f"{path} holds no counts of a shard ({error}); run that shard again"
            ) from error
        instances = tuple(
            InstanceCounts(number, size, found, false, int(images), int(pixels))
            for number, size, found, false, images, pixels in zip(*columns, strict=True)
        )
        return cls(indices, matrices, silent, ignored, instances, maps)


def part_of_batch(
    batch: ScoredBatch,
    source: Source,
    *,
    classes: ClassTable,
    resize: ResizeRule,
    maps: bool = False,
) -> ScoredPart:
    """Return the counts of a batch.

    Parameters
    ----------
    batch : ScoredBatch
    source : Source
        Has the instance ids.
    classes : ClassTable
    resize : ResizeRule
        Rule by which ids are brought to the size of the truth.
    maps : bool
        Whether predictions are kept.
    """
    instances = []
    prediction = batch.prediction
    for i, truth, labels in zip(batch.indices, batch.truth, prediction, strict=True):
        ids = source.instances(i)
        if ids is not None:
            pair = truth.cpu().numpy(), labels.cpu().numpy()
            instances.append(sample_instances(ids, *pair, classes=len(classes), resize=resize))
    kept = (PredictedMaps.of(prediction.to(torch.uint8).cpu().numpy()),) if maps else ()
    return ScoredPart(
        batch.indices,
        np.array(batch.confusions(), np.int64),
        batch.silent_pixels,
        # Pixels without a prediction are ignored in the batch's truth only.
        int((batch.truth == IGNORED).sum()) - batch.silent_pixels,
        tuple(instances),
        kept,
    )


def sample_instances(
    ids: NDArray[np.int32],
    truth: NDArray[np.integer[Any]],
    prediction: NDArray[np.integer[Any]],
    *,
    classes: int,
    resize: ResizeRule,
) -> InstanceCounts:
    """Return the counts of the iIoU of one sample; its ids are brought to the size of the truth."""
    size = (truth.shape[0], truth.shape[1])
    ids = resize_nearest(ids, size, rule=resize)
    return instance_counts(truth, ids, prediction, classes=classes)


def joined(parts: Iterable[ScoredPart], *, classes: int) -> ScoredPart:
    """Return the counts of parts that follow each other."""
    listed = list(parts)
    return ScoredPart(
        tuple(i for part in listed for i in part.indices),
        np.concatenate([np.zeros((0, classes, classes), np.int64), *(p.matrices for p in listed)]),
        sum(part.silent for part in listed),
        sum(part.ignored for part in listed),
        tuple(one for part in listed for one in part.instances),
        tuple(one for part in listed for one in part.maps),
    )


def predicted_maps(part: ScoredPart) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield index and predicted label map, uint8 (H, W), of each sample of a part."""
    indices = iter(part.indices)
    for maps in part.maps:
        for labels in maps.array():
            yield next(indices), labels
