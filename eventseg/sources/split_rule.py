"""Settings of a split of one's own: a file, named recordings, folds, whole recordings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from eventseg.errors import TrainingError


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRule:
    """Split of the samples, in place of that of the data.

    Parameters
    ----------
    file : str
        Split file: CSV with the columns id or recording, and split, which is train, val, test, gap
        or other. It names every sample or recording of the data.
    val : tuple of str
        Recordings that validate; all others but those of test train completely.
    test : tuple of str
        Recordings that test, besides the test part of the data.
    fold : str
        Fold I/K such as 1/5: the recordings are dealt into K groups of about as many samples, the
        same for every network and seed, and group I tests.
    hold_back : {"stretches", "recordings"}
        Origin of the validation part where no recordings are named: the ends of the training
        recordings, as the data has them (``stretches``), or whole ``recordings``: the shortest
        ones, until a tenth of the training samples validates.

    Raises
    ------
    TrainingError
        A file beside another rule, test recordings beside a fold, or a fold that is none.
    """

    file: str = ""
    val: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    fold: str = ""
    hold_back: Literal["stretches", "recordings"] = "stretches"

    def __post_init__(self) -> None:
        whole = self.hold_back == "recordings"
        others = {"val": self.val, "test": self.test, "fold": self.fold, "hold_back": whole}
        beside = [name for name, value in others.items() if value]
        if self.file and beside:
            raise TrainingError(
                f"a split file says all of the split: leave {', '.join(beside)} out, or the file"
            )
        if self.val and whole:
            raise TrainingError("named recordings validate: leave hold_back out, or val")
        if self.fold and self.test:
            raise TrainingError("a fold names the recordings that test: leave test out, or fold")
        if both := sorted(set(self.val) & set(self.test)):
            raise TrainingError(f"{', '.join(both)} cannot both validate and test")
        if self.fold:
            self.place()

    @property
    def is_of_data(self) -> bool:
        """Whether the split is that of the data."""
        return self == SplitRule()

    def place(self) -> tuple[int, int]:
        """Return the group that tests, from 0, and the number of groups.

        Raises
        ------
        TrainingError
            The fold is not I/K with 1 <= I <= K and K of 2 or more.
        """
        group, slash, groups = self.fold.partition("/")
        if slash and group.isdecimal() and groups.isdecimal():
            number, count = int(group), int(groups)
            if count >= 2 and 1 <= number <= count:
                return number - 1, count
        raise TrainingError(
            f"fold {self.fold!r} must be I/K with I from 1 to K and K of 2 or more, such as 1/5"
        )
