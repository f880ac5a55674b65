"""Warnings of a report: figures of data that the network has seen, or of a teacher's labels."""

from __future__ import annotations

from eventseg.dataset.labelled import is_imported
from eventseg.dataset.truth import TRUTH
from eventseg.evaluation.evaluate import Protocol
from eventseg.sources.image_folders import Folder
from eventseg.sources.leagues.league import League
from eventseg.sources.recorded import EventSource
from eventseg.sources.source import Source
from eventseg.training.config.config import TrainConfig
from eventseg.training.parts import published_parts


def warning_of(config: TrainConfig | None, source: Source, protocol: Protocol, labels: str) -> str:
    """Return warnings about figures that are optimistic or misleading, empty where none is.

    Parameters
    ----------
    config : TrainConfig, optional
        Settings of the network's training, where they are known.
    source : Source
        Data that is scored.
    protocol : Protocol
    labels : str
        Label set that is scored against.
    """
    reasons = []
    if config is not None:
        if config.protocol == "paper" and protocol.split == "test":
            reasons.append(
                "The checkpoint was chosen by its score on the test part, as published: its "
                "figures are optimistic."
            )
        splits = source.published_splits if published_parts(config) else source.splits
        trained_on = {
            own for own, used in zip(source.splits, splits, strict=True) if used == "train"
        }
        # A share held back of the training part leaves the data's own part val unseen.
        chose = protocol.split == "val" and config.protocol == "clean"
        chose = chose and not config.validation_share
        if protocol.split in trained_on or chose:
            did = "was chosen by its score on" if chose else "was trained on"
            reasons.append(
                f"The network {did} the part {protocol.split}: its figures are optimistic where "
                "the data is the same."
            )
    if labels != TRUTH and not _imported(source, labels):
        reasons.append(
            f"The labels are those of the teacher {labels}: a score measures agreement with it, "
            "not with the world."
        )
    return " ".join(reasons)


def _imported(source: Source, labels: str) -> bool:
    """Return whether a label set was imported or comes with the data, not made by a teacher."""
    if isinstance(source, Folder):
        return source.imported is not None
    if isinstance(source, League):
        return labels in source.tables or source.imported is not None
    if not isinstance(source, EventSource):
        return False
    return is_imported(source.dataset.manifest.label_settings.get(labels, {}))
