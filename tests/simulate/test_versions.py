"""Versions of the street: 1 has the bytes it always had, 2 its settings, bonnet and thin things."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.recordings import open_recording
from eventseg.recordings.truth import Truth
from eventseg.simulate.scene import classes
from eventseg.simulate.scene.scenarios import SCENARIOS, SimulationError
from eventseg.simulate.scene.scenes import scene_of, street_scene
from eventseg.simulate.scene.settings import (
    LIMITS,
    SET_BY_VOLTAGE,
    StreetSettings,
    draw_settings,
    scenario_of,
)
from eventseg.simulate.street import simulate_street

SENSOR = SensorSize(48, 64)
SMALL = SensorSize(65, 86)
STILL = {"speed_m_s": 0.0, "vibration_deg": 0.0}

FIRST_RELEASES = {
    ("day", 7): "1707f216c1097b13",
    ("night", 3): "e877b9fa7d6118a3",
    ("crossing", 5): "5e4ef557c4acf4da",
    ("voltmeter", 2): "5772790085c2ea43",
}
"""Digests of events and label maps of version 1, taken before there was another."""


def content(recording, truth):
    """Return a digest of what is in a recording and its truth, apart from the files' layout."""
    digest = hashlib.sha256()
    with open_recording(recording, sensor=SENSOR) as opened, Truth(truth) as true:
        events = opened.events()
        for column in (events.t, events.x, events.y, events.p, *true.events()):
            digest.update(np.ascontiguousarray(column).tobytes())
        for i in range(len(true.t_us)):
            digest.update(true.label(i).tobytes() + opened.frames.image(i).tobytes())
    return digest.hexdigest()[:16]


@pytest.mark.parametrize(("scenario", "seed"), FIRST_RELEASES)
def test_version_1_is_that_of_the_first_releases(tmp_path, scenario, seed):
    drive = simulate_street(
        tmp_path / "drive.hdf5",
        duration_us=120_000,
        seed=seed,
        scenario=scenario,
        sensor=SENSOR,
        threads=1,
        version=1,
    )
    assert content(drive.recording, drive.truth) == FIRST_RELEASES[scenario, seed]
    with Truth(drive.truth) as truth:
        assert "version" not in truth.recipe


def test_version_2_is_the_default_and_its_truth_says_how_it_was_made(tmp_path):
    drive = simulate_street(
        tmp_path / "drive.hdf5",
        duration_us=60_000,
        seed=3,
        sensor=SENSOR,
        threads=1,
        mounting="roof",
        settings={"threshold_on": 0.4},
    )
    drawn = draw_settings(3, SCENARIOS["day"], mounting="roof", given={"threshold_on": 0.4})
    with Truth(drive.truth) as truth:
        assert (truth.recipe["version"], truth.recipe["mounting"]) == (2, "roof")
        assert StreetSettings(**truth.recipe["settings"]) == drawn
        np.testing.assert_array_equal(truth.label(0), scene_of(truth)(int(truth.t_us[0])).label)
        truth.recipe["version"] = 3
        with pytest.raises(RecordingError, match="version 3: update eventseg"):
            scene_of(truth)


def test_settings_differ_from_seed_to_seed_and_lie_within_their_limits():
    drawn = [draw_settings(seed, SCENARIOS["day"]) for seed in range(60)]
    for name, (low, high) in LIMITS.items():
        values = [getattr(one, name) for one in drawn]
        assert len(set(values)) >= 2
        assert all(low <= value <= high for value in values)
    given = draw_settings(5, SCENARIOS["day"], given={"texture": 0.5})
    assert given == replace(drawn[5], texture=0.5)
    night = draw_settings(5, SCENARIOS["night"])
    assert night.shot_hz == pytest.approx(2.0 * drawn[5].shot_hz)
    assert draw_settings(5, SCENARIOS["standstill"]).speed_m_s == 0.0
    assert draw_settings(5, SCENARIOS["faulty-pixels"]).hot_share == 0.01
    roof = [draw_settings(seed, SCENARIOS["day"], mounting="roof") for seed in range(20)]
    assert min(one.height_m for one in roof) > max(one.height_m for one in drawn)
    for name in SET_BY_VOLTAGE:
        with pytest.raises(SimulationError, match=f"{name} has no effect in the scenario voltm"):
            draw_settings(5, SCENARIOS["voltmeter"], given={"texture": 0.5, name: 0.3})
    assert draw_settings(5, SCENARIOS["voltmeter"], given={"texture": 0.5}).texture == 0.5
    assert {scenario_of(seed, "random") for seed in range(60)} >= {"day", "night", "fast-turn"}
    assert scenario_of(4, "glare") == "glare"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 3}, "choose 1 or 2"),
        ({"mounting": "drone"}, "choose one of windscreen, roof"),
        ({"settings": {"contrast": 1.0}}, "unknown setting 'contrast'"),
        ({"settings": {"threshold_on": 9.0}}, r"must be a number, 0\.05 to 2"),
        ({"settings": {"threshold_on": "low"}}, "must be a number"),
        ({"settings": {"threshold_on": float("nan")}}, "must be a number"),
        ({"settings": {"threshold_on": True}}, "threshold_on = True must be a number"),
        ({"settings": {"wires": 1.5}}, "whole number"),
        ({"version": 1, "settings": {"wires": 1}}, "are of version 2"),
        ({"version": 1, "mounting": "roof"}, "are of version 2"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path, change, message):
    arguments = {"duration_us": 50_000, "seed": 1, "sensor": SENSOR} | change
    with pytest.raises(SimulationError, match=message):
        simulate_street(tmp_path / "out.hdf5", **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seed", range(5))
def test_every_class_is_seen_within_four_seconds(seed):
    settings = draw_settings(seed, SCENARIOS["day"])
    film, _ = street_scene(seed, "day", SensorSize(260, 346), rare=True, settings=settings)
    seen = set()
    for t_us in range(0, 4_000_001, 250_000):
        seen |= set(np.unique(film.view(t_us).label).tolist())
    assert [classes.CLASS_NAMES[i] for i in range(19) if i not in seen] == []


def test_bonnet_is_ignored_and_moves_with_the_camera():
    settings = replace(draw_settings(2, SCENARIOS["day"]), bonnet=0.2, vibration_deg=0.3)
    film, _ = street_scene(2, "day", SMALL, rare=True, settings=settings)
    views = [film.view(t_us) for t_us in (0.0, 400_000.0)]
    bonnet = views[0].label == classes.IGNORED
    np.testing.assert_array_equal(bonnet, views[1].label == classes.IGNORED)
    assert bonnet[-1].all()
    assert bonnet[:, SMALL.width // 2].mean() == pytest.approx(0.2, abs=0.02)
    assert np.abs(views[1].flow[:, bonnet]).max() == 0.0
    assert np.abs(views[1].flow[:, ~bonnet]).max() > 0.0
    pictures, labels = pictures_of(film, [0, 400_000])
    np.testing.assert_array_equal(labels[0] == classes.IGNORED, bonnet)
    inner = bonnet & np.roll(bonnet, 1, 0)
    np.testing.assert_allclose(pictures[0][inner], pictures[1][inner], rtol=1e-6)


def pictures_of(film, t_us):
    luminance = np.empty((len(t_us), *SMALL), np.float32)
    label = np.empty((len(t_us), *SMALL), np.uint8)
    with ThreadPoolExecutor(1) as pool:
        film.pictures(np.array(t_us), luminance, label, pool)
    return luminance, label


def test_wires_darken_the_picture_and_leave_the_labels():
    settings = replace(draw_settings(2, SCENARIOS["day"]), wires=4)
    bare, wired = (
        street_scene(2, "day", SMALL, rare=True, settings=one)[0]
        for one in (replace(settings, thin=0.0), settings)
    )
    assert (bare.view(0.0).label != wired.view(0.0).label).any()
    hung, dark = (
        pictures_of(street_scene(2, "day", SMALL, rare=True, settings=one)[0], [0])
        for one in (replace(settings, wires=1), settings)
    )
    np.testing.assert_array_equal(hung[1], dark[1])
    assert (dark[0] <= hung[0] + 1e-4).all()
    changed = dark[0] < hung[0] - 1.0
    assert 20 < changed.sum() < 0.2 * changed.size


def test_railings_and_bare_trees_show_what_is_behind_them():
    settings = replace(draw_settings(1, SCENARIOS["day"]), thin=1.0, speed_m_s=5.0)
    film, _ = street_scene(1, "day", SensorSize(260, 346), rare=False, settings=settings)
    without, _ = street_scene(
        1, "day", SensorSize(260, 346), rare=False, settings=replace(settings, thin=0.0)
    )
    view, plain = film.view(0.0), without.view(0.0)
    nearer = view.depth < plain.depth
    added = view.label[nearer]
    assert {classes.POLE, classes.FENCE, classes.VEGETATION} <= set(added.tolist())
    np.testing.assert_array_equal(view.label[~nearer], plain.label[~nearer])


def test_vibration_is_part_of_the_pose_and_its_size_is_the_setting():
    settings = replace(draw_settings(4, SCENARIOS["day"]), vibration_deg=0.3, speed_m_s=8.0)
    _, shaken = street_scene(4, "day", SMALL, rare=True, settings=settings)
    _, steady = street_scene(
        4, "day", SMALL, rare=True, settings=replace(settings, vibration_deg=0.0)
    )
    times = np.arange(0.0, 20e6, 3_337.0)
    angles = [
        np.degrees(np.arccos(np.clip((np.trace(a.T @ b) - 1.0) / 2.0, -1.0, 1.0)))
        for a, b in ((shaken.pose(t).rotation, steady.pose(t).rotation) for t in times)
    ]
    assert np.sqrt(np.mean(np.square(angles))) == pytest.approx(0.3, rel=0.1)
    for t_us in (0.0, 350_000.0):
        before, after = shaken.pose(t_us - 10).rotation, shaken.pose(t_us + 10).rotation
        turn = (after.T @ before - np.eye(3)) / 20e-6
        np.testing.assert_allclose(shaken.pose(t_us).spin, turn, atol=2e-3)
    assert shaken.pose(0.0).position[1] == pytest.approx(settings.height_m, abs=0.05)
    assert shaken.focal == pytest.approx(260.0 * 86 / 346 * settings.focal)


def test_what_a_still_camera_sees_of_its_bonnet_is_noise(tmp_path):
    drive = simulate_street(
        tmp_path / "still.hdf5",
        duration_us=200_000,
        seed=9,
        sensor=SENSOR,
        settings={**STILL, "shot_hz": 1.0, "bonnet": 0.3},
    )
    with Truth(drive.truth) as truth:
        label, signal = truth.events()
    on_bonnet = label == classes.IGNORED
    assert on_bonnet.sum() > 10
    # Its edge shares pixels with what moves behind it.
    assert signal[on_bonnet].mean() < 0.05
