"""Split files: CSV that names the split of each sample or of each recording."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eventseg.errors import TrainingError
from eventseg.files.paths import composed
from eventseg.files.texts import read_csv
from eventseg.files.whole import write_whole
from eventseg.sources.source import Source

SPLIT_NAMES = ("train", "val", "test", "gap", "other")
SHOWN = 5
"""Names that an error shows."""


@dataclass(frozen=True, slots=True)
class SplitFile:
    """Contents of a split file.

    Parameters
    ----------
    path : Path
    by : {"id", "recording"}
    splits : dict of str to str
        Split of each id or recording, in composed form.
    recordings : dict of str to str
        Recording of each id, where the file names both.
    """

    path: Path
    by: str
    splits: dict[str, str]
    recordings: dict[str, str]


def read_split_file(path: Path) -> SplitFile:
    """Read a split file.

    Raises
    ------
    TrainingError
        The file cannot be read, has other columns, a line that is short, a split that is none, or
        an id or a recording twice.
    """
    try:
        lines = read_csv(path)
    except (OSError, ValueError) as error:
        raise TrainingError(f"cannot read the split file {path}: {error}") from error
    header = [name.strip().lower() for name in next(iter(lines.values()), [])]
    by = next((name for name in ("id", "recording") if name in header), None)
    if by is None or "split" not in header:
        raise TrainingError(
            f"split file {path} must begin with the columns id,split or recording,split; it begins "
            f"with {','.join(header) or 'nothing'}"
        )
    keys, splits, recordings = header.index(by), header.index("split"), {}
    of = header.index("recording") if by == "id" and "recording" in header else None
    found: list[tuple[str, str]] = []
    for number, cells in list(lines.items())[1:]:
        if len(cells) != len(header):
            raise TrainingError(
                f"{path}, line {number}: {len(cells)} fields, the header has {len(header)}"
            )
        key, split = composed(cells[keys].strip()), cells[splits].strip()
        if split not in SPLIT_NAMES:
            raise TrainingError(
                f"{path}, line {number}: split {split!r} is none of {', '.join(SPLIT_NAMES)}"
            )
        found.append((key, split))
        if of is not None:
            recordings[key] = composed(cells[of].strip())
    twice = [key for key, count in Counter(key for key, _ in found).items() if count > 1]
    if twice:
        raise TrainingError(f"{path} names {some(twice)} more than once; give each {by} one line")
    return SplitFile(path, by, dict(found), recordings)


def splits_by_file(source: Source, file: SplitFile) -> tuple[str, ...]:
    """Return the split of each sample of a source by a split file, (N,).

    Raises
    ------
    TrainingError
        The file names ids or recordings that the source does not have, or lacks some.
    """
    names = source.ids if file.by == "id" else source.sequences
    keys = [composed(name) for name in names]
    unknown = sorted(set(file.splits) - set(keys))
    lacking = sorted(set(keys) - set(file.splits))
    problems = []
    if unknown:
        problems.append(f"names {len(unknown):,} that it does not have: {some(unknown)}")
    if lacking:
        problems.append(
            f"lacks {len(lacking):,}: {some(lacking)}; give what shall not be used the split other"
        )
    if problems:
        raise TrainingError(
            f"split file {file.path} does not fit {source.path}: by {file.by} it "
            f"{', and '.join(problems)}"
        )
    return tuple(file.splits[key] for key in keys)


def write_split_file(path: Path, source: Source, splits: Sequence[str]) -> None:
    """Write the split of each sample of a source: id, recording and split.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("id", "recording", "split"))
    table.writerows(zip(source.ids, source.sequences, splits, strict=True))
    write_whole(path, lambda file: file.write(text.getvalue().encode()))


def splits_of_run(source: Source, file: SplitFile) -> tuple[str, ...] | None:
    """Return the split of each sample by the split file of a run, None where it names none.

    Samples that the run had keep their split. Others of its recordings, as of another anchor,
    train where any of the recording trained; recordings it had not are as the data has them.
    """
    by_recording: dict[str, str] = {}
    for key, name in file.recordings.items():
        split = file.splits[key]
        if split == "train" or by_recording.get(name) in (None, "gap"):
            by_recording[name] = split
    splits, known = [], 0
    for sample, name, own in zip(source.ids, source.sequences, source.splits, strict=True):
        of_run = file.splits.get(composed(sample)) or by_recording.get(composed(name))
        known += of_run is not None
        splits.append(of_run or own)
    return tuple(splits) if known else None


def some(names: Sequence[str]) -> str:
    """Return the first names of a list, with the number of the others."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
