"""Encoding settings: everything but the events that determines a tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from eventseg.encoding.definition import Channel
from eventseg.encoding.element_type import ElementType
from eventseg.encoding.representation import (
    MEAN_STD,
    Representation,
    parse_representation,
    to_representation,
)
from eventseg.encoding.representations import mean_std
from eventseg.errors import WindowError
from eventseg.events import SensorSize

Tensor = NDArray[np.float32]

Normalisation = Literal["raw", "sqrt", "evsegnet"]


@dataclass(frozen=True, slots=True)
class Encoding:
    """Encoding settings: everything but the events that determines a tensor.

    Parameters
    ----------
    sensor : SensorSize
        Size of the sensor.
    rows : (int, int)
        Range of sensor rows ``[row0, row1)`` that the tensor keeps.
    representation : Representation
        Meaning of the channels.
    normalise : {"raw", "sqrt", "evsegnet"}
        Normalisation of the channels, see :mod:`eventseg.encoding.normalise`.
    ddof : {1, 0}
        The variance of ``mean-std`` divides by ``n - ddof``.
    filters : tuple of str
        Filters that the events have passed, as :func:`eventseg.filters.parse_filters` reads them.
    dtype : {"float32", "float16", "uint8"}
        Element type that the raw channels are rounded to, see
        :mod:`eventseg.encoding.element_type`.

    Raises
    ------
    WindowError
        Rows outside the sensor, an unknown normalisation, divisor or element type, a normalisation
        of another representation than ``mean-std``, or ``uint8`` for channels that are no counts.

    Examples
    --------
    >>> encoding_of(SensorSize(260, 346), rows=(0, 200), representation="voxel:5").shape
    (5, 200, 346)
    """

    sensor: SensorSize
    rows: tuple[int, int]
    representation: Representation = MEAN_STD
    normalise: Normalisation = "raw"
    ddof: int = 1
    filters: tuple[str, ...] = ()
    dtype: ElementType = "float32"

    def __post_init__(self) -> None:
        if not 0 <= self.rows[0] < self.rows[1] <= self.sensor.height:
            raise WindowError(
                f"rows {self.rows[0]}:{self.rows[1]} must lie within the {self.sensor.height} "
                "rows of the sensor"
            )
        if self.normalise not in get_args(Normalisation):
            raise WindowError(f"normalise must be raw, sqrt or evsegnet, got {self.normalise!r}")
        if self.normalise != "raw" and self.representation != MEAN_STD:
            raise WindowError(
                f"the {self.normalise} normalisation is defined for the six channels of "
                f"{MEAN_STD}: {self.representation} must be raw"
            )
        if self.ddof not in (0, 1):
            raise WindowError(f"ddof must be 0 or 1, got {self.ddof!r}")
        if self.dtype not in get_args(ElementType):
            raise WindowError(f"dtype must be float32, float16 or uint8, got {self.dtype!r}")
        if self.dtype == "uint8" and not all(
            channel.counts for channel in self.representation.all_channels
        ):
            raise WindowError(
                f"uint8 holds counts alone, and {self.representation} has other channels: take "
                "float16, or the representation count or stack"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (channels, rows, columns) of a tensor."""
        return self.representation.channels, self.rows[1] - self.rows[0], self.sensor.width

    @property
    def array_dtype(self) -> np.dtype[Any]:
        """Element type of the arrays: that of the raw channels, float32 once normalised."""
        return np.dtype(self.dtype if self.normalise == "raw" else "float32")

    @property
    def units(self) -> dict[str, str]:
        """Unit of each channel by its name, in order."""
        return {channel.name: channel.unit for channel in self.channels}

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Channels in order, with units and limits."""
        if self.normalise != "raw":
            return mean_std.NORMALISED[self.normalise]
        return self.representation.all_channels

    def normalised(self, normalise: Normalisation | None) -> Self:
        """Return the encoding with another normalisation; None is the representation's own."""
        return replace(self, normalise=normalise or default_normalisation(self.representation))

    def conflict_with(self, trained: Encoding) -> str | None:
        """Return the setting in which tensors differ from those a network was trained on, or None.

        The sensor's size, the rows and the filters may differ: a network can be asked how it does
        on another camera or on noisier events.
        """
        for name in ("representation", "ddof"):
            if (have := getattr(self, name)) != (want := getattr(trained, name)):
                return f"{name} {have}, and the network was trained on {name} {want}"
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for TOML, JSON and checkpoints."""
        return {
            "sensor": {"height": self.sensor.height, "width": self.sensor.width},
            "rows": list(self.rows),
            "representation": str(self.representation),
            **(
                {"representation_sha256": self.representation.sha256}
                if self.representation.sha256
                else {}
            ),
            "normalise": self.normalise,
            "ddof": self.ddof,
            "filters": list(self.filters),
            **({"dtype": self.dtype} if self.dtype != "float32" else {}),
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Self:
        """Return the settings that :meth:`to_dict` gave.

        Raises
        ------
        KeyError, TypeError, ValueError
            An entry is missing or of another kind; a WindowError is a ValueError.
        """
        row0, row1 = table["rows"]
        return cls(
            SensorSize(int(table["sensor"]["height"]), int(table["sensor"]["width"])),
            (int(row0), int(row1)),
            parse_representation(
                table.get("representation", str(MEAN_STD)), table.get("representation_sha256", "")
            ),
            table["normalise"],
            table["ddof"],
            tuple(map(str, table.get("filters", ()))),
            table.get("dtype", "float32"),
        )


def encoding_of(
    sensor: SensorSize,
    *,
    rows: tuple[int, int] | None = None,
    representation: Representation | str = MEAN_STD,
    normalise: Normalisation = "raw",
    ddof: int = 1,
    filters: Sequence[str] = (),
    dtype: ElementType = "float32",
) -> Encoding:
    """Return encoding settings for a sensor; by default all rows and the raw six channels.

    Raises
    ------
    WindowError
        As :class:`Encoding`, and an unknown representation.

    Examples
    --------
    >>> encoding_of(recording.sensor, rows=(0, 40), representation="voxel:5").shape
    (5, 40, 64)
    """
    representation = to_representation(representation)
    kept = (0, sensor.height) if rows is None else (int(rows[0]), int(rows[1]))
    return Encoding(sensor, kept, representation, normalise, ddof, tuple(filters), dtype)


def default_normalisation(representation: Representation) -> Normalisation:
    """Return the normalisation of opened tensors: ``evsegnet`` for ``mean-std``, else ``raw``."""
    return "evsegnet" if representation == MEAN_STD else "raw"
