"""A data set that is open for reading: samples, tensors stored or encoded live, frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from eventseg import html
from eventseg.dataset.layout import (
    Tensor,
    confidence_file,
    frame_file,
    label_file,
    read_tensor,
    tensor_file,
)
from eventseg.dataset.manifest import Manifest
from eventseg.dataset.sample import DatasetSample, TorchSamples, torch_samples
from eventseg.dataset.sample_windows import (
    check_samples_have,
    covered_shares,
    window_around,
    window_named,
)
from eventseg.dataset.table import SampleTable
from eventseg.encoding.normalise import normalise_raw
from eventseg.encoding.settings import Normalisation
from eventseg.encoding.tensors import encode
from eventseg.errors import DatasetError, LabelError
from eventseg.events import EventStream
from eventseg.files.digests import digest_of
from eventseg.files.texts import counted
from eventseg.filters.filtered import filtered
from eventseg.images import read_image, read_picture
from eventseg.labels.files import read_labels
from eventseg.recordings import Recording, open_recording
from eventseg.windows import to_us

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, slots=True)
class EventDataset:
    """Samples of a data set folder, by index.

    Opened by :func:`open_dataset`. A context manager; it can be pickled and used after a fork
    as far as recordings can.

    Parameters
    ----------
    path : Path
        The folder.
    manifest : Manifest
        Settings, recordings and label sets of the data set.
    samples : SampleTable
        One row a sample: ids, recordings, times, splits, events and covered shares.
    """

    path: Path
    manifest: Manifest
    samples: SampleTable
    _recordings: dict[str, Recording] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.samples)

    def __getitem__(self, i: int) -> DatasetSample:
        """Return a sample; a negative index counts from the end.

        Raises
        ------
        IndexError
            No such sample.
        TypeError
            No integer, such as a slice.
        """
        if not -len(self) <= index(i) < len(self):
            raise IndexError(f"sample {i} of {len(self)}: give 0 to {len(self) - 1}")
        return DatasetSample(self, i % len(self))

    def plot(self, i: int, *, window: str | int | None = None) -> Figure:
        """Return a figure of a sample; see :meth:`DatasetSample.plot`."""
        return self[i].plot(window)

    def torch(
        self,
        *,
        window: str | int | None = None,
        labels: str | None = "truth",
        split: str | Sequence[str] | None = None,
        min_covered: float = 1.0,
    ) -> TorchSamples:
        """Return samples as dictionaries of tensors, which a plain torch ``DataLoader`` takes.

        Parameters
        ----------
        window : str or int, optional
            Window of the events; may be left out where there is only one.
        labels : str, optional
            Label set; None for samples without labels.
        split : str or sequence of str, optional
            Splits to keep, such as ``train``; by default all.
        min_covered : float
            Least share of its window that a sample's recording must cover.

        Returns
        -------
        TorchSamples
            Items with ``x`` float32 (C, H, W), ``labels`` int64 (H, W) with 255 ignored, and
            ``index``, the index in this data set.

        Raises
        ------
        DatasetError
            No such window, label set or samples.

        Examples
        --------
        >>> items = data.torch(window="50ms", labels="truth", split="train")
        >>> items[0]["x"].shape, items[0]["labels"].shape
        (torch.Size([6, 48, 64]), torch.Size([48, 64]))
        """
        return torch_samples(
            self, window=window, labels=labels, split=split, min_covered=min_covered
        )

    def __repr__(self) -> str:
        recordings, labels = len(self.manifest.recordings), ", ".join(self.manifest.labels)
        return (
            f"EventDataset({str(self.path)!r}, {counted(len(self), 'sample')} of {recordings} "
            f"recording{'s' * (recordings != 1)}, windows {', '.join(self.windows)}, "
            f"labels {labels or 'none'})"
        )

    def _repr_html_(self) -> str:
        settings, splits = self.manifest.settings, Counter(self.samples.split)
        rows = [
            ("samples", f"{len(self):,}"),
            ("splits", ", ".join(f"{name} {count:,}" for name, count in sorted(splits.items()))),
            ("recordings", ", ".join(entry.name for entry in self.manifest.recordings)),
            ("windows", ", ".join(self.windows)),
            ("anchor", str(settings.anchor)),
            ("tensors", f"{settings.encoding.representation}, {settings.encoding.shape}"),
            ("label sets", ", ".join(self.manifest.labels) or "none"),
        ]
        return html.table(("data set", str(self.path)), rows, words=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the recordings that live encoding has opened."""
        for recording in self._recordings.values():
            recording.close()
        self._recordings.clear()

    @property
    def ids(self) -> tuple[str, ...]:
        """Sample ids, by which tensors, frames and labels join."""
        return self.samples.ids

    @property
    def windows(self) -> tuple[str, ...]:
        """Names of the windows that samples have, such as ``50ms``."""
        return self.manifest.settings.windows

    def window_name(self, window: str | int | None = None) -> str:
        """Return the name of a window that is given as a name, a duration or microseconds.

        Raises
        ------
        DatasetError
            None is given where samples have several.
        WindowError
            Neither a duration nor whole microseconds.
        """
        return window_named(self.manifest.settings, window)

    def tensor(
        self, i: int, window: str | int | None = None, *, normalise: Normalisation | None = None
    ) -> Tensor:
        """Return the tensor of one window of a sample.

        Parameters
        ----------
        i : int
            Index of the sample.
        window : str or int, optional
            Length of the window, such as ``50ms`` or microseconds; may be left out where there is
            only one. A length that is not stored is encoded from the recording.
        normalise : {"evsegnet", "sqrt", "raw"}, optional
            Normalisation of the six channels; any needs a data set that was stored raw, or so. By
            default ``evsegnet`` for the six channels and ``raw`` for other representations.

        Returns
        -------
        float32 (C, H, W)
            Channels as the manifest names them, by default the six of
            :data:`eventseg.encoding.CHANNELS`; rows as the manifest's crop.

        Raises
        ------
        DatasetError
            No such window, a tensor or recording that is missing or has changed, or raw values
            asked of normalised ones.
        WindowError
            A normalisation asked of another representation than the six channels.
        """
        settings = self.manifest.settings
        stored, encoding = settings.encoding, settings.encoding.normalised(normalise)
        window = self.window_name(window)
        if settings.store == "none" or window not in self.windows:
            return self.encode_live(i, window, normalise=encoding.normalise)
        if stored.normalise not in ("raw", encoding.normalise):
            raise DatasetError(
                f"{self.path} holds {stored.normalise} tensors, which cannot be turned back to "
                f"{encoding.normalise}; encode with --normalise raw"
            )
        path = tensor_file(self.path, window=window, sample_id=self.ids[i], store=settings.store)
        tensor = read_tensor(path).astype(np.float32, copy=False)
        if encoding != stored:
            normalise_raw(tensor, normalise=encoding.normalise)
        return tensor

    def frame(self, i: int) -> NDArray[np.uint8]:
        """Return the frame of a sample at full size, uint8 (H, W).

        Raises
        ------
        DatasetError
            The sample has no frame, or its file is missing or damaged.
        """
        if self.samples.frame[i] < 0:
            raise DatasetError(f"sample {self.ids[i]} has no frame")
        return read_picture(frame_file(self.path, sample_id=self.ids[i]), colour=False)

    def labels(self, i: int, name: str = "truth") -> NDArray[np.uint8]:
        """Return the labels of a sample at full size, uint8 (H, W), 255 ignored.

        Parameters
        ----------
        i : int
            Index of the sample.
        name : str
            Name of the label set; ``manifest.labels`` holds its classes.

        Raises
        ------
        DatasetError
            The set has no labels of this sample, or their file is damaged.
        """
        path = label_file(self.path, labels=name, sample_id=self.ids[i])
        try:
            return read_labels(path, colours=self.manifest.labels.get(name))
        except LabelError as error:
            raise DatasetError(f"cannot read image {path}: {error}") from error

    def confidence(self, i: int, name: str) -> NDArray[np.uint8]:
        """Return how sure the labels of a sample are, uint8 (H, W), 255 times a probability.

        Also where a label was ignored for being doubtful. Parameters as :meth:`labels`.

        Raises
        ------
        DatasetError
            The set has no confidence of this sample, as truth has none, or its file is damaged.
        """
        return read_image(confidence_file(self.path, labels=name, sample_id=self.ids[i]))

    def encode_live(
        self, i: int, window: str | int, *, normalise: Normalisation | None = None
    ) -> Tensor:
        """Return the tensor of a window of any length, encoded from the recording.

        The same to the bit as a stored one. Parameters and errors as :meth:`tensor`.
        """
        t0_us, t1_us = self.window_of(i, window)
        made = encode(
            self.events_of(i, (t0_us, t1_us)),
            window=(t0_us, t1_us),
            encoding=self.manifest.settings.encoding.normalised(normalise),
        )
        return made.astype(np.float32, copy=False)

    def events_of(self, i: int, span_us: tuple[int, int]) -> EventStream:
        """Return the events of a span of a sample's recording that the data set's filters keep.

        The same whichever span they are asked for with; filters read a lead before it.

        Parameters
        ----------
        i : int
            Index of the sample.
        span_us : (int, int)
            Half-open span ``[t0_us, t1_us)``.

        Raises
        ------
        DatasetError
            The recording is gone or has changed.
        """
        recording = self.recording_of(i)
        filters, entry = self.manifest.settings.filters, self.manifest.recording(recording.name)
        return filtered(recording, filters, hot_pixels=entry.hot_pixels).events(*span_us)

    def recording_of(self, i: int) -> Recording:
        """Return the recording of a sample, opened once and then held open.

        Raises
        ------
        DatasetError
            It is gone or has changed.
        """
        return self._recording(self.samples.recording[i])

    def window_of(self, i: int, window: str | int) -> tuple[int, int]:
        """Return the window ``[t0_us, t1_us)`` of any length of a sample.

        Raises
        ------
        DatasetError
            Samples of this anchor have no such window.
        """
        anchor = self.manifest.settings.anchor
        if anchor.kind != "count":
            window = self.window_name(window)
        check_samples_have(self.manifest.settings, window)
        return window_around(int(self.samples.t_us[i]), anchor, to_us(window))

    def covered(self, window: str | int) -> NDArray[np.float64]:
        """Return the share of each sample's window that its recording's events cover, (N,).

        Gaps of more than 100 ms between events do not count, whether the window is stored or not.

        Parameters
        ----------
        window : str or int
            Length of a window, stored or not, such as ``50ms`` or microseconds.

        Raises
        ------
        DatasetError
            Samples of this anchor have no such window; or one that is not stored, of a data set
            made before manifests had the gaps, whose recording is gone or has changed.
        """
        return covered_shares(
            self.samples,
            self.manifest,
            self.window_name(window),
            gaps_of=lambda name: self._recording(name).gaps,
        )

    def _recording(self, name: str) -> Recording:
        if name in self._recordings:
            return self._recordings[name]
        entry, settings = self.manifest.recording(name), self.manifest.settings
        path = entry.file_from(self.path)
        if not path.is_file():
            raise DatasetError(
                f"recording {name} is gone from {path}; put it back, or encode again with the "
                "same settings from where it is now"
            )
        if path.stat().st_size != entry.size_bytes or digest_of(path) != entry.sha256:
            raise DatasetError(f"recording {path} is not the file that {self.path} was made from")
        opened = open_recording(
            path,
            sensor=settings.sensor,
            rotate180=settings.rotate180,
            **settings.choices.arguments,
        )
        return self._recordings.setdefault(name, opened)
