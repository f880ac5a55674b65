"""Scenarios as data: light, drive, sensor faults and clock, each by a name."""

from __future__ import annotations

from dataclasses import dataclass, field

from eventseg.errors import EventsegError
from eventseg.simulate.scene.light import Light
from eventseg.simulate.sensor.aps import ApsModel
from eventseg.simulate.sensor.dvs_model import DvsModel, Voltmeter


class SimulationError(EventsegError, ValueError):
    """A simulation that cannot be: unknown scenario, no duration, sizes that do not fit."""


_DAY = Light(
    ambient=230.0,
    left=130.0,
    right=205.0,
    sky=235.0,
    headlamp=0.0,
    lamps=0.0,
    glow=0.0,
    glare=0.0,
    sun_x=0.0,
    sun_y=0.0,
    haze=400.0,
)
_NIGHT = Light(
    ambient=2.0,
    left=3.0,
    right=3.0,
    sky=1.0,
    headlamp=260.0,
    lamps=60.0,
    glow=60.0,
    glare=0.0,
    sun_x=0.0,
    sun_y=0.0,
    haze=300.0,
)
_GLARE = _DAY._replace(left=70.0, right=90.0, glare=3500.0, sun_x=0.12, sun_y=0.16, haze=120.0)


@dataclass(frozen=True)
class Scenario:
    """One kind of drive.

    Parameters
    ----------
    about : str
        One line for people.
    light : Light
    dvs : DvsModel
    aps : ApsModel
    speed : float, optional
        Mean speed of the camera in m/s; None draws one from the seed.
    yaw_deg, yaw_hz : float
        Amplitude and frequency of the slow yaw.
    crossing : bool
        Pedestrians keep crossing ahead.
    start_us : int
        Time of the sensor's clock at the start.
    reset_at : float, optional
        Share of the drive after which the sensor's clock is reset to zero.
    wraps : bool
        The 31-bit clock runs over in the middle of the drive; overrides ``start_us``.
    """

    about: str
    light: Light = _DAY
    dvs: DvsModel = field(default_factory=DvsModel)
    aps: ApsModel = field(default_factory=ApsModel)
    speed: float | None = None
    yaw_deg: float = 2.5
    yaw_hz: float = 0.12
    crossing: bool = False
    start_us: int = 11_000_000
    reset_at: float | None = None
    wraps: bool = False


_NIGHT_APS = ApsModel(frame_hz=25.0, exposure_us=24_000, gain=2.5, read_noise=2.0)

SCENARIOS: dict[str, Scenario] = {
    "day": Scenario("a street in daylight"),
    "night": Scenario(
        "head lamps, street lamps, lit windows; slow and noisy pixels",
        light=_NIGHT,
        dvs=DvsModel(shot_hz=1.2, leak_hz=0.12),
        aps=_NIGHT_APS,
    ),
    "glare": Scenario(
        "a low sun ahead and haze", light=_GLARE, aps=ApsModel(exposure_us=5_000, gain=1.1)
    ),
    "standstill": Scenario("the camera waits, traffic does not", speed=0.0, yaw_deg=0.0),
    "fast-turn": Scenario("the camera swings up to 75 deg/s", yaw_deg=30.0, yaw_hz=0.4),
    "crossing": Scenario("pedestrians cross ahead all the time", crossing=True, speed=6.0),
    "faulty-pixels": Scenario(
        "1 % hot and 1 % dead pixels", dvs=DvsModel(hot_share=0.01, hot_hz=60.0, dead_share=0.01)
    ),
    "clock-reset": Scenario("the sensor's clock restarts halfway", reset_at=0.5),
    "wrap": Scenario("the 31-bit clock runs over halfway", wraps=True),
    "voltmeter": Scenario(
        "noise of DVS-Voltmeter with its DAVIS346 constants",
        dvs=DvsModel(voltmeter=Voltmeter()),
    ),
}
"""All scenarios by name."""

RANDOM = "random"
"""Scenario that is drawn from the seed, for streets of version 2."""


def scenario_named(name: str) -> Scenario:
    """Return a scenario.

    Raises
    ------
    SimulationError
        There is none of that name.
    """
    if name not in SCENARIOS:
        raise SimulationError(
            f"unknown scenario {name!r}: choose one of {', '.join((*SCENARIOS, RANDOM))}"
        )
    return SCENARIOS[name]
