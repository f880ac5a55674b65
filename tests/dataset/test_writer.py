"""Encode to a folder, open it again: what is stored, how it is split, what live encoding gives."""

from __future__ import annotations

import pickle
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from recording_fixtures import SMALL, tree, write_recording

from eventseg.dataset.check import check_dataset
from eventseg.dataset.opening import open_dataset
from eventseg.dataset.plan import crop_rows, recording_names
from eventseg.dataset.reader import EventDataset
from eventseg.dataset.writer import encode_dataset
from eventseg.encoding.normalise import normalise_evsegnet
from eventseg.encoding.representation import parse_representation
from eventseg.encoding.representations.mean_std import CHANNELS
from eventseg.encoding.tensors import encode
from eventseg.errors import DatasetError, OutputError, RecordingError, WindowError
from eventseg.events import SensorSize
from eventseg.images import read_image, write_image
from eventseg.recordings import open_recording
from eventseg.recordings.progress import Progress
from eventseg.sources import EventSource
from eventseg.splits import EVSEGNET_VALIDATION
from eventseg.windows import format_duration, parse_anchor

WINDOWS = (10_000, 50_000)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write_recording(tmp_path / "rec.hdf5")


@pytest.fixture
def dataset(recording: Path, tmp_path: Path) -> EventDataset:
    encode_dataset([recording], tmp_path / "data", windows_us=WINDOWS)
    return open_dataset(tmp_path / "data")


def test_folder_holds_one_file_for_each_sample_and_window(dataset: EventDataset) -> None:
    ids = [f"rec_f{frame:06d}" for frame in range(10)]
    assert dataset.ids == tuple(ids)
    expected = {f"frames/{name}.png" for name in ids}
    expected |= {f"tensors/{w}/{name}.npy" for name in ids for w in ("10ms", "50ms")}
    assert set(tree(dataset.path)) == expected | {"manifest.toml", "samples.csv"}
    assert check_dataset(dataset.path) == check_dataset(dataset.path, deep=True) == []


def test_stored_tensors_and_frames_are_those_of_the_recording(
    dataset: EventDataset, recording: Path
) -> None:
    with open_recording(recording) as source:
        for i in range(len(dataset)):
            t1_us = int(source.frames.t_us[i])
            for w, window_us in enumerate(WINDOWS):
                events = source.events(t1_us - window_us, t1_us)
                raw = dataset.tensor(i, dataset.windows[w], normalise="raw")
                assert raw.dtype == np.float32
                assert raw.shape == (6, *SMALL)
                np.testing.assert_array_equal(raw, encode(events))
                assert dataset.samples.events[i, w] == len(events)
            np.testing.assert_array_equal(dataset.frame(i), source.frames.image(i))
        assert dataset.samples.t_us.tolist() == source.frames.t_us.tolist()


def test_load_normalises_unless_raw_is_asked_for(dataset: EventDataset) -> None:
    raw = dataset.tensor(3, "50ms", normalise="raw")
    np.testing.assert_array_equal(dataset.tensor(3, "50ms"), normalise_evsegnet(raw))
    assert raw.max() > 1


def test_manifest_says_from_what_and_how(dataset: EventDataset, recording: Path) -> None:
    table = tomllib.loads((dataset.path / "manifest.toml").read_text())
    assert [channel["name"] for channel in table["channels"]] == list(CHANNELS)
    assert all(channel["unit"] for channel in table["channels"])
    assert (table["schema"], table["anchor"], table["normalise"]) == (1, "frame", "raw")
    assert (table["windows"], table["rows"], table["ddof"]) == (["10ms", "50ms"], [0, 24], 1)
    (entry,) = table["recordings"]
    assert (entry["path"], entry["file"]) == ("../rec.hdf5", "rec.hdf5")
    assert (entry["events"], entry["frames"]) == (4_000, 10)
    assert entry["size_bytes"] == recording.stat().st_size
    assert len(entry["sha256"]) == 64
    assert entry["report"]["kept"]["events"] == 4_000
    assert entry["sensor"] == {"height": 24, "width": 32}


def test_table_has_splits_with_a_gap_and_covered_shares(dataset: EventDataset) -> None:
    samples = dataset.samples
    # Ten frames 0.1 s apart: the last 10 % of their 0.9 s hold one frame, and 50 ms before that
    # begins lies another.
    assert samples.split == ("train",) * 8 + ("gap", "val")
    assert (samples.covered == 1).all()
    assert samples.frame.tolist() == list(range(10))


def test_window_that_reaches_past_an_end_is_kept_with_its_share(tmp_path: Path) -> None:
    write_recording(tmp_path / "rec.hdf5", frames=4)
    encode_dataset([tmp_path / "rec.hdf5"], tmp_path / "data", windows_us=[500_000])
    dataset = open_dataset(tmp_path / "data")
    covered = dataset.samples.covered[:, 0]
    assert 0.4 < covered[0] < 0.5
    assert covered[-1] == 1


def test_held_out_recording_is_test_and_has_no_validation(tmp_path: Path) -> None:
    paths = [write_recording(tmp_path / f"{name}.hdf5", seed=i) for i, name in enumerate("ab")]
    encode_dataset(paths, tmp_path / "data", held_out=["b"])
    samples = open_dataset(tmp_path / "data").samples
    by_recording = {
        name: {s for s, r in zip(samples.split, samples.recording, strict=True) if r == name}
        for name in "ab"
    }
    assert by_recording == {"a": {"train", "gap", "val"}, "b": {"test"}}
    with pytest.raises(DatasetError, match="no recording c to hold out"):
        encode_dataset(paths, tmp_path / "other", held_out=["c"])


@pytest.mark.parametrize("store", ["npz", "none"])
def test_every_store_gives_the_same_tensors(
    dataset: EventDataset, recording: Path, tmp_path: Path, store: str
) -> None:
    encode_dataset([recording], tmp_path / "other", windows_us=WINDOWS, store=store)
    with open_dataset(tmp_path / "other") as other:
        assert other.ids == dataset.ids
        np.testing.assert_array_equal(other.samples.events, dataset.samples.events)
        for i in (0, 7):
            for normalise in ("raw", "sqrt", "evsegnet"):
                np.testing.assert_array_equal(
                    other.tensor(i, "50ms", normalise=normalise),
                    dataset.tensor(i, "50ms", normalise=normalise),
                )
        assert (tmp_path / "other" / "tensors").exists() == (store == "npz")
        assert check_dataset(other.path, deep=True) == []


@pytest.mark.parametrize("anchor", ["frame", "centre", "stride:70ms", "evsegnet"])
def test_live_encoding_equals_the_stored_tensor(
    recording: Path, tmp_path: Path, anchor: str
) -> None:
    summary = encode_dataset(
        [recording], tmp_path / "data", anchor=parse_anchor(anchor), crop=(4, 20), ddof=0
    )
    with open_dataset(summary.datasets[0].path) as dataset:
        assert len(dataset) > 5
        for i in range(len(dataset)):
            stored = dataset.tensor(i, normalise="raw")
            assert stored.shape == (6, 16, 32)
            np.testing.assert_array_equal(stored, dataset.encode_live(i, "50ms", normalise="raw"))


def test_window_that_is_not_stored_is_encoded_live(dataset: EventDataset) -> None:
    copy = pickle.loads(pickle.dumps(dataset))
    with dataset, copy:
        live = dataset.tensor(4, "25ms", normalise="raw")
        longer = dataset.tensor(4, "50ms", normalise="raw")
        assert 0 < live[:2].sum() < longer[:2].sum()
        np.testing.assert_array_equal(copy.tensor(4, "25ms", normalise="raw"), live)


def test_live_encoding_refuses_a_recording_that_is_gone_or_changed(
    recording: Path, tmp_path: Path
) -> None:
    encode_dataset([recording], tmp_path / "data", store="none")
    write_recording(recording, seed=5)
    with pytest.raises(DatasetError, match="is not the file"):
        open_dataset(tmp_path / "data").tensor(0)
    recording.unlink()
    with pytest.raises(DatasetError, match="is gone"):
        open_dataset(tmp_path / "data").tensor(0)


def test_normalised_tensors_cannot_be_asked_for_raw(recording: Path, tmp_path: Path) -> None:
    encode_dataset([recording], tmp_path / "data", normalise="evsegnet")
    dataset = open_dataset(tmp_path / "data")
    assert dataset.tensor(0)[0].min() == -1
    assert check_dataset(dataset.path, deep=True) == []
    with pytest.raises(DatasetError, match="cannot be turned back"):
        dataset.tensor(0, normalise="raw")


def test_counted_windows_are_named_by_their_events(recording: Path, tmp_path: Path) -> None:
    encode_dataset([recording], tmp_path / "data", anchor=parse_anchor("count:1500"))
    dataset = open_dataset(tmp_path / "data")
    assert dataset.windows == ("1500ev",)
    assert dataset.samples.events[:, 0].tolist() == [1500, 1500, 1000]
    assert dataset.samples.covered[:, 0].tolist() == [1.0, 1.0, 1000 / 1500]
    assert [dataset.tensor(i, normalise="raw")[:2].sum() for i in range(3)] == [1500, 1500, 1000]
    assert dataset.ids == tuple(f"rec_t{t_us}" for t_us in dataset.samples.t_us)
    assert check_dataset(dataset.path, deep=True) == []
    for arguments in ({"windows_us": [50_000]}, {"store": "none"}):
        with pytest.raises(WindowError, match="count:1500"):
            encode_dataset(
                [recording], tmp_path / "x", anchor=parse_anchor("count:1500"), **arguments
            )
    with pytest.raises(DatasetError, match="use more events"):
        encode_dataset([tmp_path / "rec.hdf5"], tmp_path / "y", anchor=parse_anchor("count:1"))


def test_evsegnet_makes_one_data_set_a_window(recording: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    summary = encode_dataset(
        [recording], root, anchor=parse_anchor("evsegnet"), windows_us=[10_000, 50_000, 250_000]
    )
    assert [made.path.name for made in summary.datasets] == ["10ms", "50ms", "250ms"]
    sizes = {w: len(open_dataset(root / w)) for w in ("10ms", "50ms", "250ms")}
    assert sizes["10ms"] < 20
    assert sizes["50ms"] > 4 * sizes["250ms"] > 0
    fifty = open_dataset(root / "50ms")
    assert list(dict.fromkeys(fifty.samples.split)) == ["train", "gap", "val"]
    assert fifty.ids[0] == "rec_export_1"  # the first bin ends before the first frame
    assert check_dataset(root, deep=True) == []
    with pytest.raises(DatasetError, match=r"open one of .*250ms"):
        open_dataset(root)


@pytest.mark.parametrize(
    ("name", "duration_us", "window_us", "counts"),
    [
        ("rec1487842276", 131_001_000, 50_000, {"train": 20, "val": 190}),
        ("rec1487842276", 131_001_000, 10_000, {"train": 20, "val": 190}),
        ("rec1487593224", 109_501_000, 250_000, {"train": 184, "gap": 40, "val": 40}),
    ],
)
def test_rows_of_the_clean_protocol_validate_and_train_as_published(
    tmp_path: Path, name: str, duration_us: int, window_us: int, counts: dict[str, int]
) -> None:
    path = write_recording(
        tmp_path / f"{name}.hdf5", events=20_000, frames=262, duration_us=duration_us
    )
    encode_dataset(
        [path], tmp_path / "data", anchor="evsegnet", windows_us=[window_us], store="none"
    )
    data = open_dataset(tmp_path / "data" / format_duration(window_us))
    assert Counter(data.samples.split) == counts
    for sample_id, split in zip(data.ids, data.samples.split, strict=True):
        row = int(sample_id.partition("_export_")[2]) * max(1, window_us // 50_000)
        inside = any(start <= row < stop for start, stop in EVSEGNET_VALIDATION[name])
        assert (split == "val") == inside
    source = EventSource(data, "truth")
    assert source.splits == data.samples.split
    assert set(source.published_splits) == {"train"}


def test_frameless_recording_needs_another_anchor(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "rec.hdf5", frames=0)
    with pytest.raises(WindowError, match="stride"):
        encode_dataset([path], tmp_path / "data", sensor=SMALL)
    assert not (tmp_path / "data").exists()
    anchor = parse_anchor("stride:100ms")
    encode_dataset([path], tmp_path / "data", sensor=SMALL, anchor=anchor)
    dataset = open_dataset(tmp_path / "data")
    assert len(dataset) == 10
    assert not (dataset.path / "frames").exists()
    assert check_dataset(dataset.path, deep=True) == []
    with pytest.raises(DatasetError, match="has no frame"):
        dataset.frame(0)


def test_frames_without_events_give_empty_tensors(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "rec.hdf5", events=0)
    encode_dataset([path], tmp_path / "data")
    dataset = open_dataset(tmp_path / "data")
    assert len(dataset) == 10
    assert not any(dataset.tensor(i, normalise="raw").any() for i in range(10))
    with pytest.raises(WindowError, match="no sample"):
        encode_dataset([path], tmp_path / "counted", anchor=parse_anchor("count:100"))


def test_window_longer_than_the_recording_is_refused(recording: Path, tmp_path: Path) -> None:
    with pytest.raises(WindowError, match="longer than rec"):
        encode_dataset([recording], tmp_path / "data", windows_us=[2_000_000])


def test_crop_keeps_evsegnet_rows_of_its_sensor_only() -> None:
    davis, other = SensorSize(260, 346), SensorSize(480, 640)
    assert crop_rows("auto", sensor=davis) == (0, 200)
    assert crop_rows("auto", sensor=other) == (0, 480)
    assert crop_rows("none", sensor=davis) == (0, 260)
    assert crop_rows((10, 20), sensor=davis) == (10, 20)
    for rows in ((20, 20), (0, 261), (-1, 5)):
        with pytest.raises(DatasetError, match="height of the sensor 346x260"):
            crop_rows(rows, sensor=davis)


def test_crop_applies_to_tensors_and_leaves_frames_whole(tmp_path: Path) -> None:
    davis = SensorSize(260, 346)
    path = write_recording(tmp_path / "rec.hdf5", sensor=davis, frames=2, events=2_000)
    encode_dataset([path], tmp_path / "data")
    dataset = open_dataset(tmp_path / "data")
    assert dataset.tensor(0).shape == (6, 200, 346)
    assert dataset.frame(0).shape == (260, 346)
    assert check_dataset(dataset.path, deep=True) == []


def test_recordings_of_one_name_or_listed_twice_are_refused(
    recording: Path, tmp_path: Path
) -> None:
    (tmp_path / "inner").mkdir()
    other = write_recording(tmp_path / "inner" / "rec.hdf5", seed=1)
    with pytest.raises(DatasetError, match="two recordings have the name rec"):
        encode_dataset([recording, other], tmp_path / "data")
    # A system that tells no case apart, or no two forms of a letter, would have one file for both.
    for one, two in (("Rec", "rec"), ("Wände", "Wa\u0308nde")):
        paths = [tmp_path / "a" / f"{one}.hdf5", tmp_path / "b" / f"{two}.hdf5"]
        with pytest.raises(DatasetError, match=f"two recordings have the name {one}"):
            recording_names([paths[0], tmp_path / "c" / "S.hdf5", paths[1]], held_out=())
    with pytest.raises(DatasetError, match="listed twice"):
        encode_dataset([recording, tmp_path / "inner" / ".." / "rec.hdf5"], tmp_path / "data")
    with pytest.raises(DatasetError, match="at least one file"):
        encode_dataset([], tmp_path / "data")


def test_recording_behind_a_link_keeps_the_name_of_the_link(
    recording: Path, tmp_path: Path
) -> None:
    stored = recording.rename(tmp_path / "5f3a9c")
    recording.symlink_to(stored)
    encode_dataset([recording], tmp_path / "data", store="none")
    with open_dataset(tmp_path / "data") as dataset:
        assert dataset.ids[0] == "rec_f000000"
        assert dataset.tensor(3, normalise="raw").any()
    assert check_dataset(tmp_path / "data", deep=True) == []
    (tmp_path / "again.hdf5").symlink_to(stored)
    with pytest.raises(DatasetError, match="again and rec are the same file"):
        encode_dataset([recording, tmp_path / "again.hdf5"], tmp_path / "other")


def test_recordings_of_two_sensors_are_refused(recording: Path, tmp_path: Path) -> None:
    other = write_recording(tmp_path / "other.hdf5", sensor=SensorSize(20, 30))
    with pytest.raises(DatasetError, match="one sensor size: other has 30x20, rec has 32x24"):
        encode_dataset([recording, other], tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_recording_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"gone\.hdf5"):
        encode_dataset([tmp_path / "gone.hdf5"], tmp_path / "data")


@pytest.mark.parametrize("out", ["file", "file/below", "foreign", "/proc/eventseg"])
def test_output_that_cannot_be_is_refused(recording: Path, tmp_path: Path, out: str) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=Path(out).name):
        encode_dataset([recording], tmp_path / out)
    assert (tmp_path / "foreign" / "notes.txt").read_text() == "mine"


def test_too_little_space_is_found_before_anything_is_written(
    recording: Path, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match=r"needs about 0\.2 MB and 0\.1 MB are free"):
        encode_dataset([recording], tmp_path / "data", free_bytes=lambda _: 100_000)
    assert not (tmp_path / "data").exists()


def test_the_space_of_tensors_goes_by_their_element_type(recording: Path, tmp_path: Path) -> None:
    for dtype, needed in (("float32", r"0\.6"), ("float16", r"0\.3"), ("uint8", r"0\.2")):
        with pytest.raises(OutputError, match=rf"needs about {needed} MB"):
            encode_dataset(
                [recording],
                tmp_path / "data",
                dtype=dtype,
                representation="stack:10",
                free_bytes=lambda _: 0,
            )


def test_progress_ends_with_all_bytes_and_all_events(recording: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    encode_dataset([recording], tmp_path / "data", progress=seen.append)
    phases = [[p for p in seen if p.stage == phase] for phase in ("read", "encode")]
    for steps, total in zip(phases, (recording.stat().st_size, 4_000), strict=True):
        done = [step.done for step in steps]
        assert done == sorted(done)
        assert done[-1] == steps[-1].total == total


def test_table_that_does_not_parse_is_an_error_with_its_line(dataset: EventDataset) -> None:
    table = dataset.path / "samples.csv"
    lines = table.read_text().splitlines()
    for broken, message in (
        ([*lines[:3], "rec_f9,rec,x,5,train,1,1,1.0,1.0"], "line 4"),
        ([*lines[:2], "rec_f9,rec"], "line 3"),
        ([*lines, lines[-1]], "occur more than once: rec_f000009"),
        (lines[1:], "must begin with the columns id,recording"),
    ):
        table.write_text("\n".join(broken))
        with pytest.raises(DatasetError, match=message):
            open_dataset(dataset.path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema = 1", "schema = 99", "schema 99, this version reads 1"),
        ('anchor = "frame"', 'anchor = "moon"', "is no manifest: anchor 'moon'"),
        ("ddof = 1\n", "", "lacks 'ddof'"),
        ("schema = 1", "schema = ", "cannot read"),
    ],
)
def test_manifest_that_is_broken_is_an_error(
    dataset: EventDataset, old: str, new: str, message: str
) -> None:
    path = dataset.path / "manifest.toml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DatasetError, match=message):
        open_dataset(dataset.path)


def test_frame_in_colour_is_its_luma_and_what_is_no_picture_an_error(
    dataset: EventDataset,
) -> None:
    Image.new("RGB", (32, 24), (200, 0, 0)).save(dataset.path / "frames" / "rec_f000000.png")
    (dataset.path / "frames" / "rec_f000001.png").write_bytes(b"no picture")
    assert np.unique(dataset.frame(0)).tolist() == [60]
    with pytest.raises(DatasetError, match="cannot read image"):
        dataset.frame(1)


def test_folder_that_is_no_data_set_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no manifest\.toml"):
        open_dataset(tmp_path)


def test_picture_with_any_byte_changed_is_refused_or_read_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "frame.png"
    picture = np.arange(48, dtype=np.uint8).reshape(6, 8)
    write_image(file, picture)
    whole = file.read_bytes()
    refused = 0
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        try:
            assert np.array_equal(read_image(file), picture)
        except DatasetError:
            refused += 1
    assert refused > len(whole) // 2


def test_settings_may_be_texts_and_one_recording_a_path(recording, tmp_path):
    from eventseg.filters.rules import parse_filters

    texts = {
        "anchor": "stride:100ms",
        "windows_us": "50ms",
        "representation": "voxel:3",
        "filters": "refractory:1ms,background",
    }
    encode_dataset(str(recording), tmp_path / "texts", **texts)
    encode_dataset(
        [recording],
        tmp_path / "values",
        anchor=parse_anchor("stride:100ms"),
        windows_us=[50_000],
        representation=parse_representation("voxel:3"),
        filters=parse_filters(["refractory:1ms", "background"]),
    )
    assert tree(tmp_path / "texts") == tree(tmp_path / "values")
    for wrong in (
        {"anchor": 3},
        {"windows_us": 1.5},
        {"representation": 3},
        {"windows_us": [None]},
    ):
        with pytest.raises(WindowError, match="must be"):
            encode_dataset(recording, tmp_path / "wrong", **wrong)
    assert not (tmp_path / "wrong").exists()
