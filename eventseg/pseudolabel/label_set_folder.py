"""Label set on disk: new, stopped half-way, or complete.

While it is on its way, ``labels.partial/SET`` holds its settings and the raw labels of
each frame, before filters that need all frames. The set's own files and its entry among the sets
are written when that is complete.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from eventseg.dataset.jobs.shard import SHARDS
from eventseg.dataset.labelled import check_apart, is_imported
from eventseg.dataset.layout import (
    LIMITS,
    PARTIAL_LABELS,
    checked_name,
    confidence_file,
    label_file,
)
from eventseg.dataset.truth import TRUTH
from eventseg.errors import DatasetError, LabelError, OutputError
from eventseg.files.texts import read_toml
from eventseg.files.whole import temporary_files, write_whole
from eventseg.labels.maps import ClassTable
from eventseg.pseudolabel.settings import EXACT
from eventseg.pseudolabel.target import Frame, LabelTarget
from eventseg.sources.own_labels.importing import check_set_name as checked_set_name

SETTINGS = "settings.toml"

Settings = Mapping[str, Any]


def check_set_name(name: str) -> str:
    """Return a name that a label set may have.

    Raises
    ------
    LabelError
        Other signs than letters, digits, ``.``, ``_``, ``+`` and ``-``, or the name of the truth.
    """
    if name == TRUTH:
        raise LabelError(f"the label set {TRUTH!r} is for known labels; give another name")
    return checked_set_name(name)


def set_name_of(teachers: Sequence[str]) -> str:
    """Return a name for a set after its teachers: without owner, ending and other signs."""
    parts = [re.sub(r"\.(pth?|bin|ckpt|safetensors)$", "", name) for name in teachers]
    parts = [part.removeprefix("hf:").rpartition("/")[2] for part in parts]
    return "+".join(re.sub(r"[^A-Za-z0-9._-]+", "-", part).lstrip(".-") for part in parts)


class LabelSetFolder:
    """A label set that is being written, in a folder that is locked.

    Parameters
    ----------
    target : LabelTarget
        Pictures to label.
    name : str
        Name of the set.
    settings : mapping
        Everything that decides its labels, as TOML holds it.
    overwrite : bool
        Replace a set of other settings, or one that something else made.
    shared : bool
        Several processes write raw labels: nothing is removed.

    Attributes
    ----------
    whole : bool
        The set is there already.
    partial : Path
        Folder of what there is while the set is on its way.

    Raises
    ------
    DatasetError
        There is a set of this name that was made otherwise.
    OutputError
        Shards of a job array are making it, and this process is not shared.
    """

    def __init__(
        self,
        target: LabelTarget,
        name: str,
        settings: Settings,
        *,
        overwrite: bool = False,
        shared: bool = False,
    ) -> None:
        self.target = target
        self.name = name
        self.settings = settings
        root = target.root
        self.partial = root / PARTIAL_LABELS / name
        self.whole = False
        sets = target.read_sets()
        check_apart(name, sets.tables)
        stopped = read_settings(self.partial / SETTINGS)
        made = sets.settings.get(name)
        if made is not None and is_imported(made):
            made = None
        foreign = made is None and (name in sets.tables or (root / "labels" / name).exists())
        if not overwrite:
            if made is not None:
                self._compare(made, "holds a label set")
            if stopped is not None:
                self._compare(stopped, "holds a stopped run of a label set")
            elif foreign:
                raise DatasetError(
                    f"{target.path} has labels {name} that were not made by a teacher; "
                    "give another --labels, or --overwrite"
                )
        self.whole = (
            made is not None
            and difference(made, settings) is None
            and all(path.is_file() for path in self._files())
        )
        if shared:
            return
        by_shards = self.partial / SHARDS
        if by_shards.is_dir() and not self.whole and not overwrite:
            raise OutputError(
                f"{self.partial} holds shards of a job array: 'eventseg merge {target.path}' "
                f"completes them; to label without them remove {by_shards}"
            )
        if stopped is None or self.whole or difference(stopped, settings) is not None:
            _remove(self.partial)

    def begin(self) -> None:
        """Mark the set as on its way, and clean up after a killed run."""
        for path in temporary_files(self.partial):
            path.unlink()
        shutil.rmtree(self.partial / SHARDS, ignore_errors=True)
        self.begin_shared()

    def begin_shared(self) -> None:
        """Mark the set as on its way beside other processes that write into it."""
        text = tomli_w.dumps(self.settings)
        write_whole(self.partial / SETTINGS, lambda file: file.write(text.encode()))

    def raw_label_files(self, key: str) -> tuple[Path, Path]:
        """Return the files of a frame's labels and confidence before any filter."""
        name = checked_name(f"{key}.png")
        return self.partial / "labels" / name, self.partial / "confidence" / name

    def has_raw_labels(self, frame: Frame) -> bool:
        """Return whether a frame has raw labels; they are written after its confidence."""
        return self.raw_label_files(frame.key)[0].exists()

    def open_final(self) -> None:
        """Take the set out of the list of sets while its files change."""
        self.target.write_sets(self.target.read_sets().without(self.name))
        for folder in self._folders():
            for path in temporary_files(folder):
                path.unlink()

    def finish(self, table: ClassTable) -> None:
        """Remove files of no sample and enter the set into the list, which completes it."""
        expected = set(self._files())
        for folder in self._folders():
            for path in set(folder.glob("*")) - expected:
                if path.is_dir():
                    continue
                try:
                    path.unlink()
                except OSError as error:
                    raise OutputError(f"cannot remove {path}: {error.strerror or error}") from error
        sets = self.target.read_sets().with_set(self.name, table, self.settings)
        self.target.write_sets(sets)
        self.remove_partial()

    def remove_partial(self) -> None:
        """Remove the files that a set has while it is on its way."""
        _remove(self.partial)

    def _compare(self, made: Settings, what: str) -> None:
        differs = difference(made, self.settings)
        if differs:
            raise DatasetError(
                f"{self.target.path} {what} {self.name} of other settings: {differs}; "
                "label as before, give another --labels, or --overwrite"
            )

    def _folders(self) -> list[Path]:
        return [self.target.root / kind / self.name for kind in ("labels", "confidence")]

    def _files(self) -> Iterator[Path]:
        for frame in self.target.frames:
            for i in frame.samples:
                yield from self.label_files(i)

    def label_files(self, i: int) -> tuple[Path, Path]:
        """Return the files of the labels and of the confidence of a sample."""
        root, sample = self.target.root, self.target.ids[i]
        return (
            label_file(root, labels=self.name, sample_id=sample),
            confidence_file(root, labels=self.name, sample_id=sample),
        )


def difference(made: Settings, asked: Settings) -> str | None:
    """Return the first setting in which two label sets differ, as text, or None.

    Teachers are the same by their digests and by the merge of their classes, which sets made before
    it was kept do not hold, whatever they are called. Limits of the recipe are words, which change
    no label.
    """
    for key in dict.fromkeys([*made, *asked]):
        if key == LIMITS:
            continue
        missing = EXACT if key == "arithmetic" else "none"
        before, now = made.get(key, missing), asked.get(key, missing)
        if key == "teachers":
            if [row["sha256"] for row in before] != [row["sha256"] for row in now]:
                return f"teacher was {_teachers(before)}, now {_teachers(now)}"
            for old, new in zip(before, now, strict=True):
                if old.get("merge", new.get("merge")) != new.get("merge", old.get("merge")):
                    return (
                        f"classes of teacher {new['name']} were merged as {_word(old['merge'])}, "
                        f"now {_word(new['merge'])}"
                    )
        elif before != now:
            return f"{key} was {_word(before)}, now {_word(now)}"
    return None


def _teachers(rows: Sequence[Mapping[str, Any]]) -> str:
    return " and ".join(f"{row['name']} ({row['sha256'][:8]})" for row in rows)


def _word(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def read_settings(path: Path) -> Settings | None:
    """Return the settings of a set on its way, or None where there are none."""
    try:
        return read_toml(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DatasetError(f"cannot read {path}: {error}") from error


def _remove(folder: Path) -> None:
    if not folder.exists():
        return
    try:
        # Settings and shards go last: a folder that has them is still known for what it is.
        order = ("", SHARDS, SETTINGS)
        for child in sorted(
            folder.iterdir(), key=lambda path: order.index(path.name) if path.name in order else 0
        ):
            shutil.rmtree(child) if child.is_dir() else child.unlink()
        folder.rmdir()
        if not any(folder.parent.iterdir()):
            folder.parent.rmdir()
    except OSError as error:
        raise OutputError(f"cannot remove {folder}: {error.strerror or error}") from error
