"""One shard of a job array: which part of the work it does, and the record that it leaves."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import tomli_w

from eventseg.errors import DatasetError, JobsError, OutputError
from eventseg.files.texts import read_toml
from eventseg.files.whole import write_whole

SHARDS = "shards"
"""Folder of the records of shards in an output that is on its way."""

MERGED = "shards.merged"
"""Name that the records take when they are merged, while they are removed."""

RECORD = "shard.toml"
"""Record of a shard, written last."""

SLURM = "slurm"
"""Word for the shard that the environment of a Slurm job array names."""

MOST_SHARDS = 100_000


@dataclass(frozen=True, slots=True)
class Shard:
    """Shard ``index`` of ``of``, from 1."""

    index: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.of <= MOST_SHARDS:
            raise JobsError(
                f"shard {self.index}/{self.of} must be I/N with 1 <= I <= N <= {MOST_SHARDS}"
            )

    def __str__(self) -> str:
        """Return ``2/5``."""
        return f"{self.index}/{self.of}"

    @classmethod
    def parse(cls, text: str, *, environment: Mapping[str, str] = os.environ) -> Self:
        """Return the shard that ``2/5`` names, or ``slurm`` by the environment of a job array.

        Raises
        ------
        JobsError
            Another text, or no job array of consecutive numbers.
        """
        if text == SLURM:
            return cls._of_slurm(environment)
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        if match is None:
            raise JobsError(f"shard {text!r} must be I/N, such as 2/5, or {SLURM}")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def _of_slurm(cls, environment: Mapping[str, str]) -> Self:
        names = [f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "COUNT", "MIN", "MAX")]
        try:
            number, count, first, last = (int(environment[name]) for name in names)
        except (KeyError, ValueError) as error:
            raise JobsError(
                f"shard {SLURM} needs the numbers {', '.join(names)} in the environment, as in a "
                "job of sbatch --array=1-100; elsewhere give I/N"
            ) from error
        if last - first + 1 != count:
            raise JobsError(
                f"shard {SLURM} needs an array of consecutive numbers, this one has {count} from "
                f"{first} to {last}; give --shard $SLURM_ARRAY_TASK_ID/N with the N of the "
                "first call"
            )
        return cls(number - first + 1, count)

    def parts(self, weights: Sequence[int]) -> list[tuple[int, int, int]]:
        """Return the share of this shard of inputs in a line: number, begin and end of each part.

        The shards of one array share the line without gaps. An input without weight belongs to
        nobody.

        Examples
        --------
        >>> Shard(2, 3).parts([10, 2])
        [(0, 4, 8)]
        >>> Shard(3, 3).parts([10, 2])
        [(0, 8, 10), (1, 0, 2)]
        """
        total = sum(weights)
        begin, end = total * (self.index - 1) // self.of, total * self.index // self.of
        found, first = [], 0
        for number, weight in enumerate(weights):
            lo, hi = max(begin - first, 0), min(end - first, weight)
            if lo < hi:
                found.append((number, lo, hi))
            first += weight
        return found

    def check_array(self, root: Path, *, again: Path | None = None) -> None:
        """Raise a JobsError where shards of an array of another number have begun in an output.

        A task of a Slurm array that is submitted again by itself takes itself for one of one.

        Parameters
        ----------
        root : Path
            Output of the shards.
        again : Path, optional
            Files to remove for another array, by default the records of all shards.
        """
        for path in sorted((root / SHARDS).glob("*-of-*")):
            of = path.name.rpartition("-of-")[2]
            if of.isdecimal() and int(of) != self.of:
                raise JobsError(
                    f"{root} holds shards of an array of {of}, this is shard {self}: give --shard "
                    f"I/{of} with the number I of the shard, or remove {again or root / SHARDS} "
                    "for another array"
                )

    def folder(self, root: Path) -> Path:
        """Return the folder of the record in an output."""
        return root / SHARDS / f"{self.index}-of-{self.of}"

    def write(self, root: Path, table: Mapping[str, Any]) -> None:
        """Write the record, which says that all of the shard is there."""
        content = tomli_w.dumps({"shard": self.index, "of": self.of, **table}).encode()
        write_whole(self.folder(root) / RECORD, lambda file: file.write(content))


def read_shards(root: Path, *, kind: str) -> list[tuple[Path, dict[str, Any]]]:
    """Return folder and record of every shard of an output, in order.

    Parameters
    ----------
    root : Path
        Output of a job array.
    kind : str
        Content of the shards, as their records name it.

    Raises
    ------
    DatasetError
        No shards, shards of several arrays, records that cannot be read, or shards that are
        missing, which the message lists.
    """
    found: dict[int, tuple[Path, dict[str, Any]]] = {}
    of: int | None = None
    for path in sorted((root / SHARDS).glob(f"*/{RECORD}")):
        try:
            table = read_toml(path)
            number, count = int(table["shard"]), int(table["of"])
            if table["kind"] != kind or not 1 <= number <= count <= MOST_SHARDS:
                raise ValueError(f"shard {number}/{count} of {table['kind']!r}, not of {kind}")
        except (OSError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise DatasetError(
                f"{path} is no record of a shard ({error}); run that shard again"
            ) from error
        if of is not None and count != of:
            raise DatasetError(
                f"{root / SHARDS} holds shards of an array of {of} and of one of {count}; remove "
                "the folders of one"
            )
        of = count
        found[number] = path.parent, table
    if of is None:
        raise DatasetError(
            f"{root} holds no finished shards: run its command with --shard 1/N to N/N first"
        )
    missing = [number for number in range(1, of + 1) if number not in found]
    if missing:
        shown = ", ".join(f"{number}/{of}" for number in missing[:20])
        more = f" and {len(missing) - 20} more" if len(missing) > 20 else ""
        raise DatasetError(
            f"{len(missing)} of {of} shards of {root} are missing: run the same command with "
            f"--shard {shown}{more}"
        )
    return [found[number] for number in range(1, of + 1)]


def remove_shards(root: Path) -> None:
    """Remove the records of shards that are merged.

    They are renamed first, all at once, so that a process that is killed here leaves a complete
    output, and :func:`was_merged` says so.

    Raises
    ------
    OutputError
        They cannot be removed.
    """
    merged = root / MERGED
    try:
        if (root / SHARDS).is_dir():
            if merged.is_dir():
                shutil.rmtree(merged)
            (root / SHARDS).rename(merged)
        # One record stays to the end: it names the content, for the merge that ends this.
        last = next(merged.glob(f"*/{RECORD}"), merged / RECORD)
        for child in merged.iterdir():
            if child.is_dir() and child != last.parent:
                shutil.rmtree(child)
        shutil.rmtree(merged)
    except OSError as error:
        raise OutputError(
            f"cannot remove {error.filename or merged}: {error.strerror or error}"
        ) from error


def was_merged(root: Path) -> bool:
    """Return whether a merge completed an output and was stopped while it removed the records."""
    return (root / MERGED).is_dir() and not (root / SHARDS).is_dir()


def shard_kind(root: Path) -> str | None:
    """Return the content of an output's shards, as the first record names it, or None.

    Those that were merged and are not removed yet count.
    """
    place = root / (MERGED if was_merged(root) else SHARDS)
    for path in sorted(place.glob(f"*/{RECORD}")):
        try:
            return str(read_toml(path)["kind"])
        except (OSError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise DatasetError(
                f"{path} is no record of a shard ({error}); run that shard again"
            ) from error
    return None
