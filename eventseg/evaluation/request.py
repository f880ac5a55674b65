"""Requests by name, and the folders of their reports."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from eventseg.errors import TrainingError, known_names
from eventseg.evaluation.evaluate import Protocol
from eventseg.evaluation.settings import EvaluationRequest as EvaluationRequest
from eventseg.labels.maps import ClassTable, table_of
from eventseg.networks import TrainedNetwork
from eventseg.prediction.predictor import TestTimeAugmentation
from eventseg.sources.source import Source
from eventseg.training.layout import BEST
from eventseg.windows import format_duration, parse_duration, to_us

FOLDER = "evaluation-"
"""What the names of these folders begin with."""


def request_of(settings: Mapping[str, Any]) -> EvaluationRequest:
    """Return the request of some settings by name.

    Parameters
    ----------
    settings : mapping
        Fields of :class:`EvaluationRequest`; ``window`` or ``windows`` may be a text such as
        ``10ms,50ms``, microseconds, or a sequence of those; ``by`` and ``stress`` may be
        texts such as ``speed,turn``, ``boundary`` one width.

    Raises
    ------
    TrainingError
        A name that is no field.
    """
    values = dict(settings)
    known = [field.name for field in fields(EvaluationRequest)]
    if "window" in values:
        values["windows"] = values.pop("window")
    for name in values:
        if name not in known:
            listed = "eventseg evaluate --help lists all"
            raise TrainingError(
                f"unknown setting {name!r} of an evaluation"
                f"{known_names(name, ['window', *known], listed=listed)}"
            )
    lengths = values.get("windows", ())
    if isinstance(lengths, str):
        lengths = lengths.split(",")
    if isinstance(lengths, int):
        lengths = (lengths,)
    values["windows"] = tuple(format_duration(to_us(length)) for length in lengths)
    boundary = values.get("boundary", ())
    for name in ("by", "stress"):
        listed = values.get(name, ())
        values[name] = tuple(listed.split(",") if isinstance(listed, str) else listed)
    values["split_file"] = str(values.get("split_file", ""))
    values["boundary"] = (boundary,) if isinstance(boundary, int) else tuple(boundary)
    return EvaluationRequest(**values)


def protocol_of(request: EvaluationRequest) -> Protocol:
    """Return the protocol that a request names, with the settings that it changes."""
    base = Protocol.named(request.protocol, split=request.split)
    return Protocol(
        request.protocol,
        request.split,
        TestTimeAugmentation(
            request.scales or base.test_time.scales,
            base.test_time.flip if request.flip is None else request.flip,
            base.test_time.resize,
        ),
        base.size if request.size is None else (request.size.height, request.size.width),
        resize=base.resize,
    )


def evaluation_key(request: EvaluationRequest, *, labels: str, checkpoint: str) -> str:
    """Return the key of an evaluation in the splits of its data, used in folder names.

    ``LABELS-SPLIT-PROTOCOL`` plus the scales, flip, sizes and checkpoint that differ from those
    that run and protocol imply.

    Parameters
    ----------
    request : EvaluationRequest
    labels : str
        Label set.
    checkpoint : str
        Name of its file.
    """
    protocol, plain = (
        protocol_of(request),
        Protocol.named(request.protocol, split=request.split),
    )
    parts = [labels, protocol.split, protocol.name]
    if protocol.test_time.scales != plain.test_time.scales:
        parts.append("scales" + "+".join(f"{scale:g}" for scale in protocol.test_time.scales))
    if protocol.test_time.flip != plain.test_time.flip:
        parts.append("flip" if protocol.test_time.flip else "noflip")
    if protocol.size is not None and protocol.size != plain.size:
        parts.append(f"{protocol.size[1]}x{protocol.size[0]}")
    if request.input_size is not None:
        parts.append(f"input{request.input_size}")
    if checkpoint != BEST:
        parts.append(checkpoint.removesuffix(".pt"))
    return "-".join(parts)


def folder_name(
    request: EvaluationRequest,
    key: str,
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
    request : EvaluationRequest
    key : str
        See :func:`evaluation_key`.
    source : Source
        Data that is scored. Recordings that the run has not seen add a digest, since
        folders of one name may hold other data.
    trained : TrainedNetwork
    classes : ClassTable
        Classes that are scored.
    windows : sequence of str
        Windows that are scored.
    own : mapping of str to str, optional
        Digests of the training data, where they are known.
    """
    recorded = recordings_of(source.digests)
    parts = [source.path.resolve().name, key]
    if own is None or recordings_of(own) != recorded:
        parts[0] += f"@{short_digest(recorded)}"
    if classes.names != trained.classes.names:
        parts.append(classes_word(classes.names))
    lengths_us = [parse_duration(window) for window in windows]
    sees_events = trained.inputs.kind in ("events", "both")
    if sees_events and lengths_us != [parse_duration(window) for window in windows_of(trained)]:
        parts.append("+".join(map(format_duration, lengths_us)))
    if not request.baselines:
        parts.append("nobaselines")
    if request.split_file:
        parts.append(split_word(source))
    if request.adabn:
        parts.append("adabn")
    if request.teacher:
        parts.append(f"teacher-{request.teacher}")
    return FOLDER + "-".join(parts)


def windows_of(trained: TrainedNetwork) -> tuple[str, ...]:
    """Return the windows that a network was trained on; 50 ms where its file does not say."""
    return trained.inputs.windows or ("50ms",)


def split_word(source: Source) -> str:
    """Return the word for the splits of a split file, in names of folders and evaluations."""
    return f"split@{short_digest(list(source.splits))}"


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
