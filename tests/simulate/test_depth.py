"""Pictures with depth: closed forms of the warp, files that do not fit, truth that is rebuilt."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from eventseg.events import SensorSize
from eventseg.labels.maps import load_class_table
from eventseg.labels.tables import FOLDER
from eventseg.recordings import open_recording
from eventseg.recordings.truth import MOST_FLOW, Truth, TruthWriter
from eventseg.simulate.depth_files import depth_files
from eventseg.simulate.depth_film import FAR_M, DepthFilm, DepthScene
from eventseg.simulate.depth_shot import at_sensor, grid_of, velocities_of
from eventseg.simulate.image_layouts import find_images
from eventseg.simulate.images import simulate_images
from eventseg.simulate.scene.camera import CameraPath
from eventseg.simulate.scene.classes import IGNORED
from eventseg.simulate.scene.scenarios import SimulationError
from eventseg.simulate.scene.scenes import scene_of
from eventseg_cli.main import main

SENSOR = SensorSize(40, 52)
REFERENCE_US = 100_000


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EVENTSEG_CACHE", str(tmp_path / "cache"))


def scene(depth, *, label=None, instance=None, velocity=((0.0, 0.0, 0.0),), luminance=None):
    """Return a scene of (60, 72) points, whose middle the sensor sees, of focal length 50."""
    shape = (60, 72)
    full = np.broadcast_to(np.asarray(depth, np.float32), shape)
    return DepthScene(
        np.zeros(shape, np.float32) if luminance is None else luminance.astype(np.float32),
        np.zeros(shape, np.uint8) if label is None else label,
        np.ascontiguousarray(full),
        np.zeros(shape, np.int32) if instance is None else instance,
        np.array(velocity),
        50.0,
        29.5,
        35.5,
        10,
        10,
    )


def film(of, *, speed=0.0, **waves):
    path = CameraPath(focal=50.0, speed=speed, lane_x=0.0, height=0.0, **waves)
    return DepthFilm(of, path, SENSOR, t0_us=0, reference_us=REFERENCE_US)


def pictures(of, *times):
    luminance = np.empty((len(times), *SENSOR), np.float32)
    label = np.empty((len(times), *SENSOR), np.uint8)
    with ThreadPoolExecutor(2) as pool:
        of.pictures(np.array(times, np.int64), luminance, label, pool)
    return luminance, label


def centred():
    rows, columns = np.mgrid[0 : SENSOR.height, 0 : SENSOR.width].astype(float)
    return rows - 19.5, columns - 25.5


def test_the_view_at_the_reference_time_is_the_picture():
    rng = np.random.default_rng(1)
    label = rng.integers(0, 5, (60, 72)).astype(np.uint8)
    depth = np.where(np.arange(72) < 30, 4.0, 20.0)
    of = film(scene(depth, label=label), speed=10.0, yaw=((0.1, 3.0, 0.4),))
    _, seen = pictures(of, REFERENCE_US)
    np.testing.assert_array_equal(seen[0], label[10:50, 10:62])
    view = of.view(float(REFERENCE_US))
    np.testing.assert_array_equal(view.label, label[10:50, 10:62])
    np.testing.assert_allclose(view.depth, np.broadcast_to(depth[10:62], SENSOR), rtol=1e-5)


def test_driving_toward_a_wall_enlarges_it_by_the_ratio_of_its_depths():
    rows, columns = np.mgrid[0:60, 0:72].astype(float)
    ramp = 100.0 + 2.0 * (columns - 35.5) + 1.0 * (rows - 29.5)
    of = film(scene(12.0, luminance=ramp), speed=8.0)
    before, after = REFERENCE_US - 60_000, REFERENCE_US + 90_000
    seen, _ = pictures(of, before, REFERENCE_US, after)
    r, c = centred()
    for picture, t_us in zip(seen, (before, REFERENCE_US, after), strict=True):
        now = 12.0 - 8.0 * (t_us - REFERENCE_US) * 1e-6
        # A pixel shows the point that had this place times the ratio of the depths.
        expected = 100.0 + (2.0 * c + r) * now / 12.0
        np.testing.assert_allclose(picture, expected, atol=0.02)
    view = of.view(float(after))
    now = 12.0 - 8.0 * 0.09
    np.testing.assert_allclose(view.depth, now, rtol=1e-5)
    np.testing.assert_allclose(view.flow[0], c * 8.0 / now, atol=1e-3)
    np.testing.assert_allclose(view.flow[1], r * 8.0 / now, atol=1e-3)


def test_what_the_picture_labels_as_ignored_moves_all_the_same():
    label = np.zeros((60, 72), np.uint8)
    label[20:40, 20:50] = IGNORED
    view = film(scene(12.0, label=label), speed=8.0).view(float(REFERENCE_US))
    assert (view.label == IGNORED).sum() == 600
    r, c = centred()
    np.testing.assert_allclose(view.flow, np.stack([c, r]) * 8.0 / 12.0, atol=1e-3)


def test_flow_beyond_a_half_float_is_the_largest_that_is_kept(tmp_path):
    view = film(scene(0.15), speed=1000.0).view(float(REFERENCE_US))
    assert np.abs(view.flow).max() > MOST_FLOW
    writer = TruthWriter(tmp_path / "a.truth.h5", sensor=SENSOR, classes=("a",), recipe={})
    writer.add_frame(0, view)
    writer.close()
    with Truth(tmp_path / "a.truth.h5") as truth:
        expected = view.flow.clip(-MOST_FLOW, MOST_FLOW)
        np.testing.assert_allclose(truth.flow(0), expected, rtol=1e-3)


def test_the_sky_only_turns():
    of = film(scene(FAR_M), speed=15.0, yaw=((0.2, 1.0, 0.0),))
    view = of.view(float(REFERENCE_US))
    assert np.isinf(view.depth).all()
    rate = 0.2 * np.cos(1.0 * REFERENCE_US * 1e-6)
    _, c = centred()
    # Turning right moves everything to the left, by f (1 + a^2) times the rate.
    np.testing.assert_allclose(view.flow[0], -50.0 * (1.0 + (c / 50.0) ** 2) * rate, atol=1e-3)


def test_an_instance_moves_on_its_own_and_uncovers_what_is_behind():
    instance = np.zeros((60, 72), np.int32)
    instance[25:35, 30:40] = 1
    depth = np.where(instance == 1, 5.0, 30.0)
    label = instance.astype(np.uint8)
    of = film(scene(depth, label=label, instance=instance, velocity=((0, 0, 0), (6.0, 0.0, 0.0))))
    after = REFERENCE_US + 100_000
    _, labels = pictures(of, REFERENCE_US, after)
    columns = [np.flatnonzero(one[20] == 1) for one in labels]
    # 6 m/s at 5 m for 0.1 s are 6 pixels of focal length 50.
    np.testing.assert_array_equal(columns[1], columns[0] + 6)
    assert set(np.unique(labels[1])) == {0, 1}
    view = of.view(float(after))
    np.testing.assert_allclose(view.flow[0][view.label == 1], 60.0, atol=1e-3)
    assert np.abs(view.flow[:, view.label == 0]).max() == 0.0


def test_what_lies_beyond_the_picture_is_ignored_and_takes_its_rim():
    of = film(scene(3.0, luminance=np.full((60, 72), 80.0)), speed=20.0)
    seen, label = pictures(of, REFERENCE_US - 90_000)
    assert (label[0] == IGNORED).any()
    assert (label[0][10:30, 15:35] == 0).all()
    np.testing.assert_allclose(seen[0], 80.0, atol=1e-3)
    view = of.view(float(REFERENCE_US - 90_000))
    assert np.abs(view.flow[:, view.label == IGNORED]).max() == 0.0


def test_unknown_depth_is_that_of_the_nearest_pixel_of_its_class():
    label = np.zeros((60, 80), np.uint8)
    label[:, 40:] = 1
    depth = np.full((60, 80), 9.0, np.float32)
    depth[:, 40:] = 3.0
    depth[20:40, 30:44] = np.nan
    gray = np.zeros((60, 80), np.float32)
    ids = np.zeros((60, 80), np.int32)
    settings = {"strength": 1.0, "sky": None}
    _, labels, known, _ = at_sensor(gray, label, depth, ids, SENSOR, **settings)
    scale, rows, columns = grid_of((60, 80), SENSOR, strength=1.0)
    assert labels.shape == known.shape == (rows, columns)
    assert scale == pytest.approx((1 - 0.14) * min(60 / 40, 80 / 52))
    inner = np.ones(known.shape, bool)
    inner[:, columns // 2 - 2 : columns // 2 + 2] = False
    np.testing.assert_array_equal(known[inner], np.where(labels == 0, 9.0, 3.0)[inner])
    _, _, far, _ = at_sensor(gray, label, np.full_like(depth, np.nan), ids, SENSOR, **settings)
    assert (far == FAR_M).all()
    _, _, sky, _ = at_sensor(gray, label, depth, ids, SENSOR, strength=1.0, sky=0)
    assert (sky[labels == 0] == FAR_M).all()


MOTIONS = {
    "walk": {"person", "pedestrian", "human"},
    "ride": {"rider", "bicycle", "bicyclist", "two wheels"},
    "drive": {
        "car", "truck", "bus", "train", "motorcycle", "caravan", "trailer", "vehicle",
        "four wheels",
    },
}  # fmt: skip


def motion_of(name, *, version=2):
    """Return how 200 instances of a class move."""
    ids = np.arange(1, 201, dtype=np.int32)[None]
    rng = np.random.default_rng(1)
    rows, table = velocities_of(
        ids, np.zeros((1, 200), np.uint8), (name,), rng, speed=8.0, version=version
    )
    x, _, z = table[rows[0]].T
    if x.any():
        return "walk"
    return "drive" if 0.2 < np.mean(z == 0.0) < 0.5 else "ride"


@pytest.mark.parametrize("table", sorted(path.stem for path in FOLDER.glob("*.toml")))
def test_people_and_vehicles_of_every_class_table_move_as_such(table):
    classes = load_class_table(table)
    known = set.union(*MOTIONS.values())
    counted = {name for name, one in zip(classes.names, classes.instances, strict=False) if one}
    assert counted <= known
    for name in known.intersection(classes.names):
        assert name in MOTIONS[motion_of(name)]


def test_recipes_without_a_version_move_instances_as_they_did():
    assert [motion_of(name, version=1) for name in ("person", "human", "car", "vehicle")] == [
        "walk",
        "ride",
        "drive",
        "ride",
    ]


@pytest.fixture
def deep(tmp_path):
    """Two pictures with disparity, one with instances, ego-motion beside the first."""
    root, rng = tmp_path / "deep", np.random.default_rng(2)
    for name in ("images", "labels", "disparity", "instances", "vehicle"):
        (root / name).mkdir(parents=True)
    for name in ("a", "b"):
        gray = np.kron(rng.integers(30, 220, (10, 13)), np.ones((8, 8)))
        Image.fromarray(gray.astype(np.uint8)).save(root / "images" / f"{name}.png")
        label = np.zeros((80, 104), np.uint8)
        label[40:, 20:60] = 1
        Image.fromarray(label).save(root / "labels" / f"{name}.png")
        depth = np.where(label == 1, 6.0, 20.0)
        disparity = np.round(256.0 * 0.2 * 90.0 / depth + 1).astype(np.uint16)
        disparity[:4] = 0
        Image.fromarray(disparity).save(root / "disparity" / f"{name}.png")
    Image.fromarray(label).save(root / "instances" / "b.png")
    (root / "camera.json").write_text(
        json.dumps(
            {
                "intrinsic": {"fx": 90.0, "fy": 90.0, "u0": 54.0, "v0": 38.0},
                "extrinsic": {"baseline": 0.2},
            }
        )
    )
    (root / "vehicle" / "a.json").write_text(json.dumps({"speed": 9.0, "yawRate": 0.05}))
    return root


def test_a_recording_with_depth_and_its_truth(tmp_path, deep):
    settings = {"layout": "pairs", "sensor": SENSOR, "shot_us": 60_000, "seed": 4, "depth": True}
    summary = simulate_images(deep, tmp_path / "out", threads=2, **settings)[0]
    again = simulate_images(deep, tmp_path / "again", threads=1, **settings)[0]
    assert summary.recording.read_bytes() == again.recording.read_bytes()
    flat = simulate_images(deep, tmp_path / "flat", **{**settings, "depth": False})[0]
    assert flat.n_events != summary.n_events
    with Truth(summary.truth) as truth, open_recording(summary.recording) as recording:
        assert recording.n_events == summary.n_events > 500
        view_at = scene_of(truth)
        for i, t_us in enumerate(truth.t_us.tolist()):
            view = view_at(t_us)
            np.testing.assert_array_equal(truth.label(i), view.label)
            np.testing.assert_allclose(truth.depth(i), view.depth, rtol=2e-3)
            np.testing.assert_allclose(truth.flow(i), view.flow, rtol=2e-2, atol=0.1)
            assert {6.0, 20.0} <= set(np.round(np.unique(view.depth), 0).tolist())
        assert truth.recipe["depth"]["version"] == 2
        # The first picture says how fast it drives; nothing in it moves on its own.
        camera = truth.recipe["depth"]["cameras"][0]
        assert (camera["speed"], camera["yaw_rate"]) == (9.0, 0.05)
        assert truth.recipe["depth"]["cameras"][1]["speed"] is None


def change_json(path, change):
    table = json.loads(path.read_text())
    change(table)
    path.write_text(json.dumps(table))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "disparity" / "b.png").unlink(), "b.png has no disparity"),
        (lambda root: (root / "camera.json").unlink(), "has no camera"),
        (lambda root: (root / "camera.json").write_text("{"), "cannot read"),
        (lambda root: (root / "camera.json").write_text("[]"), r"no number intrinsic\.fx"),
        (
            lambda root: change_json(
                root / "camera.json", lambda table: table["intrinsic"].update(fx=-1)
            ),
            "must be above 0",
        ),
        (
            lambda root: (root / "vehicle" / "a.json").write_text('{"speed": NaN, "yawRate": 0}'),
            "no number speed",
        ),
        (
            lambda root: (root / "vehicle" / "a.json").write_text('{"speed": 900, "yawRate": 0}'),
            "out of range",
        ),
        (
            lambda root: Image.fromarray(np.zeros((9, 9), np.uint16)).save(
                root / "disparity" / "a.png"
            ),
            "9x9 but its picture is 104x80",
        ),
        (
            lambda root: Image.fromarray(np.zeros((80, 104), np.uint16)).save(
                root / "disparity" / "a.png"
            ),
            "no disparity in any pixel",
        ),
        (lambda root: (root / "disparity" / "a.png").write_bytes(b"x"), "a.png"),
    ],
)
def test_depth_that_cannot_be_used_is_one_error_and_leaves_nothing(tmp_path, deep, damage, message):
    damage(deep)
    with pytest.raises(SimulationError, match=message):
        simulate_images(
            deep, tmp_path / "out", layout="pairs", sensor=SENSOR, shot_us=40_000, depth=True
        )
    out = tmp_path / "out"
    assert not out.exists() or list(out.iterdir()) == []


def test_depth_that_a_later_part_lacks_is_seen_before_the_first_is_recorded(tmp_path, deep):
    (deep / "classes.toml").write_text(
        'classes = [{ id = 0, name = "a", colour = [0, 0, 0] },'
        ' { id = 1, name = "b", colour = [9, 9, 9] }]'
    )
    for part, name in (("train", "a.png"), ("val", "b.png")):
        for kind in ("images", "labels", "disparity"):
            (deep / kind / part).mkdir()
            (deep / kind / name).rename(deep / kind / part / name)
    settings = {"layout": "own", "sensor": SENSOR, "shot_us": 40_000, "depth": True}
    lost = deep / "disparity/val/b.png"
    lost.rename(tmp_path / "b.png")
    with pytest.raises(SimulationError, match=r"b\.png has no disparity"):
        simulate_images(deep, tmp_path / "out", **settings)
    assert not list(tmp_path.glob("out/*"))
    (tmp_path / "b.png").rename(lost)
    made = simulate_images(deep, tmp_path / "out", **settings)
    assert [one.recording.name for one in made] == ["train.hdf5", "val.hdf5"]


def test_a_drive_may_have_the_name_of_the_folder_of_pictures(deep):
    for kind in ("images", "labels", "disparity", "instances", "vehicle"):
        files = list((deep / kind).iterdir())
        (deep / kind / "train" / "images").mkdir(parents=True)
        for file in files:
            file.rename(deep / kind / "train" / "images" / file.name)
    (deep / "classes.toml").write_text(
        'classes = [{ id = 0, name = "a", colour = [0, 0, 0] },'
        ' { id = 1, name = "b", colour = [9, 9, 9] }]'
    )
    (items,) = find_images(deep, "own").parts.values()
    first, second = (depth_files(item, "own", root=deep) for item in items)
    assert first.disparity == deep / "disparity/train/images/a.png"
    assert first.vehicle == deep / "vehicle/train/images/a.json"
    assert second.instances == deep / "instances/train/images/b.png"


def test_the_command_takes_depth_and_refuses_layouts_without(tmp_path, deep):
    arguments = ["simulate", "images", str(deep), str(tmp_path / "out"), "--sensor", "52x40"]
    arguments += ["--shot", "40ms", "--limit", "1", "--depth"]
    result = CliRunner().invoke(main, [*arguments, "--layout", "pairs"])
    assert result.exit_code == 0, result.output
    train, annot = tmp_path / "set" / "train", tmp_path / "set" / "trainannot"
    for folder in (train, annot):
        folder.mkdir(parents=True)
        Image.fromarray(np.zeros((40, 52), np.uint8)).save(folder / "a.png")
    arguments[2:4] = [str(tmp_path / "set"), str(tmp_path / "none")]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stderr) == (
        1,
        "error: layout 'camvid' has no depth: choose own, cityscapes or pairs, or leave out "
        "depth\n",
    )
