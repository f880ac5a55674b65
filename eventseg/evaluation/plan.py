"""Plan of an evaluation: network, data, protocol and samples, checked before anything is scored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from eventseg.device import choose_device
from eventseg.errors import TrainingError
from eventseg.evaluation.baselines import teacher_part
from eventseg.evaluation.evaluate import Protocol, scored_parts
from eventseg.evaluation.request import (
    EvaluationRequest,
    evaluation_key,
    folder_name,
    protocol_of,
    split_word,
    windows_of,
)
from eventseg.evaluation.scored_network import NetworkFile, find_network, load_scored
from eventseg.evaluation.scored_split import split_source
from eventseg.files.whole import check_folder
from eventseg.labels.maps import ClassTable, load_class_table
from eventseg.networks import TrainedNetwork
from eventseg.sources.selection import merge_into
from eventseg.sources.source import Source, open_source
from eventseg.training.layout import BEST


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class EvaluationPlan:
    """Work of an evaluation, checked.

    Parameters
    ----------
    request : EvaluationRequest
    file : NetworkFile
    trained : TrainedNetwork
    data : Path
        Data set folder or image folder.
    labels : str
        Label set that is scored against.
    source : Source
        The data in the splits that are scored.
    protocol : Protocol
    classes : ClassTable
        Classes that are scored.
    device : torch.device
    windows : tuple of str
        Windows that were asked for, or those trained on.
    parts : mapping of str to int64 (N,)
        Samples that are scored at each window; of a network that sees no events one window.
    folder : Path
        Folder of the report.
    key : str
        See :func:`eventseg.evaluation.request.evaluation_key`; with a split file the word for its
        splits follows, so that parts of one name are not taken for each other.
    notes : tuple of str
        Remarks on the split.
    teacher : Source, optional
        The data with the label set of the frame teacher, where one is scored.
    """

    request: EvaluationRequest
    file: NetworkFile
    trained: TrainedNetwork
    data: Path
    labels: str
    source: Source
    protocol: Protocol
    classes: ClassTable
    device: torch.device
    windows: tuple[str, ...]
    parts: Mapping[str, NDArray[np.int64]]
    folder: Path
    key: str
    notes: tuple[str, ...]
    teacher: Source | None = None

    @property
    def uses_events(self) -> bool:
        """Whether the network sees events."""
        return self.trained.inputs.kind in ("events", "both")


@contextmanager
def open_evaluation(
    run: str | Path, data: str | Path | None, *, request: EvaluationRequest, out: str | Path | None
) -> Iterator[EvaluationPlan]:
    """Open network and data of an evaluation; whatever can be refused is refused here.

    Parameters and errors as of :func:`eventseg.evaluation.evaluate_run`.
    """
    file = find_network(run, checkpoint=request.checkpoint)
    about_run, config = file.run, file.config
    if data is None:
        if about_run is None:
            raise TrainingError(f"{run} lies in no run folder: name the data to score it on")
        data = about_run["data"]
    labels = request.labels or (config.labels.set if config else "truth")
    protocol, device = protocol_of(request), choose_device(request.device)
    source, notes = split_source(
        open_source(data, label_set=labels), split_file=request.split_file, run_split=file.split
    )
    with ExitStack() as opened:
        opened.callback(source.close)
        trained = network_of(file, request, data_classes=source.classes)
        table = load_class_table(request.classes) if request.classes else trained.classes
        uses_events = trained.inputs.kind in ("events", "both")
        windows = request.windows or windows_of(trained)
        # The folder of a published checkpoint names its file already.
        checkpoint = BEST if file.named is not None else file.checkpoint.name
        key = evaluation_key(request, labels=labels, checkpoint=checkpoint)
        name = folder_name(
            request,
            key,
            source=source,
            trained=trained,
            classes=table,
            windows=windows,
            own=about_run["inputs"] if about_run else None,
        )
        folder = file.folder / name if out is None else Path(out)
        check_folder(folder)
        merge_into(source.classes, table)
        parts = scored_parts(
            trained, source, windows=windows if uses_events else windows[:1], protocol=protocol
        )
        teacher: Source | None = None
        if request.teacher:
            teacher = opened.enter_context(closing(open_source(data, label_set=request.teacher)))
            merge_into(teacher.classes, table)
            window = windows[0] if uses_events else None
            teacher_part(source, teacher, protocol=protocol, window=window)
        yield EvaluationPlan(
            request=request,
            file=file,
            trained=trained,
            data=Path(data),
            labels=labels,
            source=source,
            protocol=protocol,
            classes=table,
            device=device,
            windows=tuple(windows),
            parts=parts,
            folder=folder,
            key=f"{key}-{split_word(source)}" if request.split_file else key,
            notes=tuple(notes),
            teacher=teacher,
        )


def network_of(
    file: NetworkFile, request: EvaluationRequest, *, data_classes: ClassTable
) -> TrainedNetwork:
    """Load the network of a request, with the input size that it asks for.

    Parameters
    ----------
    file : NetworkFile
    request : EvaluationRequest
    data_classes : ClassTable
        Classes of the data; see :func:`eventseg.evaluation.scored_network.load_scored`.
    """
    trained = load_scored(
        file,
        data_classes=data_classes,
        network_classes=(
            load_class_table(request.network_classes) if request.network_classes else None
        ),
        unsafe_pickle=request.unsafe_pickle,
    )
    if request.input_size is None:
        return trained
    shown = (request.input_size.height, request.input_size.width)
    return replace(trained, inputs=replace(trained.inputs, size=shown))
