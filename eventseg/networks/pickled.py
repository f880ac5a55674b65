"""Pickled objects of checkpoint files: types that are plain values, and the keys of all others.

``torch.load(weights_only=True)`` builds only tensors, containers and types that it is given as
safe. Those listed here hold values and nothing else: building one runs no code of the file.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import io
import pathlib
import pickle
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

# What pickled NumPy values are built by; their module moved in NumPy 2, and pickles name both.
SCALAR, RECONSTRUCT = np.float64().__reduce__()[0], np.empty(0).__reduce__()[0]


def _dict_without_default(*_default: Any) -> dict[Any, Any]:
    """Return an empty dict in place of a ``defaultdict``, which torch does not fill."""
    return {}


PLAIN_TYPES: tuple[Any, ...] = (
    *(
        (build, f"{package}.multiarray.{name}")
        for build, name in ((SCALAR, "scalar"), (RECONSTRUCT, "_reconstruct"))
        for package in ("numpy.core", "numpy._core")
    ),
    np.ndarray,
    np.dtype,
    *(getattr(np.dtypes, name) for name in np.dtypes.__all__),
    argparse.Namespace,
    types.SimpleNamespace,
    (_dict_without_default, "collections.defaultdict"),
    # Paths of another system cannot be built: pure ones hold the same parts.
    *(
        (kind, f"{module}.{name}")
        for kind, name in (
            (pathlib.PurePosixPath, "PosixPath"),
            (pathlib.PurePosixPath, "PurePosixPath"),
            (pathlib.PureWindowsPath, "WindowsPath"),
            (pathlib.PureWindowsPath, "PureWindowsPath"),
        )
        for module in ("pathlib", "pathlib._local")
    ),
    *(
        (kind, f"datetime.{kind.__name__}")
        for kind in (datetime.datetime, datetime.date, datetime.time, datetime.timedelta)
    ),
    *(
        (kind, f"builtins.{kind.__name__}")
        for kind in (list, dict, int, float, str, bool, tuple, set, frozenset, slice)
    ),
)
"""Types, or pairs of a type and its name in files, as ``torch.serialization.safe_globals`` takes
them."""

HEADERS = 3
"""Pickles before the objects in files of torch before 1.6: magic number, version and system."""


class StandIn:
    """Place of an object that is not built; it accepts whatever a pickle does to it."""

    name = ""

    def __init__(self, *contents: Any, **named: Any) -> None:
        self.contents: list[Any] = [*contents, named]

    def __call__(self, *contents: Any) -> StandIn:
        """Return this, as the result of a call."""
        self.contents.extend(contents)
        return self

    def __setstate__(self, state: Any) -> None:
        """Keep the attributes."""
        self.contents = [*getattr(self, "contents", ()), state]

    def __setitem__(self, key: Any, value: Any) -> None:
        """Keep an item."""
        self.contents = [*getattr(self, "contents", ()), {key: value}]

    def append(self, value: Any) -> None:
        """Keep a member."""
        self.contents = [*getattr(self, "contents", ()), value]

    add = append


class _Inspector(pickle.Unpickler):
    """Reader that imports nothing and builds containers of stand-ins."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        return type("StandIn", (StandIn,), {"name": f"{module}.{name}"})

    def persistent_load(self, _key: Any) -> None:
        return None


def keys_of_object(path: Path, name: str) -> list[str]:
    """Return the keys under which a file holds objects of a type or function, such as ``args.net``.

    Nothing of the file is imported or run.

    Parameters
    ----------
    path : Path
        File of ``torch.save``.
    name : str
        Module and name of the type, such as ``argparse.Namespace``.

    Returns
    -------
    list of str
        Empty where the file cannot be inspected.
    """
    try:
        return list(dict.fromkeys(_keys(_inspected(path), name, "")))
    # A damaged or odd pickle raises errors of any kind; the keys only serve a message.
    except Exception:
        return []


def _inspected(path: Path) -> Any:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            member = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
            return _Inspector(io.BytesIO(archive.read(member))).load()
    with path.open("rb") as file:
        for _ in range(HEADERS):
            _Inspector(file).load()
        return _Inspector(file).load()


def _keys(value: Any, name: str, key: str) -> Iterator[str]:
    if isinstance(value, StandIn):
        if value.name == name or value.name.endswith(f".{name}"):
            yield key or "the whole file"
            return
        for inner in getattr(value, "contents", ()):
            yield from _keys(inner, name, key)
    elif isinstance(value, dict):
        for part, inner in value.items():
            yield from _keys(inner, name, f"{key}.{part}" if key else str(part))
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            yield from _keys(inner, name, f"{key}[{i}]" if isinstance(value, list) else key)
