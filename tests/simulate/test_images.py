import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from eventseg.dataset import encode_dataset, open_dataset
from eventseg.events import SensorSize
from eventseg.labels.maps import load_class_table, table_of
from eventseg.recordings import open_recording
from eventseg.recordings.truth import Truth
from eventseg.simulate.image_film import Motion, low_passed, warp_luminance
from eventseg.simulate.image_layouts import find_images, load_pair
from eventseg.simulate.images import simulate_images
from eventseg.simulate.scene.scenarios import SimulationError
from eventseg.simulate.scene.scenes import scene_of
from eventseg.sources import open_source
from eventseg_cli.main import main

SENSOR = SensorSize(40, 56)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("EVENTSEG_CACHE", str(tmp_path_factory.mktemp("cache")))


def picture(seed, *, colour=False, size=(60, 80)):
    """A picture of smooth blobs and its labels."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(20, 235, (8, 10), np.uint8))
    gray = np.asarray(coarse.resize((size[1], size[0]), Image.Resampling.BICUBIC))
    return np.stack([gray] * 3, -1) if colour else gray, (gray // 64).astype(np.uint8)


def put(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.fixture
def camvid(tmp_path):
    for part, seeds in (("train", (1, 2, 3)), ("test", (4,))):
        for seed in seeds:
            gray, label = picture(seed, colour=seed == 2)
            put(tmp_path / "set" / part / f"{seed}.png", gray)
            put(tmp_path / "set" / f"{part}annot" / f"{seed}.png", label)
    return tmp_path / "set"


def run(folder, out, **options):
    return simulate_images(folder, out, sensor=SENSOR, threads=2, shot_us=60_000, **options)


def test_stripes_finer_than_the_sensor_become_gray():
    stripes = np.tile((((np.arange(128) + 1) // 2) % 2).astype(np.float64), (128, 1))
    half = np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    seen = np.empty((64, 64), np.float32)
    warp_luminance(low_passed(stripes, scale=2.0), half, seen)
    assert stripes.std() == 0.5
    assert seen[:, 2:-2].std() <= 0.25  # that of the average over the area
    warp_luminance(stripes.astype(np.float32), half, seen)
    assert seen.std() > 0.25


def test_camvid_becomes_one_recording_a_part(camvid, tmp_path):
    shares = []
    summaries = run(camvid, tmp_path / "out", seed=5, progress=lambda now: shares.append(now.share))
    assert [s.recording.name for s in summaries] == ["test.hdf5", "train.hdf5"]
    assert shares == [0.25, 0.5, 0.75, 1.0]
    train = summaries[1]
    assert train.n_frames == 3
    with open_recording(train.recording, sensor=SENSOR) as recording, Truth(train.truth) as truth:
        assert recording.n_events == truth.n_events == train.n_events > 300
        assert truth.recipe["names"] == ["1.png", "2.png", "3.png"]
        assert truth.classes == load_class_table("camvid11").names
        np.testing.assert_array_equal(truth.t_us, recording.frames.t_us)
        # A frame's window never reaches into the shot before.
        assert (np.diff(truth.t_us) == 60_000).all()
        assert recording.frames.image(1).shape == SENSOR


def test_labels_are_the_warped_ones_at_any_time(camvid, tmp_path):
    summary = run(camvid, tmp_path / "out", seed=5)[1]
    with Truth(summary.truth) as truth:
        scene = scene_of(truth)
        for i, seed in enumerate((1, 2, 3)):
            t_us = int(truth.t_us[i])
            np.testing.assert_array_equal(scene(t_us).label, truth.label(i))
            _, label = picture(seed)
            place = Motion.draw(5, i, (60, 80), SENSOR, strength=1.0).at(
                t_us - truth.recipe["t0_us"] - i * 60_000, SENSOR
            )
            for y in range(0, SENSOR.height, 7):
                for x in range(0, SENSOR.width, 5):
                    col, row = np.floor(place @ [x, y, 1] + 0.5).astype(int)
                    assert truth.label(i)[y, x] == label[row, col]


def test_event_class_matches_the_labels(camvid, tmp_path):
    summary = run(camvid, tmp_path / "out", seed=5)[1]
    with Truth(summary.truth) as truth, open_recording(summary.recording, sensor=SENSOR) as r:
        scene = scene_of(truth)
        events = r.events()
        label, signal = truth.events()
        chosen = np.flatnonzero(signal)[:: max(1, int(signal.sum()) // 200)]
        same = [scene(int(events.t[i])).label[events.y[i], events.x[i]] == label[i] for i in chosen]
        # Classes here are bands of gray, so every event lies near a border.
        assert np.mean(same) > 0.97


@pytest.mark.parametrize("strength", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("size", [(360, 480), (50, 200), (1024, 2048)])
def test_the_edge_of_the_picture_never_comes_into_view(strength, size):
    for number in range(20):
        motion = Motion.draw(1, number, size, SENSOR, strength=strength)
        for t_us in range(0, 3_000_000, 100_000):
            place = motion.at(t_us, SENSOR)
            for x in (0, SENSOR.width - 1):
                for y in (0, SENSOR.height - 1):
                    col, row = place @ [x, y, 1]
                    assert 0 <= col <= size[1] - 1
                    assert 0 <= row <= size[0] - 1


def test_flow_carries_a_picture_point_along(camvid, tmp_path):
    summary = run(camvid, tmp_path / "out", seed=5)[1]
    with Truth(summary.truth) as truth:
        start = truth.recipe["t0_us"]
        motion = Motion.draw(5, 0, (60, 80), SENSOR, strength=1.0)
        flow = scene_of(truth)(start + 30_000).flow
        now, later = motion.at(30_000, SENSOR), motion.at(30_100, SENSOR)
        for x, y in ((5, 5), (50, 30), (20, 38)):
            point = now @ [x, y, 1]
            moved = np.linalg.solve(later[:, :2], point - later[:, 2]) - [x, y]
            np.testing.assert_allclose(flow[:, y, x], moved / 1e-4, atol=0.2)


def test_cityscapes_ids_become_training_classes(tmp_path):
    gray, _ = picture(1)
    ids = np.full((60, 80), 4, np.uint8)  # "static" is not trained on
    ids[20:40], ids[40:] = 26, 7
    put(tmp_path / "leftImg8bit/val/bonn/bonn_1_leftImg8bit.png", gray)
    put(tmp_path / "gtFine/val/bonn/bonn_1_gtFine_labelIds.png", ids)
    images = find_images(tmp_path, "cityscapes")
    ((item,),) = images.parts.values()
    _, label = load_pair(item)
    assert np.unique(label).tolist() == [0, 13, 255]


def test_pairs_and_a_limit(tmp_path):
    for seed in range(4):
        gray, label = picture(seed)
        put(tmp_path / "set/images" / f"{seed}.png", gray)
        put(tmp_path / "set/labels" / f"{seed}.png", label)
    (summary,) = run(tmp_path / "set", tmp_path / "out", layout="pairs", limit=2)
    with Truth(summary.truth) as truth:
        assert truth.recipe["names"] == ["0.png", "2.png"]


def test_numbered_classes_are_those_in_use_and_a_table_names_them(tmp_path):
    for seed in range(2):
        gray, label = picture(seed)
        put(tmp_path / "set/images" / f"{seed}.png", gray)
        put(tmp_path / "set/labels" / f"{seed}.png", label)
    numbered = find_images(tmp_path / "set")
    assert (numbered.layout, numbered.named) == ("pairs", False)
    assert numbered.classes.names == ("class 0", "class 1", "class 2", "class 3")
    rows = "".join(f'{{ id = {i}, name = "c{i}", colour = [{i}, 7, 9] }},' for i in range(4))
    (tmp_path / "my.toml").write_text(f"classes = [{rows}]")
    table = load_class_table(tmp_path / "my.toml")
    (summary,) = run(tmp_path / "set", tmp_path / "out", classes=table, limit=1)
    data = tmp_path / "data"
    encode_dataset([summary.recording], data, sensor=SENSOR, windows_us="20ms")
    with open_dataset(data) as dataset:
        assert dataset.manifest.labels["truth"] == table
        assert dataset.manifest.labels["truth"].name == "my"
    (tmp_path / "set/classes.toml").write_text(f"classes = [{rows}]")
    owned = find_images(tmp_path / "set")
    assert (owned.layout, owned.named, owned.classes) == ("own", True, table)
    refuse(
        "class table has 0 a and 255", tmp_path / "set", tmp_path / "x", classes=table_of(("a",))
    )


def test_classes_are_for_folders_without_names_of_their_own(camvid, tmp_path):
    six = load_class_table("evsegnet6")
    refuse("camvid have classes of their own", camvid, tmp_path / "out", classes=six)


def test_folders_are_listed_as_training_lists_them(camvid, tmp_path):
    (camvid / "train/2.png").rename(camvid / "train/2.PNG")
    (camvid / "trainannot/3.png").rename(camvid / "trainannot/3.Png")
    (camvid / "train/._1.png").write_bytes(b"")
    put(camvid / "train/old/9.png", picture(9)[0])
    put(camvid / "trainannot/8.png", picture(8)[1])
    (camvid / "val").mkdir()
    images, source = find_images(camvid, "camvid"), open_source(camvid)
    assert images.left_out == source.left_out
    assert sum(images.left_out.values()) == 3
    assert sorted(images.parts) == sorted(set(source.published_splits)) == ["test", "train"]
    items = [item for part in ("train", "test") for item in images.parts[part]]
    assert tuple(items) == source.items
    for i, item in enumerate(items):
        gray, labels = load_pair(item)
        np.testing.assert_array_equal(labels, source.labels(i))
        np.testing.assert_allclose(gray / 255, source.image(i, colour=False)[0], rtol=1e-6)
    called = ["simulate", "images", str(camvid), str(tmp_path / "out"), "--limit", "1"]
    result = CliRunner().invoke(main, [*called, "--shot", "40ms", "--sensor", "56x40"])
    assert result.exit_code == 0, result.output
    assert f"{camvid}: left out: 2 hidden files" in result.stderr


def refuse(message, folder, out, **options):
    with pytest.raises(SimulationError, match=message):
        run(folder, out, **options)
    assert not out.exists() or list(out.iterdir()) == []


def test_bad_folders_leave_nothing(camvid, tmp_path):
    out = tmp_path / "out"
    refuse("unknown layout", camvid, out, layout="voc")
    refuse("no folder", tmp_path / "nowhere", out)
    refuse("no pair of picture and labels", tmp_path, out)
    refuse("out of range", camvid, out, strength=0.0)
    refuse("1 or more", camvid, out, limit=0)
    (camvid / "testannot" / "4.png").unlink()
    refuse(r"1 labels are missing, first .*4\.png", camvid, out)


def test_sizes_and_labels_must_fit(camvid, tmp_path):
    put(camvid / "testannot" / "4.png", np.zeros((30, 40), np.uint8))
    refuse("both must have one size", camvid, tmp_path / "out")
    put(camvid / "testannot" / "4.png", np.ones((60, 80, 3), np.uint8))
    refuse(r"labels .*4\.png are RGB, and the colour \(1, 1, 1\)", camvid, tmp_path / "out")
    (camvid / "test" / "4.png").write_text("no picture")
    refuse("cannot read", camvid, tmp_path / "out")


def test_real_camvid(shared_data, tmp_path):
    folder = shared_data / "camvid"
    summaries = simulate_images(folder, tmp_path, limit=1, shot_us=40_000, sensor=SENSOR)
    assert [s.recording.stem for s in summaries] == ["test", "train", "val"]
    assert all(s.n_events > 100 for s in summaries)
