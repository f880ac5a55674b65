"""Samples of a league as those of label sets: masks of its size or of its frames, by id or time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eventseg.dataset.truth import TRUTH
from eventseg.errors import LabelError
from eventseg.files.paths import composed
from eventseg.labels.maps import IGNORED, Labels
from eventseg.sources.leagues.league import League
from eventseg.sources.own_labels.labelled_data import SetsBeside, Timeline


class LeagueLabels(SetsBeside):
    """Samples of a league, whose masks are its own sets.

    Other sets lie in the folder that the league's settings name, by default ``label_sets/`` within
    the download. Their label maps have the size of the frames; rows below the masks are ignored.
    """

    def __init__(self, league: League) -> None:
        self.league = league
        self.path, self.root = league.path, league.settings.label_sets
        self.ids = league.ids
        self.size, self.owner = league.encoding.sensor, "frames are"
        self.classes, self.own = league.tables[TRUTH], league.tables
        numbers = [int(name.rpartition("_")[2]) for name in league.ids]
        self.timeline = Timeline(
            league.sequences,
            np.array(numbers, np.int64),
            league.t_us,
            lambda name: league.drives[name].limits_us()[0],
        )
        self._index_of = {composed(name): i for i, name in enumerate(league.ids)}

    def own_labels(self, i: int, name: str) -> Labels:
        """Return a mask."""
        return self.league.with_labels(name).labels(i)

    def whole(self, labels: Labels, path: Path) -> Labels:
        """Return labels at the size of the frames, also of a file at the size of the masks.

        Raises
        ------
        LabelError
            The file has neither size.
        """
        if labels.shape == tuple(self.league.size) and labels.shape != tuple(self.size):
            row0, row1 = self.league.encoding.rows
            padded = np.full(tuple(self.size), IGNORED, np.uint8)
            padded[row0:row1] = labels
            return padded
        if labels.shape != tuple(self.size):
            raise LabelError(
                f"labels {path} are {labels.shape[1]}x{labels.shape[0]}, {self.owner} {self.size} "
                f"and masks {self.league.size}; label maps have one of these sizes"
            )
        return labels

    def sample_of(self, file: Path) -> int | None:
        """Return the sample that a file is called like: its id, or a path such as ``dir1/0042``."""
        parts = [composed(part) for part in (*file.parts[:-1], file.stem)]
        for name in (parts[-1], "_".join(parts[-2:])):
            if name in self._index_of:
                return self._index_of[name]
        return None

    def check_name(self, name: str) -> None:
        """Refuse the names of the masks."""
        if name in self.own:
            raise LabelError(
                f"the set {name} of {self.path} is its own masks, which stay as they are; give "
                "another --set"
            )
