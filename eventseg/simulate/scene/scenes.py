"""Reconstruction of a recording's scene from the recipe in its truth file."""

from __future__ import annotations

from collections.abc import Callable

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.recordings.truth import Truth
from eventseg.simulate.image_film import ImageFilm, Motion
from eventseg.simulate.scene.camera import CameraPath, drive
from eventseg.simulate.scene.film import StreetFilm
from eventseg.simulate.scene.render import View
from eventseg.simulate.scene.scenarios import scenario_named
from eventseg.simulate.scene.world import World


def street_scene(
    seed: int, scenario: str, sensor: SensorSize, *, rare: bool
) -> tuple[StreetFilm, CameraPath]:
    """Return the film of a street and the drive through it."""
    kind = scenario_named(scenario)
    path = drive(
        seed,
        # The lens of the original camera: a sensor of any size sees the same width of street.
        focal=260.0 * sensor.width / 346.0,
        speed=kind.speed,
        yaw_deg=kind.yaw_deg,
        yaw_hz=kind.yaw_hz,
    )
    world = World(seed, rare, path.speed, kind.crossing)
    return StreetFilm(world, path, kind.light, sensor), path


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


def _view_of(truth: Truth) -> Callable[[float], View]:
    """Return the function that renders a view, in us from the recording's begin."""
    recipe = truth.recipe
    if recipe["kind"] == "street":
        film, _ = street_scene(
            recipe["seed"], recipe["scenario"], truth.sensor, rare=recipe["rare"]
        )
        return film.view
    if recipe["kind"] == "images":
        shot_us, offsets = recipe["shot_us"], truth.source("offset")
        sizes = truth.source("size")
        seed, scale = recipe["seed"], recipe["strength"]

        def view(t_us: float) -> View:
            # A shot ends with its last microsecond; the next one begins after it.
            shot = min(len(sizes) - 1, int(max(0.0, t_us - 1) // shot_us))
            height, width = (int(n) for n in sizes[shot])
            start = int(offsets[shot])
            label = truth.source("label", slice(start, start + height * width))
            motion = Motion.draw(seed, shot, (height, width), truth.sensor, strength=scale)
            flat = label.reshape(height, width)
            return ImageFilm(None, flat, motion, truth.sensor, shot * shot_us).view(t_us)

        return view
    raise RecordingError(f"{truth.path} was made by an unknown simulation, {recipe['kind']!r}")
