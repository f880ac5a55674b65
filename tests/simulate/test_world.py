import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventseg.events import SensorSize
from eventseg.simulate.scene import classes
from eventseg.simulate.scene.camera import drive
from eventseg.simulate.scene.render import render_luminance, render_view, stretch
from eventseg.simulate.scene.scenarios import SCENARIOS
from eventseg.simulate.scene.scenes import street_scene
from eventseg.simulate.scene.world import World
from eventseg.simulate.sensor.noise import grain, pulses, stripe

DAVIS = SensorSize(260, 346)
SMALL = SensorSize(65, 86)


def street(seed, *, rare=True, scenario="day"):
    kind = SCENARIOS[scenario]
    path = drive(seed, focal=65.0, speed=kind.speed, yaw_deg=kind.yaw_deg, yaw_hz=kind.yaw_hz)
    return World(seed, rare, path.speed, kind.crossing), path


@settings(max_examples=60, deadline=None)
@given(
    x=st.floats(-30, 30),
    footprint=st.floats(0.05, 9),
    period=st.floats(0.5, 5),
    duty=st.floats(0.05, 0.95),
)
def test_pulses_are_the_mean_over_the_pixel(x, footprint, period, duty):
    points = x + footprint * ((np.arange(4000) + 0.5) / 4000 - 0.5)
    inside = (points % period) < duty * period
    assert pulses(x, footprint, period, duty * period) == pytest.approx(inside.mean(), abs=0.01)


@settings(max_examples=60, deadline=None)
@given(
    x=st.floats(-3, 3), footprint=st.floats(0.01, 5), low=st.floats(-2, 0), width=st.floats(0, 3)
)
def test_a_stripe_is_the_share_of_the_pixel(x, footprint, low, width):
    points = x + footprint * ((np.arange(4000) + 0.5) / 4000 - 0.5)
    inside = (points >= low) & (points <= low + width)
    assert stripe(x, footprint, low, low + width) == pytest.approx(inside.mean(), abs=0.01)


def test_noise_fades_before_a_pixel_spans_its_period():
    points = np.random.default_rng(0).uniform(-50, 50, (400, 2))

    def spread(footprint):
        return np.std([grain(u, v, footprint, 3, 3) for u, v in points])

    assert spread(0.01) > spread(0.2) > spread(0.6) > 0.0
    assert spread(0.76) == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_every_class_is_seen_within_three_seconds_on_request(seed):
    film, _ = street_scene(seed, "day", DAVIS, rare=True)
    seen = set()
    for t_us in range(0, 3_000_001, 250_000):
        seen |= set(np.unique(film.view(t_us).label).tolist())
    missing = [classes.CLASS_NAMES[i] for i in range(19) if i not in seen]
    assert missing == []


def test_what_is_seen_does_not_depend_on_how_much_street_was_gathered():
    world, path = street(3)
    t_us = 1_234_567.0
    alone = stretch(world, path, t_us, t_us)
    around = stretch(world, path, t_us - 200_000, t_us + 400_000)
    pose = path.pose(t_us)
    for a, b in zip(
        render_view(alone, pose, t_us, SMALL), render_view(around, pose, t_us, SMALL), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    pictures = np.empty((2, *SMALL), np.float32)
    labels = np.empty((2, *SMALL), np.uint8)
    for k, scene in enumerate((alone, around)):
        render_luminance(
            scene, pose, SCENARIOS["day"].light, t_us, wanted=np.ones(SMALL, bool),
            luminance=pictures[k], label=labels[k],
        )  # fmt: skip
    np.testing.assert_array_equal(pictures[0], pictures[1])
    np.testing.assert_array_equal(labels[0], render_view(alone, pose, t_us, SMALL).label)
    assert np.isfinite(pictures).all()
    assert pictures.min() >= 0.0


def project(path, t_us, point, sensor):
    """Return column and row of a world point, by the pin-hole formula."""
    pose = path.pose(t_us)
    x, y, z = pose.rotation.T @ (point - pose.position)
    return np.array(
        [(sensor.width - 1) / 2 + path.focal * x / z, (sensor.height - 1) / 2 - path.focal * y / z]
    )


@pytest.mark.parametrize("scenario", ["day", "fast-turn"])
def test_depth_and_flow_of_the_ground_by_reprojection(scenario):
    world, path = street(5, scenario=scenario)
    t_us, h = 700_000.0, 50.0
    view = render_view(stretch(world, path, t_us, t_us), path.pose(t_us), t_us, SMALL)
    pose = path.pose(t_us)
    rows, cols = np.nonzero(np.isin(view.label, (classes.ROAD, classes.SIDEWALK)))
    assert len(rows) > 500
    for i in range(0, len(rows), 37):
        row, col = int(rows[i]), int(cols[i])
        a, b = (
            (col - (SMALL.width - 1) / 2) / path.focal,
            ((SMALL.height - 1) / 2 - row) / path.focal,
        )
        point = pose.position + view.depth[row, col] * (pose.rotation @ np.array([a, b, 1.0]))
        # Shadows of vehicles lie on the ground as well but move with them.
        if abs(point[1]) > 1e-3 or view.depth[row, col] > 40:
            continue
        moved = project(path, t_us + h, point, SMALL) - project(path, t_us - h, point, SMALL)
        expected = moved / (2 * h * 1e-6)
        got = view.flow[:, row, col]
        np.testing.assert_allclose(got, expected, rtol=0.01, atol=0.05)


def test_sky_is_infinitely_far_and_only_turns():
    film, _ = street_scene(2, "standstill", SMALL, rare=True)
    view = film.view(300_000.0)
    sky = view.label == classes.SKY
    assert sky.any()
    assert np.isinf(view.depth[sky]).all()
    assert np.isfinite(view.depth[~sky]).all()
    assert np.abs(view.flow[:, sky]).max() == 0.0


def test_camera_speed_and_turn_are_derivatives_of_the_pose():
    path = drive(11, focal=260.0, speed=None, yaw_deg=20.0, yaw_hz=0.4)
    for t_us in (0.0, 350_000.0, 2_000_000.0):
        before, after = path.pose(t_us - 10), path.pose(t_us + 10)
        velocity = (after.position - before.position) / 20e-6
        np.testing.assert_allclose(path.pose(t_us).velocity, velocity, atol=1e-5)
        turn = (after.rotation.T @ before.rotation - np.eye(3)) / 20e-6
        np.testing.assert_allclose(path.pose(t_us).spin, turn, atol=1e-3)
        # Yaw to the right is a negative turn about the upward axis.
        yaw = math.atan2(after.rotation[0, 2], after.rotation[2, 2]) - math.atan2(
            before.rotation[0, 2], before.rotation[2, 2]
        )
        _, rate = path.imu(t_us)
        assert rate[1] == pytest.approx(-math.degrees(yaw) / 20e-6, abs=0.3)


def test_imu_at_rest_feels_one_g_upward():
    path = drive(1, focal=260.0, speed=0.0, yaw_deg=0.0, yaw_hz=0.1)
    force, rate = path.imu(123_456)
    np.testing.assert_allclose(force, [0.0, 1.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(rate, 0.0, atol=1e-9)


def test_speed_stays_between_6_and_14_metres_a_second():
    for seed in range(20):
        path = drive(seed, focal=260.0, speed=None, yaw_deg=2.5, yaw_hz=0.12)
        speeds = [path.speed_at(t) for t in range(0, 20_000_000, 500_000)]
        assert min(speeds) >= 6.0
        assert max(speeds) <= 14.0
