"""Files of predictions joined to samples: by id, by recording and number, or by number."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eventseg.errors import DatasetError
from eventseg.evaluation.label_maps import some

NUMBER = re.compile(r"\d+")

FARTHEST = 3
"""Largest constant difference of numbers that a hint looks for."""

Key = tuple[str, int | None]
"""Recording, empty where only the number is compared, and number of a sample."""


@dataclass(frozen=True, slots=True)
class Matched:
    """Files of the samples.

    Parameters
    ----------
    files : mapping of str to Path
        File of each sample that has one, by sample id.
    rule : str
        How names were compared.
    unpaired : tuple of Path
        Files of no sample.
    hint : str
        Constant difference of the numbers that would give every sample a file, in words.
    """

    files: Mapping[str, Path]
    rule: str
    unpaired: tuple[Path, ...]
    hint: str = ""


def match_names(
    root: Path,
    paths: Sequence[Path],
    *,
    ids: Sequence[str],
    sequences: Sequence[str],
    recordings: Sequence[str] = (),
) -> Matched:
    """Return the file of each sample, by the first of three rules that most samples fit.

    The name of the file, or its path with ``_`` for the slashes, is the sample's id; or a folder
    or the begin of its name is the recording, and its last number that of the sample's id; or the
    last number alone, where all samples are of one recording.

    Parameters
    ----------
    root : Path
    paths : sequence of Path
        Files in `root`.
    ids, sequences : sequence of str (N,)
        Id and recording of each sample that is scored.
    recordings : sequence of str
        All recordings of the data; files of those that are not scored are no sample's.

    Raises
    ------
    DatasetError
        Two files of one sample, or no file of any.
    """
    scored = set(sequences)
    numbers: dict[str, Key] = {
        name: (sequence, number_of(name.removeprefix(sequence)))
        for name, sequence in zip(ids, sequences, strict=True)
    }
    rules: list[tuple[str, dict[str, list[Path]]]] = [
        ("names are sample ids", _by_id(root, paths, set(ids))),
    ]
    keyed = _keyed(root, paths, sorted({*scored, *recordings}, key=len, reverse=True))
    by_key: dict[Key, list[Path]] = {}
    for path, key in keyed.items():
        by_key.setdefault(key, []).append(path)
    by_number: dict[Key, list[Path]] = {}
    for path in paths:
        number = number_of(path.stem)
        of_another = path in keyed and keyed[path][0] not in scored
        if number is not None and not of_another:
            by_number.setdefault(("", number), []).append(path)
    tables: list[tuple[str, dict[Key, list[Path]], dict[str, Key]]] = [
        ("names are recordings and frame numbers", by_key, numbers)
    ]
    if len(scored) == 1:
        alone: dict[str, Key] = {name: ("", number) for name, (_, number) in numbers.items()}
        tables.append(("names are frame numbers", by_number, alone))
    # Samples that share a number cannot be told apart by it.
    tables = [one for one in tables if len(set(one[2].values())) == len(ids)]
    for rule, table, keys in tables:
        rules.append((rule, {name: table[key] for name, key in keys.items() if key in table}))
    rule, found = max(rules, key=lambda one: len(one[1]))  # the first of equal ones
    if not found:
        raise DatasetError(
            f"none of the {len(paths):,} predictions in {root} is of a sample of the part: they "
            f"are named {some([path.name for path in paths])}, samples {some(list(ids))}"
        )
    for name, files in found.items():
        if len(files) > 1:
            raise DatasetError(
                f"{files[0]} and {files[1]} are both predictions of {name}; keep one"
            )
    hint = ""
    if len(found) < len(ids):
        hint = next((text for _, table, keys in tables if (text := _shift(table, keys))), "")
    used = {files[0] for files in found.values()}
    unpaired = tuple(path for path in paths if path not in used)
    return Matched({name: files[0] for name, files in found.items()}, rule, unpaired, hint)


def number_of(text: str) -> int | None:
    """Return the last number in a name, None where there is none.

    Examples
    --------
    >>> number_of("segmentation_00003925")
    3925
    """
    found = NUMBER.findall(text)
    return int(found[-1]) if found else None


def _by_id(root: Path, paths: Sequence[Path], ids: set[str]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in paths:
        parts = path.relative_to(root).with_suffix("").parts
        names = dict.fromkeys([path.stem, *(sign.join(parts) for sign in "_-/")])
        for name in names:
            if name in ids:
                found.setdefault(name, []).append(path)
    return found


def _keyed(root: Path, paths: Sequence[Path], recordings: Sequence[str]) -> dict[Path, Key]:
    """Return recording and number of the files that name both; recordings are longest first."""
    found: dict[Path, Key] = {}
    for path in paths:
        folders = path.relative_to(root).parts[:-1]
        own = next((name for name in recordings if name in folders), None)
        rest = path.stem
        if own is None:
            own = next((name for name in recordings if _begins_with(rest, name)), None)
            rest = rest.removeprefix(own or "")
        number = number_of(rest)
        if own is not None and number is not None:
            found[path] = (own, number)
    return found


def _begins_with(text: str, name: str) -> bool:
    """Return whether a text begins with a name that ends there: `drive10_3` not with `drive1`."""
    return text.startswith(name) and not (name and text[len(name) : len(name) + 1].isalnum())


def _shift(files: Mapping[Key, object], keys: Mapping[str, Key]) -> str:
    """Return the constant difference by which numbers of files fit all samples, in words."""
    for distance in range(1, FARTHEST + 1):
        for shift in (distance, -distance):
            if all(n is not None and (s, n + shift) in files for s, n in keys.values()):
                word = "high" if shift > 0 else "low"
                return (
                    f"the numbers of the files fit every sample if they are {distance} too {word}: "
                    "frames are counted from another number"
                )
    return ""
