"""Representations by their names: the built-in ones and those of a user's own file."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from eventseg.encoding import representations
from eventseg.encoding.definition import Channel, Definition
from eventseg.encoding.representations import mean_std
from eventseg.errors import ExtensionError, WindowError
from eventseg.files.extensions import is_extension, load_extension, short_extension


@dataclass(frozen=True, slots=True)
class Representation:
    """Meaning of the channels of a tensor; made by :func:`parse_representation`.

    Parameters
    ----------
    kind : str
        Name without its parameter, such as ``voxel`` or ``my.py:total``.
    parameter : int
        Bins of ``voxel`` and ``stack``, time constant of ``time-surface`` in us, else 0.
    sha256 : str
        Digest of a user's own file, else empty. Files with one digest and name are equal, wherever
        they lie.
    definition : Definition
    file : str
        ``FILE.py:NAME`` with the absolute path of a user's own file, else empty.
    """

    kind: str
    parameter: int
    sha256: str = ""
    definition: Definition = field(default=mean_std.DEFINITION, compare=False, repr=False)
    file: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        """Return the name that :func:`parse_representation` reads."""
        if self.definition.read is None or self.file:
            return self.file or self.kind
        return f"{self.kind}:{self.definition.write(self.parameter)}"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the name: another process finds the definition by it."""
        return parse_representation, (str(self), self.sha256)

    @property
    def all_channels(self) -> tuple[Channel, ...]:
        """Channels in order, with units and limits."""
        return self.definition.channels(self.parameter)

    @property
    def units(self) -> dict[str, str]:
        """Unit of each channel by its name, in order."""
        return {channel.name: channel.unit for channel in self.all_channels}

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.all_channels)


MEAN_STD = Representation("mean-std", 0)
"""The six channels of EV-SegNet, the default."""


def parse_representation(text: str, sha256: str = "") -> Representation:
    """Return the representation that a name such as ``voxel:5`` or ``time-surface:20ms`` means.

    ``mean-std``, ``count``, ``count-latest``, ``voxel[:BINS]``, ``stack[:BINS]`` and
    ``time-surface[:TAU]`` are defined in the files of :mod:`eventseg.encoding.representations`,
    with formula and source. By default BINS is 5 and TAU 50ms. ``FILE.py:NAME`` is a
    :class:`eventseg.encoding.definition.Definition` of a user's own file.

    Parameters
    ----------
    text : str
    sha256 : str
        Digest that a user's own file must have; by default any.

    Raises
    ------
    WindowError
        Another name, or a parameter that the representation does not allow.
    ExtensionError
        A file of a user's own that cannot be loaded, has another digest, or defines something
        else under the name.

    Examples
    --------
    >>> parse_representation("time-surface").units
    {'surface+': 'exp(-age / 50ms)', 'surface-': 'exp(-age / 50ms)'}
    """
    if is_extension(text):
        return _own(text, sha256)
    kind, colon, value = text.partition(":")
    definition = _built_in().get(kind)
    if definition is None or (colon and definition.read is None):
        forms = ", ".join(f"{kind}{known.form}" for kind, known in _built_in().items())
        raise WindowError(f"representation {text!r} must be one of {forms} or FILE.py:NAME")
    read = definition.read
    parameter = read(value) if colon and read is not None else definition.default
    return Representation(kind, parameter, "", definition)


def to_representation(representation: str | Representation) -> Representation:
    """Return a representation, which may be a name such as ``voxel:5``.

    Raises
    ------
    WindowError
        As :func:`parse_representation`, and a value that is neither.
    """
    if isinstance(representation, Representation):
        return representation
    if isinstance(representation, str):
        return parse_representation(representation)
    raise WindowError(
        f"a representation must be a name such as 'voxel:5', got {type(representation).__name__}"
    )


@cache
def _built_in() -> dict[str, Definition]:
    """Return the definition in each file of the folder, by name; the default first."""
    files = [module.name for module in iter_modules(representations.__path__)]
    kinds = sorted(files, key=lambda name: (name != "mean_std", name))
    return {
        kind.replace("_", "-"): import_module(f"{representations.__name__}.{kind}").DEFINITION
        for kind in kinds
    }


def _own(text: str, sha256: str) -> Representation:
    """Return the representation that a user's own file defines."""
    loaded = load_extension(text, sha256=sha256)
    definition = loaded.value
    if not isinstance(definition, Definition) or definition.finish is None or not definition.steps:
        raise ExtensionError(
            f"{loaded.path} defines {loaded.name} as {type(definition).__name__}; a representation "
            "is an eventseg.encoding.Definition with steps and finish"
        )
    channels = definition.channels(definition.default)
    if not channels or len({channel.name for channel in channels}) != len(channels):
        raise ExtensionError(
            f"{loaded.name} of {loaded.path} must have one channel or more, each of its own name"
        )
    file = f"{loaded.path}:{loaded.name}"
    return Representation(
        short_extension(file), definition.default, loaded.sha256, definition, file
    )
