"""Manifest of a prediction folder: network, settings, classes, inputs and pixels of each class."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import tomli_w

from eventseg.errors import DatasetError, EventsegError
from eventseg.files.paths import canonical, on_disk, relative_to
from eventseg.files.texts import read_toml
from eventseg.files.whole import write_whole
from eventseg.labels.maps import ClassTable
from eventseg.labels.tables import table_of

SCHEMA = 1
"""Version of the folder's layout; a reader of another version refuses."""


@dataclass(frozen=True, slots=True)
class PredictionManifest:
    """How a prediction folder was made, and a summary of what it holds.

    Parameters
    ----------
    network : mapping
        ``name`` of the run, ``sha256`` of the checkpoint, ``input`` kind.
    settings : mapping
        See :meth:`eventseg.prediction.settings.PredictionSettings.to_dict`; of a folder that an
        evaluation wrote, those of its protocol.
    classes : ClassTable
    inputs : tuple of mapping
        ``name``, ``kind``, ``path``, ``sha256`` and more of each input.
    encoding : mapping
        Encoding of the events, empty where the network sees none or it is unknown.
    pixels : mapping of str to int
        Pixels of each class, empty as long as the folder is not complete.
    samples : int
    version : str
        Version of eventseg.
    """

    network: Mapping[str, Any]
    settings: Mapping[str, Any]
    classes: ClassTable
    inputs: tuple[Mapping[str, Any], ...]
    encoding: Mapping[str, Any] = field(default_factory=dict)
    pixels: Mapping[str, int] = field(default_factory=dict)
    samples: int = 0
    version: str = field(default_factory=lambda: metadata.version("eventseg"))

    def input_file(self, name: str, root: Path) -> Path:
        """Return the path of an input, seen from the prediction folder."""
        for entry in self.inputs:
            if entry["name"] == name:
                path = str(entry["path"])
                if "path_hex" in entry:
                    path = os.fsdecode(bytes.fromhex(entry["path_hex"]))
                return canonical(on_disk(root.resolve() / path))
        raise DatasetError(f"{root} has no input {name!r}")

    def write(self, path: Path) -> None:
        """Write the manifest by way of a temporary name.

        Raises
        ------
        OutputError
            The file cannot be written.
        """
        names = zip(self.classes.names, self.classes.colours, strict=True)
        table = {
            "schema": SCHEMA,
            "tool": "eventseg",
            "version": self.version,
            "samples": self.samples,
            "network": dict(self.network),
            "settings": dict(self.settings),
            **({"encoding": dict(self.encoding)} if self.encoding else {}),
            "classes": [
                {
                    "id": i,
                    "name": name,
                    "colour": list(colour),
                    **({"pixels": self.pixels[name]} if name in self.pixels else {}),
                }
                for i, (name, colour) in enumerate(names)
            ],
            "inputs": [dict(entry) for entry in self.inputs],
        }
        content = tomli_w.dumps(table).encode(errors="replace")
        write_whole(path, lambda file: file.write(content))

    @classmethod
    def read(cls, path: Path) -> PredictionManifest:
        """Read a manifest.

        Raises
        ------
        DatasetError
            The file cannot be read, is no manifest, or is of another schema version.
        """
        try:
            table = read_toml(path)
        except (OSError, ValueError, RecursionError) as error:
            raise DatasetError(f"cannot read {path}: {error}") from error
        if table.get("schema") != SCHEMA:
            raise DatasetError(
                f"{path} has schema {table.get('schema')!r}, this version reads {SCHEMA}; predict "
                "again or use the version of eventseg that made it"
            )
        try:
            rows = table["classes"]
            names = tuple(str(row["name"]) for row in rows)
            colours = tuple(_colour(row["colour"]) for row in rows)
            known = table_of(names)
            kept = ClassTable(names, colours)
            return cls(
                network=dict(table["network"]),
                settings=dict(table["settings"]),
                # A known table has its merges.
                classes=known if known == kept else kept,
                inputs=tuple(dict(entry) for entry in table["inputs"]),
                encoding=dict(table.get("encoding", {})),
                pixels={str(row["name"]): int(row["pixels"]) for row in rows if "pixels" in row},
                samples=int(table["samples"]),
                version=str(table["version"]),
            )
        except KeyError as error:
            raise DatasetError(f"{path} lacks {error}") from error
        except (AttributeError, OverflowError, TypeError, ValueError, EventsegError) as error:
            raise DatasetError(f"{path} is no manifest of predictions: {error}") from error


def path_entries(path: Path, root: Path) -> dict[str, str]:
    """Return the entries of an input's path: as text, and exactly, whatever bytes it has."""
    exact = os.fsencode(relative_to(path, root))
    text = exact.decode(errors="replace")
    # A path that is not UTF-8 cannot stand in TOML as it is.
    return {"path": text, **({} if text.encode() == exact else {"path_hex": exact.hex()})}


def difference(made: PredictionManifest, asked: PredictionManifest) -> str | None:
    """Return the first setting in which two prediction folders differ, in words, or None."""
    if made.network.get("sha256") != asked.network["sha256"]:
        return f"the network was {_network(made.network)}, now {_network(asked.network)}"
    for kind in ("settings", "encoding"):
        before, now = getattr(made, kind), getattr(asked, kind)
        for key in dict.fromkeys([*before, *now]):
            if before.get(key) != now.get(key):
                return f"{key} was {_word(before.get(key))}, now {_word(now.get(key))}"
    if made.classes.names != asked.classes.names or made.classes.colours != asked.classes.colours:
        return "the classes were others"
    names, asked_names = ([entry["name"] for entry in m.inputs] for m in (made, asked))
    if names != asked_names:
        return f"inputs were {', '.join(names)}, now {', '.join(asked_names)}"
    for old, new in zip(made.inputs, asked.inputs, strict=True):
        for key in new:
            if key not in ("path", "path_hex") and old.get(key) != new[key]:
                what = "has changed since" if key == "sha256" else f"had other {key}"
                return f"input {new['name']} {what}"
    return None


def _network(network: Mapping[str, Any]) -> str:
    return f"{network.get('name')} ({str(network.get('sha256'))[:12]})"


def _word(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _colour(values: Sequence[int]) -> tuple[int, int, int]:
    red, green, blue = map(int, values)
    return red, green, blue
