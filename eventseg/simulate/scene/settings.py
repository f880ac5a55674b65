"""Settings of a drive through a street of version 2, drawn from its seed.

Sensor, camera, motion and look differ from drive to drive, as they do between real cars, so that a
network cannot rely on one of them. A drive of version 1 has none of these settings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from eventseg.errors import known_names
from eventseg.simulate.scene.light import Light, Style
from eventseg.simulate.scene.scenarios import RANDOM, SCENARIOS, Scenario, SimulationError
from eventseg.simulate.sensor.aps import ApsModel
from eventseg.simulate.sensor.dvs_model import DvsModel

VERSIONS = (1, 2)
"""Versions of the street: 1 has texture everywhere and one camera, 2 is drawn to look real."""


@dataclass(frozen=True)
class StreetSettings:
    """Settings of one drive.

    :func:`draw_settings` draws those that are not given; the defaults are typical by day, and not
    the middle of its ranges.

    Parameters
    ----------
    threshold_on, threshold_off : float
        Mean contrast of an event, in natural log units.
    threshold_sigma : float
        Spread of both over the pixels, in the same unit.
    shot_hz, leak_hz : float
        Rates of shot noise in the dark and of leak events (spontaneous ON), a second and pixel.
    hot_share : float
        Share of hot pixels.
    cutoff_hz : float
        Cutoff of the low-pass of a bright pixel in Hz; a dark pixel is slower.
    refractory_us : int
        Dead time of a pixel after an event in us.
    focal : float
        Focal length in units of that of version 1 (260 px at 346 columns).
    height_m, pitch_deg : float
        Height of the camera above the road in metres, and its pitch in degrees, up positive.
    bonnet : float
        Share of the rows that the bonnet covers; 0 for none.
    speed_m_s : float
        Mean speed in m/s.
    vibration_deg : float
        Root mean square of the vibration of the camera in degrees.
    texture, leaves : float
        Strength of weak texture, and of that of leaves, in units of version 1.
    plain : float
        Share of the buildings whose facade has no windows.
    thin : float
        Density of thin occluders: poles, railings, bare trees.
    wires : int
        Overhead wires, 0 to 4.
    light : float
        Brightness of the scene in units of the scenario's; the frames' gain makes up for it.
    mirrored : bool
        The sun stands on the other side of the street.
    """

    threshold_on: float = 0.25
    threshold_off: float = 0.25
    threshold_sigma: float = 0.03
    shot_hz: float = 0.1
    leak_hz: float = 0.03
    hot_share: float = 0.0001
    cutoff_hz: float = 200.0
    refractory_us: int = 600
    focal: float = 1.0
    height_m: float = 1.4
    pitch_deg: float = 0.0
    bonnet: float = 0.0
    speed_m_s: float = 9.0
    vibration_deg: float = 0.15
    texture: float = 0.1
    leaves: float = 0.5
    plain: float = 0.5
    thin: float = 0.5
    wires: int = 2
    light: float = 0.8
    mirrored: bool = False


LIMITS: dict[str, tuple[float, float]] = {
    "threshold_on": (0.05, 2.0),
    "threshold_off": (0.05, 2.0),
    "threshold_sigma": (0.0, 0.5),
    "shot_hz": (0.0, 50.0),
    "leak_hz": (0.0, 10.0),
    "hot_share": (0.0, 0.1),
    "cutoff_hz": (0.0, 1e5),
    "refractory_us": (0, 50_000),
    "focal": (0.3, 4.0),
    "height_m": (0.4, 5.0),
    "pitch_deg": (-30.0, 20.0),
    "bonnet": (0.0, 0.5),
    "speed_m_s": (0.0, 40.0),
    "vibration_deg": (0.0, 2.0),
    "texture": (0.0, 2.0),
    "leaves": (0.0, 2.0),
    "plain": (0.0, 1.0),
    "thin": (0.0, 1.0),
    "wires": (0, 4),
    "light": (0.05, 4.0),
    "mirrored": (0, 1),
}
"""Least and largest value of each setting."""


@dataclass(frozen=True)
class Mounting:
    """Where a camera sits: ranges of its settings.

    Parameters
    ----------
    about : str
        One line for people.
    height_m, pitch_deg, focal : (float, float)
        Ranges of the settings of these names.
    bonnet_share : float
        Share of the drives on which the bonnet is in view.
    """

    about: str
    height_m: tuple[float, float]
    pitch_deg: tuple[float, float]
    focal: tuple[float, float]
    bonnet_share: float


MOUNTINGS: dict[str, Mounting] = {
    "windscreen": Mounting(
        "behind the windscreen of a car", (1.15, 1.65), (-3.0, 3.0), (0.8, 1.5), 0.5
    ),
    "roof": Mounting(
        "on the roof of a van, looking down", (2.3, 3.0), (-13.0, -7.0), (0.7, 1.0), 0.0
    ),
}
"""Mountings by name; networks that learn with the first are tested with the second."""


SET_BY_VOLTAGE = ("threshold_on", "threshold_off", "threshold_sigma", "shot_hz", "leak_hz")
"""Settings that a sensor modelled by voltages has of its own."""


def draw_settings(
    seed: int,
    scenario: Scenario,
    *,
    mounting: str = "windscreen",
    given: Mapping[str, Any] | None = None,
) -> StreetSettings:
    """Return the settings of a drive: drawn from its seed, but those that are given.

    Parameters
    ----------
    seed : int
    scenario : Scenario
        Its speed, its noise and its faults hold where it has its own.
    mounting : str
        One of :data:`MOUNTINGS`.
    given : mapping, optional
        Values of settings by name; what is drawn for the others does not depend on them.

    Raises
    ------
    SimulationError
        An unknown mounting or setting, or a value out of range.
    """
    if mounting not in MOUNTINGS:
        raise SimulationError(
            f"unknown mounting {mounting!r}: choose one of {', '.join(MOUNTINGS)}"
        )
    rng = np.random.default_rng([seed, 9])
    seat = MOUNTINGS[mounting]

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def scaled(low: float, high: float) -> float:
        return math.exp(between(math.log(low), math.log(high)))

    threshold, balance = scaled(0.16, 0.36), scaled(0.85, 1.18)
    usual = DvsModel()
    drawn = StreetSettings(
        threshold_on=threshold * math.sqrt(balance),
        threshold_off=threshold / math.sqrt(balance),
        threshold_sigma=threshold * between(0.03, 0.1),
        shot_hz=scaled(0.015, 0.12) * scenario.dvs.shot_hz / usual.shot_hz,
        leak_hz=scaled(0.005, 0.04) * scenario.dvs.leak_hz / usual.leak_hz,
        hot_share=scaled(0.00002, 0.0003),
        cutoff_hz=scaled(120.0, 400.0),
        refractory_us=round(scaled(300.0, 1200.0)),
        focal=scaled(*seat.focal),
        height_m=between(*seat.height_m),
        pitch_deg=between(*seat.pitch_deg),
        bonnet=between(0.06, 0.2) * (rng.random() < seat.bonnet_share),
        speed_m_s=scaled(3.0, 11.0),
        vibration_deg=scaled(0.13, 0.42),
        texture=scaled(0.01, 0.1),
        leaves=scaled(0.05, 0.4),
        plain=between(0.55, 0.95),
        thin=between(0.2, 0.9),
        wires=int(rng.integers(0, 4)),
        light=scaled(0.5, 1.2),
        mirrored=bool(rng.random() < 0.5),
    )
    if scenario.speed is not None:
        drawn = replace(drawn, speed_m_s=scenario.speed)
    if scenario.dvs.hot_share != usual.hot_share:
        drawn = replace(drawn, hot_share=scenario.dvs.hot_share)
    idle = [name for name in given or {} if scenario.dvs.voltmeter and name in SET_BY_VOLTAGE]
    if idle:
        raise SimulationError(
            f"setting {idle[0]} has no effect in the scenario voltmeter: a sensor whose pixels are "
            "modelled by their circuit takes thresholds and noise from it"
        )
    return settings_with(drawn, given or {})


def settings_with(settings: StreetSettings, given: Mapping[str, Any]) -> StreetSettings:
    """Return settings with some values replaced.

    Raises
    ------
    SimulationError
        An unknown name, or a value that is no number or out of range.
    """
    kinds = {field.name: type(getattr(settings, field.name)) for field in fields(settings)}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in kinds:
            listed = "the table of settings in docs/simulator.md lists all"
            raise SimulationError(
                f"unknown setting {name!r} of a street"
                f"{known_names(name, list(kinds), listed=listed)}"
            )
        low, high = LIMITS[name]
        # True is 1 to Python, yet no contrast of an event.
        switch = isinstance(value, bool) and kinds[name] is not bool
        if switch or not isinstance(value, int | float) or not low <= value <= high:
            raise SimulationError(
                f"setting {name} = {value!r} must be a number, {low:g} to {high:g}"
            )
        if kinds[name] is not float and value != int(value):
            raise SimulationError(f"setting {name} = {value!r} must be a whole number")
        values[name] = kinds[name](value)
    return replace(settings, **values)


def settings_table(settings: StreetSettings) -> dict[str, Any]:
    """Return settings as a table of names and plain values."""
    return asdict(settings)


def scenario_of(seed: int, scenario: str) -> str:
    """Return the name of a drive's scenario; ``random`` draws one from the seed."""
    if scenario != RANDOM:
        return scenario
    names = ("day", "night", "glare", "fast-turn", "crossing", "standstill")
    shares = (0.4, 0.2, 0.12, 0.1, 0.13, 0.05)
    chosen = np.random.default_rng([seed, 10]).choice(len(names), p=shares)
    return names[int(chosen)]


def dvs_of(settings: StreetSettings, scenario: Scenario) -> DvsModel:
    """Return the event sensor of a drive; faults and physics of the scenario's are kept."""
    return replace(
        scenario.dvs,
        threshold_on=settings.threshold_on,
        threshold_off=settings.threshold_off,
        threshold_sigma=settings.threshold_sigma,
        shot_hz=settings.shot_hz,
        leak_hz=settings.leak_hz,
        hot_share=settings.hot_share,
        cutoff_hz=settings.cutoff_hz,
        refractory_us=settings.refractory_us,
    )


def aps_of(settings: StreetSettings, scenario: Scenario) -> ApsModel:
    """Return the frame sensor of a drive, its gain set for the light."""
    return replace(scenario.aps, gain=scenario.aps.gain / settings.light)


def light_of(settings: StreetSettings, scenario: Scenario) -> Light:
    """Return the light of a drive."""
    usual = scenario.light
    left, right = (usual.right, usual.left) if settings.mirrored else (usual.left, usual.right)
    k = settings.light
    return usual._replace(
        ambient=k * usual.ambient,
        left=k * left,
        right=k * right,
        sky=k * usual.sky,
        headlamp=k * usual.headlamp,
        lamps=k * usual.lamps,
        glow=k * usual.glow,
        glare=k * usual.glare,
        sun_x=-usual.sun_x if settings.mirrored else usual.sun_x,
    )


def style_of(settings: StreetSettings, *, half_height: float) -> Style:
    """Return the look of a drive.

    Parameters
    ----------
    settings : StreetSettings
    half_height : float
        Tangent of half the vertical angle of view.
    """
    edge = half_height * (2.0 * settings.bonnet - 1.0) if settings.bonnet else -math.inf
    tone = 0.08 if settings.mirrored else 0.3
    return Style(settings.texture, settings.leaves, settings.wires, edge, tone)


def check_version(version: int) -> None:
    """Raise an error for a version that there is not."""
    if version not in VERSIONS:
        raise SimulationError(f"version {version!r} of the street does not exist: choose 1 or 2")


def scenario_names() -> tuple[str, ...]:
    """Return the names of all scenarios, ``random`` last."""
    return (*SCENARIOS, RANDOM)
