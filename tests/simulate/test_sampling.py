"""Adaptive sampling: parts equal the whole, straight tiles are left out, threads do not matter."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from click.testing import CliRunner

from eventseg.events import SensorSize
from eventseg.recordings import open_recording
from eventseg.recordings.truth import Truth
from eventseg.simulate import sampling
from eventseg.simulate.sampling import TILE, Sampler, bent_tiles, fill_between
from eventseg.simulate.scene.scenarios import SCENARIOS, SimulationError
from eventseg.simulate.scene.scenes import street_scene
from eventseg.simulate.scene.settings import draw_settings
from eventseg.simulate.sensor.dvs import DvsSensor
from eventseg.simulate.sensor.dvs_kernel import Seen
from eventseg.simulate.sensor.dvs_model import DvsModel
from eventseg.simulate.street import simulate_street
from eventseg_cli.main import main

SENSOR = SensorSize(41, 50)


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(2) as executor:
        yield executor


def drive(path, **changes):
    arguments = {"duration_us": 70_000, "seed": 3, "sensor": SENSOR, "threads": 1, "step_us": 1000}
    return simulate_street(path, **(arguments | changes))


def contents(summary):
    with open_recording(summary.recording) as opened, Truth(summary.truth) as truth:
        events = opened.events()
        images = [opened.frames.image(i) for i in range(len(truth.t_us))]
        return [events.t, events.x, events.y, events.p, *truth.events(), *images]


def test_wanted_pixels_equal_those_of_the_whole_picture(pool):
    settings = draw_settings(4, SCENARIOS["day"])
    film, _ = street_scene(4, "day", SENSOR, rare=True, settings=settings)
    whole, labels = np.empty((1, *SENSOR), np.float32), np.empty((1, *SENSOR), np.uint8)
    film.pictures(np.array([800_000]), whole, labels, pool)
    render = film.between(700_000.0, 900_000.0)
    rng = np.random.default_rng(0)
    for share in (0.01, 0.3):
        wanted = rng.random(SENSOR) < share
        part, kinds = np.zeros(SENSOR, np.float32), np.zeros(SENSOR, np.uint8)
        render(800_000.0, wanted, part, kinds)
        np.testing.assert_array_equal(part[wanted], whole[0][wanted])
        np.testing.assert_array_equal(kinds[wanted], labels[0][wanted])


def test_a_sampler_that_finds_all_bent_gives_the_bytes_of_the_fixed_rate(tmp_path, monkeypatch):
    fixed = contents(drive(tmp_path / "fixed.hdf5"))
    monkeypatch.setattr(sampling, "bent_tiles", lambda *given: np.copyto(given[-1], given[-2]))
    for duration_us in (70_000, 64_300):
        adaptive = contents(
            drive(tmp_path / "adaptive.hdf5", tolerance=0.05, duration_us=duration_us)
        )
        if duration_us != 70_000:
            fixed = contents(drive(tmp_path / "fixed.hdf5", duration_us=duration_us))
        for one, other in zip(fixed, adaptive, strict=True):
            np.testing.assert_array_equal(one, other)


def test_adaptive_drives_do_not_depend_on_threads_and_say_how_they_were_made(tmp_path):
    one = drive(tmp_path / "one.hdf5", tolerance=0.05)
    three = drive(tmp_path / "three.hdf5", tolerance=0.05, threads=3)
    assert one.recording.read_bytes() == three.recording.read_bytes()
    assert one.truth.read_bytes() == three.truth.read_bytes()
    with Truth(one.truth) as truth:
        assert (truth.recipe["tolerance"], truth.recipe["step_us"]) == (0.05, 1000)
    fine = drive(tmp_path / "fine.hdf5", step_us=250)
    assert one.n_events == pytest.approx(fine.n_events, rel=0.05)
    with pytest.raises(SimulationError, match=r"tolerance of 2\.0 is out of range"):
        drive(tmp_path / "none.hdf5", tolerance=2.0)


class Ramp:
    """Half of the picture stays, the other brightens by a jump in the middle of the stretch."""

    def __init__(self):
        self.rendered = []

    def between(self, _t0_us, _t1_us):
        def render(t_us, wanted, luminance, label):
            self.rendered.append((t_us, wanted.mean()))
            picture = np.full(luminance.shape, 50.0, np.float32)
            picture[:, 16:] = 50.0 if t_us < 9_500.0 else 100.0
            luminance[wanted], label[wanted] = picture[wanted], 1

        return render


def test_only_tiles_that_bend_are_rendered_again(pool):
    film, size = Ramp(), SensorSize(16, 32)
    sampler = Sampler(film, size, step_us=1000, tolerance=0.05)
    light, label = np.full((17, *size), 50.0, np.float32), np.ones((17, *size), np.uint8)
    seen = sampler.take(np.arange(17) * 1000, light, label, pool)
    lists = [seen.pictures[t, : seen.counts[t]].tolist() for t in range(4)]
    # Middle and end; where it jumps, the halves around the jump down to the finest step.
    assert lists[0] == lists[2] == [7, 15]
    assert lists[1] == lists[3] == [3, 7, 8, 9, 10, 11, 13, 15]
    assert sampler.rendered == (2 * 2 + 2 * 8) * TILE.height * TILE.width
    fill_between(light, seen, np.ones(16, np.bool_))
    np.testing.assert_array_equal(light[1:, 0, 0], 50.0)
    np.testing.assert_array_equal(light[1:, 0, 20], [50] * 9 + [100] * 7)


def test_a_tile_bends_by_light_and_by_class():
    light, label = np.full((3, 8, 16), 95.0, np.float32), np.zeros((3, 8, 16), np.uint8)
    chosen = np.ones((1, 1), np.bool_)

    def bends():
        bent = np.zeros_like(chosen)
        bent_tiles(*light, *label, np.float32(np.exp(2 * 0.05)), chosen, bent)
        return bool(bent[0, 0])

    assert not bends()
    light[1, 3, 4] = 100.0 * np.exp(0.049) - 5.0
    assert not bends()
    light[1, 3, 4] = 100.0 * np.exp(-0.051) - 5.0
    assert bends()
    light[1, 3, 4] = 95.0
    label[2, 7, 15] = 3
    assert bends()


def test_a_ramp_has_its_events_however_seldom_it_is_seen(pool):
    model = DvsModel(
        threshold_sigma=0.0,
        cutoff_hz=0.0,
        refractory_us=0,
        leak_hz=0.0,
        shot_hz=0.0,
        hot_share=0.0,
        random_phase=False,
    )
    times = np.arange(0, 33_000, 1000)
    film = np.exp(3.0 + times * 5e-5)[:, None, None] * np.ones((1, 2, 2))
    light, labels = film.astype(np.float32), np.zeros(film.shape, np.uint8)
    lists = np.tile(np.arange(32, dtype=np.int32), (2, 1))
    lists[1, :2] = 11, 31
    # Two tiles, one above the other: the lower sees two pictures.
    seen = Seen(lists, np.array([32, 2], np.int32), 2, 2, 1, 1)
    sensor = DvsSensor(SensorSize(2, 2), model, seed=1)
    sensor.start(light[0], labels[0], 0)
    events = sensor.step(light[1:], labels[1:], times[1:], pool=pool, bands=2, seen=seen)
    above, below = (events.t[(events.y == y) & (events.x == 0)] for y in (0, 1))
    assert len(above) == 6
    np.testing.assert_allclose(above, below, rtol=0, atol=2)


def test_the_command_takes_step_and_tolerance_and_refuses_what_cannot_be(tmp_path):
    def street(*words):
        arguments = ["--duration", "40ms", "--sensor", "50x41", "--threads", "1", "--quiet", *words]
        return CliRunner().invoke(
            main, ["simulate", "street", str(tmp_path / "a.hdf5"), *arguments]
        )

    for words, message in (
        (("--tolerance", "7"), "a tolerance of 7.0 is out of range"),
        (("--step", "20ms"), "a step of 20000 us is out of range: 50 to 10000 us"),
    ):
        refused = street(*words)
        assert refused.exit_code == 1
        assert message in refused.output
    assert street("--step", "4ms", "--tolerance", "0.2").exit_code == 0
    with Truth(tmp_path / "a.truth.h5") as truth:
        assert (truth.recipe["step_us"], truth.recipe["tolerance"]) == (4000, 0.2)
