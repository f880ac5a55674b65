"""Reconstruction of a recording's scene from the recipe in its truth file."""

from __future__ import annotations

import math
from collections.abc import Callable

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.recordings.truth import Truth
from eventseg.simulate.scene.camera import CameraPath, drive, mounted
from eventseg.simulate.scene.film import StreetFilm
from eventseg.simulate.scene.render import View
from eventseg.simulate.scene.scenarios import scenario_named
from eventseg.simulate.scene.settings import VERSIONS, StreetSettings, light_of, style_of
from eventseg.simulate.scene.world import World


def street_scene(
    seed: int,
    scenario: str,
    sensor: SensorSize,
    *,
    rare: bool,
    settings: StreetSettings | None = None,
) -> tuple[StreetFilm, CameraPath]:
    """Return the film of a street and the drive through it.

    Parameters
    ----------
    seed, scenario, sensor
        As in ``simulate_street``.
    rare : bool
        Place each class near the start.
    settings : StreetSettings, optional
        Settings of a street of version 2; None for version 1.
    """
    kind = scenario_named(scenario)
    # The lens of the original camera: a sensor of any size sees the same width of street.
    focal = 260.0 * sensor.width / 346.0
    path = drive(
        seed,
        focal=focal if settings is None else focal * settings.focal,
        speed=kind.speed if settings is None else settings.speed_m_s,
        yaw_deg=kind.yaw_deg,
        yaw_hz=kind.yaw_hz,
    )
    if settings is None:
        world = World(seed, rare, path.speed, kind.crossing)
        return StreetFilm(world, path, kind.light, sensor), path
    path = mounted(
        path,
        seed,
        height=settings.height_m,
        tilt=math.radians(settings.pitch_deg),
        vibration=math.radians(settings.vibration_deg),
    )
    world = World(
        seed,
        rare,
        path.speed,
        kind.crossing,
        plain=settings.plain,
        thin=settings.thin,
        wired=settings.wires > 0,
    )
    style = style_of(settings, half_height=0.5 * sensor.height / path.focal)
    return StreetFilm(world, path, light_of(settings, kind), sensor, style), path


def scene_of(truth: Truth) -> Callable[[float], View]:
    """Return the function that renders labels, depth and flow at a time of the recording.

    Nothing is interpolated: the scene is rendered again for that microsecond.

    Parameters
    ----------
    truth : Truth

    Returns
    -------
    callable
        Takes a time of the recording's clock in us; raises a RecordingError outside the recording.

    Raises
    ------
    RecordingError
        The recipe is of a kind this version does not know.
    """
    start, end = truth.recipe["t0_us"], truth.recipe["t1_us"]
    view = _view_of(truth)

    def at(t_us: float) -> View:
        if not start <= t_us <= end:
            raise RecordingError(f"{t_us} us is outside the recording, [{start}, {end}] us")
        return view(t_us - start)

    return at


def _settings_of(truth: Truth) -> StreetSettings | None:
    """Return the settings of a street of version 2, None of version 1, which names no version."""
    version = truth.recipe.get("version", 1)
    if version not in VERSIONS:
        raise RecordingError(f"{truth.path} holds a street of version {version}: update eventseg")
    return None if version == 1 else StreetSettings(**truth.recipe["settings"])


def _view_of(truth: Truth) -> Callable[[float], View]:
    """Return the function that renders a view, in us from the recording's begin."""
    recipe = truth.recipe
    if recipe["kind"] == "street":
        film, _ = street_scene(
            recipe["seed"],
            recipe["scenario"],
            truth.sensor,
            rare=recipe["rare"],
            settings=_settings_of(truth),
        )
        return film.view
    if recipe["kind"] == "images":
        # Loaded here: these load SciPy, of which streets have no need.
        from eventseg.simulate.depth_shot import film_of_shot
        from eventseg.simulate.image_film import ImageFilm, Motion

        shot_us, offsets = recipe["shot_us"], truth.source("offset")
        sizes = truth.source("size")
        seed, scale = recipe["seed"], recipe["strength"]

        deep = "depth" in recipe

        def view(t_us: float) -> View:
            # A shot ends with its last microsecond; the next one begins after it.
            shot = min(len(sizes) - 1, int(max(0.0, t_us - 1) // shot_us))
            height, width = (int(n) for n in sizes[shot])
            start = int(offsets[shot])
            part = slice(start, start + height * width)
            label = truth.source("label", part)
            if deep:
                maps = [
                    values.reshape(height, width)
                    for values in (
                        label,
                        truth.source("depth", part),
                        truth.source("instance", part),
                    )
                ]
                film = film_of_shot(
                    recipe, shot, None, *maps, classes=truth.classes, sensor=truth.sensor
                )
                return film.view(t_us)
            motion = Motion.draw(seed, shot, (height, width), truth.sensor, strength=scale)
            flat = label.reshape(height, width)
            return ImageFilm(None, flat, motion, truth.sensor, shot * shot_us).view(t_us)

        return view
    raise RecordingError(f"{truth.path} was made by an unknown simulation, {recipe['kind']!r}")
