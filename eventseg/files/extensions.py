"""Objects that a Python file of a user's own defines: ``FILE.py:NAME``."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from eventseg.errors import ExtensionError, known_names

EXTENSION = re.compile(r"(?P<path>.+\.py):(?P<name>[^:/\\]+)")
"""Form of the names of a user's own objects: ``FILE.py:NAME``."""


@dataclass(frozen=True, slots=True)
class Extension:
    """Object that a Python file of a user's own defines.

    Parameters
    ----------
    path : Path
        The file, absolute.
    name : str
        Name of the object in it.
    sha256 : str
        Digest of the file.
    value : object
    """

    path: Path
    name: str
    sha256: str
    value: Any


def is_extension(spec: str) -> bool:
    """Return whether a name has the form ``FILE.py:NAME``."""
    return EXTENSION.fullmatch(spec) is not None


def absolute_extension(spec: str) -> str:
    """Return ``FILE.py:NAME`` with the absolute path of the file; any other name as it is."""
    found = EXTENSION.fullmatch(spec)
    return spec if found is None else f"{Path(found['path']).absolute()}:{found['name']}"


def short_extension(spec: str) -> str:
    """Return ``FILE.py:NAME`` without the folder of the file; any other name as it is."""
    found = EXTENSION.fullmatch(spec)
    return spec if found is None else f"{Path(found['path']).name}:{found['name']}"


def load_extension(spec: str, *, sha256: str = "") -> Extension:
    """Run a Python file of a user's own and return the object it defines.

    The file runs once for each content. Modules beside it can be imported while it runs.

    Parameters
    ----------
    spec : str
        ``FILE.py:NAME``.
    sha256 : str
        Digest that the file must have; by default any. A file that is no longer where it was is
        then looked for in the working folder.

    Raises
    ------
    ExtensionError
        No such file or object in it, a file that fails while it runs, or one with another digest.
    """
    found = EXTENSION.fullmatch(spec)
    if found is None:
        raise ExtensionError(f"{spec!r} is no FILE.py:NAME, such as my_nets.py:Net")
    path, name = Path(found["path"]).absolute(), found["name"]
    if sha256 and not path.is_file() and Path(path.name).is_file():
        path = Path(path.name).absolute()
    try:
        code = path.read_bytes()
    except OSError as error:
        raise ExtensionError(
            f"cannot read {path}, of which {name} is asked: {error.strerror}; give FILE.py:NAME "
            "with the path of the file"
        ) from error
    digest = hashlib.sha256(code).hexdigest()
    if sha256 and digest != sha256:
        raise ExtensionError(
            f"{path} has changed since {name} of it was used: its sha256 was {sha256[:12]}... and "
            f"is {digest[:12]}...; restore the file as it was"
        )
    module = _run(path, code, digest)
    if not hasattr(module, name):
        own = [
            key
            for key, value in vars(module).items()
            if getattr(value, "__module__", None) == module.__name__
        ]
        raise ExtensionError(f"{path} defines no {name!r}{known_names(name, own)}")
    return Extension(path, name, digest, getattr(module, name))


def _run(path: Path, code: bytes, digest: str) -> ModuleType:
    """Return the module of a file, from its first run in this process if it had one."""
    place = hashlib.sha256(os.fsencode(path)).hexdigest()
    module_name = f"eventseg_extension_{place[:8]}_{digest[:16]}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    module = ModuleType(module_name)
    module.__file__ = str(path)
    # Classes look their module up by its name while they are made.
    sys.modules[module_name] = module
    sys.path.insert(0, str(path.parent))
    try:
        exec(compile(code, path, "exec"), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ExtensionError(f"{path} fails while it is loaded: {reason}") from error
    finally:
        sys.path.remove(str(path.parent))
    return module
