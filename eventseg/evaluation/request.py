"""What to score and how, and the folder that the report of it lies in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from eventseg.errors import TrainingError
from eventseg.evaluation.evaluate import Protocol, Setting
from eventseg.events import SensorSize
from eventseg.labels.maps import ClassTable, table_of
from eventseg.networks import TrainedNetwork
from eventseg.prediction.predictor import Passes
from eventseg.sources.source import Source
from eventseg.training.run_folder import BEST
from eventseg.windows import format_duration, parse_duration, to_us

FOLDER = "evaluation-"
"""What the names of these folders begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to score and how; what is left out follows from the run and the protocol.

    Parameters
    ----------
    windows : tuple of str
        By default those the network was trained on.
    labels : str, optional
        Label set; by default the one the run learnt.
    classes : str, optional
        Class table that truth and prediction are merged into.
    protocol : {"clean", "paper"}
    split : str
    scales : tuple of float, optional
    flip : bool, optional
    size : SensorSize, optional
        By default those of the protocol.
    teacher : str, optional
        Label set to score as the frame teacher.
    baselines : bool
    checkpoint : str
        File in the run folder.
    device : str
    batch_size, workers : int
    """

    windows: tuple[str, ...] = ()
    labels: str | None = None
    classes: str | None = None
    protocol: Protocol = "clean"
    split: str = "test"
    scales: tuple[float, ...] | None = None
    flip: bool | None = None
    size: SensorSize | None = None
    teacher: str | None = None
    baselines: bool = True
    checkpoint: str = BEST
    device: str = "auto"
    batch_size: int = 4
    workers: int = 0

    def setting(self) -> Setting:
        """Return the protocol's setting with what was asked otherwise."""
        base = Setting.of(self.protocol, split=self.split)
        return Setting(
            self.protocol,
            self.split,
            Passes(
                self.scales or base.passes.scales,
                base.passes.flip if self.flip is None else self.flip,
            ),
            base.size if self.size is None else (self.size.height, self.size.width),
        )


def request_of(settings: Mapping[str, Any]) -> Request:
    """Return the request of some settings by name.

    Parameters
    ----------
    settings : mapping
        Fields of :class:`Request`; ``window`` or ``windows`` may be a text such as ``10ms,50ms``,
        microseconds, or a sequence of those.

    Raises
    ------
    TrainingError
        A name that is no field.
    """
    values = dict(settings)
    known = [field.name for field in fields(Request)]
    if "window" in values:
        values["windows"] = values.pop("window")
    for name in values:
        if name not in known:
            raise TrainingError(
                f"unknown setting {name!r} of an evaluation; known are window, {', '.join(known)}"
            )
    lengths = values.get("windows", ())
    if isinstance(lengths, str):
        lengths = lengths.split(",")
    if isinstance(lengths, int):
        lengths = (lengths,)
    values["windows"] = tuple(format_duration(to_us(length)) for length in lengths)
    return Request(**values)


def words_of(request: Request, *, labels: str, checkpoint: str) -> str:
    """Return how a network is scored, in one word: ``LABELS-SPLIT-PROTOCOL`` and what differs.

    What differs from what run and protocol imply: scales, flip, size, checkpoint.

    Parameters
    ----------
    request : Request
    labels : str
        Label set.
    checkpoint : str
        Name of its file.
    """
    setting, plain = request.setting(), Setting.of(request.protocol, split=request.split)
    words = [labels, setting.split, setting.protocol]
    if setting.passes.scales != plain.passes.scales:
        words.append("scales" + "+".join(f"{scale:g}" for scale in setting.passes.scales))
    if setting.passes.flip != plain.passes.flip:
        words.append("flip" if setting.passes.flip else "noflip")
    if setting.size is not None and setting.size != plain.size:
        words.append(f"{setting.size[1]}x{setting.size[0]}")
    if checkpoint != BEST:
        words.append(checkpoint.removesuffix(".pt"))
    return "-".join(words)


def folder_name(
    request: Request,
    how: str,
    *,
    source: Source,
    trained: TrainedNetwork,
    classes: ClassTable,
    windows: Sequence[str],
    own: Mapping[str, str] | None,
) -> str:
    """Return the name of the folder of a request's report: one of its own for each request.

    ``evaluation-DATA-HOW``, and after it only what differs from the usual: classes and windows
    that the network was not trained on, no baselines, a teacher.

    Parameters
    ----------
    request : Request
    how : str
        See :func:`words_of`.
    source : Source
        Data that is scored. Recordings that the run has not seen are told by a digest, since
        folders of one name may hold other data.
    trained : TrainedNetwork
    classes : ClassTable
        Classes that are scored.
    windows : sequence of str
        Windows that are scored.
    own : mapping of str to str, optional
        Digests of what the run was trained on, where that is known.
    """
    recorded = recordings_of(source.digests)
    words = [source.path.resolve().name, how]
    if own is None or recordings_of(own) != recorded:
        words[0] += f"@{short_digest(recorded)}"
    if classes.names != trained.classes.names:
        words.append(classes_word(classes.names))
    lengths_us = [parse_duration(window) for window in windows]
    sees_events = trained.inputs.kind in ("events", "both")
    if sees_events and lengths_us != [parse_duration(window) for window in windows_of(trained)]:
        words.append("+".join(map(format_duration, lengths_us)))
    if not request.baselines:
        words.append("nobaselines")
    if request.teacher:
        words.append(f"teacher-{request.teacher}")
    return FOLDER + "-".join(words)


def windows_of(trained: TrainedNetwork) -> tuple[str, ...]:
    """Return the windows that a network was trained on; 50 ms where its file does not say."""
    return trained.inputs.windows or ("50ms",)


def classes_word(names: Sequence[str]) -> str:
    """Return a word for classes: the name of their table, or a digest where it has none."""
    return table_of(names).name or f"{len(names)}classes@{short_digest(list(names))}"


def recordings_of(digests: Mapping[str, str]) -> dict[str, str]:
    """Return the digests of a source's recordings or files, without labels and settings."""
    return {
        name: digest
        for name, digest in digests.items()
        if name != "settings" and not name.startswith("labels ") and not name.endswith(" truth")
    }


def short_digest(value: object) -> str:
    """Return six signs that stand for a value that JSON can hold."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:6]
