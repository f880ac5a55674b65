"""Kinds of files that the fuzzer damages: a sound one of each, and what reads it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tomli_w

TESTS = Path(__file__).resolve().parents[1] / "tests"

RECORDINGS = (
    "Ddd17", "Mvsec", "Hdf5Columns", "Aedat2", "Aedat2OfDvs128", "Aedat3", "Aedat4", "EventStream",
    "EventStreamOfAtis", "Evt2", "Evt21", "Evt21Legacy", "Evt3", "Dat", "Rosbag1", "RosbagSqlite",
    "Mcap", "Npy", "Npz", "Text",
)  # fmt: skip
"""Formats, as the contract of readers calls them; it writes the sound files."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of files.

    Parameters
    ----------
    name : str
    make : callable
        Writes a sound file, and what belongs to it, into a folder; returns the file to damage.
    read : callable
        Reads all that the file decides, by what a user calls.
    text : bool
        Whether the file is text.
    """

    name: str
    make: Callable[[Path], Path]
    read: Callable[[Path], object]
    text: bool = False


def kinds() -> dict[str, Kind]:
    """Return every kind by its name."""
    sys.path.insert(0, str(TESTS))
    found = [_recording_kind(name) for name in RECORDINGS]
    found += [
        Kind("manifest", lambda folder: _dataset(folder) / "manifest.toml", _read_dataset, True),
        Kind("samples", lambda folder: _dataset(folder) / "samples.csv", _read_dataset, True),
        Kind("tensor", lambda folder: _first(_dataset(folder) / "tensors", ".npy"), _read_dataset),
        Kind("frame", lambda folder: _first(_dataset(folder) / "frames", ".png"), _read_dataset),
        Kind("label", lambda folder: _first(_dataset(folder) / "labels", ".png"), _read_dataset),
        Kind("classes", _class_table, _read_class_table, True),
        Kind("checkpoint", _checkpoint, _read_checkpoint),
        Kind("predictions", _predictions, _read_predictions, True),
        Kind("league", _league, _read_league, True),
        Kind("settings", _settings, _read_settings, True),
        Kind("run", lambda folder: _run(folder) / "run.json", _read_run, True),
        Kind("metrics", lambda folder: _run(folder) / "metrics.csv", _read_run, True),
        Kind("timing", lambda folder: _run(folder) / "timing.csv", _read_run, True),
        Kind("last", lambda folder: _run(folder) / "last.pt", _read_run),
        Kind("index", _index, _read_index),
        Kind("shard", lambda folder: _shards(folder) / "shard.toml", _read_shards, True),
        Kind("shardmanifest", lambda folder: _shards(folder) / "manifest.toml", _read_shards, True),
        Kind("conversion", _conversion, _read_conversion, True),
        Kind("converted", _stopped_conversion, _read_stopped_conversion, True),
        Kind("convertedshard", _converted_shard, _read_converted_shard, True),
        Kind("shardsamples", lambda folder: _shards(folder) / "samples.csv", _read_shards, True),
    ]
    return {kind.name: kind for kind in found}


def _recording_kind(name: str) -> Kind:
    def make(folder: Path) -> Path:
        from recordings import test_contract

        format_of = getattr(test_contract, f"Test{name}")()
        path = folder / f"rec{format_of.suffix}"
        format_of.write(path)
        return path

    return Kind(name.lower(), make, _read_recording, name == "Text")


def _read_recording(path: Path) -> object:
    from recordings.contract import SENSOR

    import eventseg

    with eventseg.open_recording(path, sensor=SENSOR) as recording:
        frames = [recording.frames.raw(i) for i in range(min(4, len(recording.frames)))]
        parts = sum(len(part) for part in recording.stream(max_events=1_000))
        events = recording.events()
        assert parts == len(events), f"{parts} events streamed, {len(events)} read"
        return events, frames, recording.imu(), recording.report


def _dataset(folder: Path) -> Path:
    from recordings.contract import SENSOR

    import eventseg

    drive = folder / "drive.hdf5"
    eventseg.simulate_street(drive, duration_us=150_000, seed=3, sensor=SENSOR, threads=1)
    eventseg.encode_dataset(drive, folder / "data", windows_us=[10_000])
    return folder / "data"


def _first(folder: Path, suffix: str) -> Path:
    return sorted(folder.rglob(f"*{suffix}"))[0]


def _read_dataset(path: Path) -> object:
    return _read_dataset_at(next(parent for parent in path.parents if parent.name == "data"))


def _read_dataset_at(root: Path) -> object:
    import eventseg
    from eventseg.dataset.check import check_dataset

    check_dataset(root)
    with eventseg.open_dataset(root) as dataset:
        return [
            (dataset.tensor(i), dataset.frame(i), dataset.labels(i, "truth"))
            for i in range(min(3, len(dataset)))
        ]


def _class_table(folder: Path) -> Path:
    from eventseg.labels.maps import load_class_table

    path = folder / "classes.toml"
    rows = [{"id": i, "name": f"class {i}", "colour": [i, 2 * i, 3 * i]} for i in range(3)]
    taken = {"class 0": ["road"], "class 2": ["car", "bus"]}
    others = set(load_class_table("cityscapes19").names) - {"road", "car", "bus"}
    merge = {"cityscapes19": {**taken, "ignored": sorted(others)}}
    table = {"name": "yard", "ignored": [9, 10], "classes": rows, "merge": merge}
    path.write_text(tomli_w.dumps(table))
    return path


def _read_class_table(path: Path) -> object:
    from eventseg.labels.maps import load_class_table, merge_of

    table = load_class_table(path)
    return merge_of(load_class_table("cityscapes19"), table)


def _checkpoint(folder: Path) -> Path:
    from prediction_fixtures import random_network

    return random_network(folder / "network.pt", "gray")


def _read_checkpoint(path: Path) -> object:
    from eventseg.prediction.checkpoint_file import find_checkpoint
    from eventseg.prediction.loading import load_trained

    return load_trained(find_checkpoint(path))


def _predictions(folder: Path) -> Path:
    from prediction_fixtures import random_network

    import eventseg

    _dataset(folder)
    random_network(folder / "network.pt", "gray")
    eventseg.predict_into(
        folder / "network.pt", folder / "drive.hdf5", folder / "maps", device="cpu"
    )
    return folder / "maps" / "predictions.toml"


def _read_predictions(path: Path) -> object:
    import eventseg

    folder = eventseg.open_predictions(path.parent)
    return [folder.labels(sample) for sample in folder.ids[:3]], folder.class_shares()


def _league(folder: Path) -> Path:
    from league_trees import DAVIS, simulated, write_ess_tree

    train, test = (
        simulated(folder / f"{seed}.hdf5", sensor=DAVIS, duration_us=200_000, seed=seed)
        for seed in (7, 8)
    )
    write_ess_tree(folder / "DDD17", train, test)
    path = folder / "league.toml"
    table = {"league": "ddd17", "root": str(folder / "DDD17"), "split": "ess"}
    path.write_text(tomli_w.dumps({**table, "label_sets": str(folder / "sets")}))
    return path


def _read_league(path: Path) -> object:
    from eventseg.sources.leagues.opening import open_league

    return open_league(path)


def _settings(folder: Path) -> Path:
    from eventseg.training.config.config import load_config
    from eventseg.training.config.tables import to_table

    path = folder / "train.toml"
    path.write_text(tomli_w.dumps(to_table(load_config())))
    return path


def _read_settings(path: Path) -> object:
    from eventseg.training.config.config import load_config

    return load_config(path)


NET = """
from torch import nn

def small(in_channels, classes):
    return nn.Sequential(nn.Conv2d(in_channels, 4, 3, padding=1), nn.Conv2d(4, classes, 1))
"""


def _run(folder: Path) -> Path:
    import eventseg

    (folder / "net.py").write_text(NET)
    settings = {"iterations": 1, "workers": 0, "min_covered": 0.0, "validation_share": 0.5}
    eventseg.train(
        _dataset(folder), folder / "run", network=f"{folder / 'net.py'}:small", device="cpu",
        batch_size=1, **settings,
    )  # fmt: skip
    return folder / "run"


def _read_run(path: Path) -> object:
    import eventseg
    from eventseg.training.check import check_run
    from eventseg.training.describe_run import describe_run, run_lines

    root, errors = path.parent, []
    # Each is a command of its own: the first error must not hide what the others do.
    for read in (
        lambda: run_lines(describe_run(root)),
        lambda: check_run(root),
        lambda: eventseg.results(root),
        lambda: _resume(root),
    ):
        try:
            read()
        except eventseg.EventsegError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return root


def _resume(root: Path) -> None:
    """Go on with a run that has ended, which reads all of it."""
    import torch

    import eventseg
    from eventseg.training.config.config import load_config
    from eventseg.training.run_folder import resume_notes

    config = load_config(root / "config.toml")
    resume_notes(root, config, device=torch.device("cpu"))
    kept = {name: (root / name).read_bytes() for name in ("run.json", "metrics.csv")}
    try:
        eventseg.train(root.parent / "data", root, config=config, device="cpu", resume=True)
    finally:
        for name, content in kept.items():
            (root / name).write_bytes(content)


def _index(folder: Path) -> Path:
    import os

    from recordings import test_contract

    os.environ["EVENTSEG_CACHE"] = str(folder / "cache")
    recording = folder / "rec.hdf5"
    test_contract.TestDdd17().write(recording)
    (folder / "events").write_text(_events_word(recording))
    return sorted((folder / "cache").glob("*.npz"))[0]


def _events_word(recording: Path) -> str:
    from recordings.contract import SENSOR

    import eventseg

    with eventseg.open_recording(recording, sensor=SENSOR) as opened:
        events = opened.events()
        return f"{len(events)} {int(events.t.sum())} {len(opened.frames)}"


def _read_index(path: Path) -> object:
    folder = path.parent.parent
    found, expected = _events_word(folder / "rec.hdf5"), (folder / "events").read_text()
    assert found == expected, f"a damaged index gives {found}, not {expected}"
    return found


def _shards(folder: Path) -> Path:
    from recordings.contract import SENSOR

    import eventseg
    from eventseg.dataset.shards import encode_shard

    drive = folder / "drive.hdf5"
    eventseg.simulate_street(drive, duration_us=150_000, seed=3, sensor=SENSOR, threads=1)
    for index in (1, 2):
        encode_shard(drive, folder / "shards", windows_us=[10_000], shard=f"{index}/2")
    return folder / "shards" / "shards" / "1-of-2"


def _read_shards(path: Path) -> object:
    import shutil

    from eventseg.dataset.merge import merge_dataset

    root = path.parents[2]
    merged = root.with_name("merged")
    shutil.rmtree(merged, ignore_errors=True)
    shutil.copytree(root, merged)  # what is merged is removed
    merge_dataset(merged)
    return _read_dataset_at(merged)


def _converted_folder(folder: Path) -> Path:
    """Convert a table by a shard, with all lists of a folder on its way; return the folder."""
    import numpy as np

    from eventseg.dataset.conversion.shards import convert_shard

    columns = {"t": [5, 6, 9], "x": [1, 2, 3], "y": [3, 2, 1], "p": [0, 1, 1]}
    np.savez(folder / "rec.npz", **columns, width=16, height=12)
    return convert_shard(folder / "rec.npz", folder / "made", format="raw", shard="1/1").path


def _conversion(folder: Path) -> Path:
    from eventseg.dataset.conversion.shards import merge_conversion

    return merge_conversion(_converted_folder(folder)).path / "conversion.toml"


def _stopped_conversion(folder: Path) -> Path:
    import shutil

    root = _converted_folder(folder)
    shutil.rmtree(root / "shards")
    return root / "conversion.partial/records/rec.toml"


def _converted_shard(folder: Path) -> Path:
    return _converted_folder(folder) / "shards/1-of-1/shard.toml"


def _read_conversion(path: Path) -> object:
    return _convert_again(path.parent)


def _read_stopped_conversion(path: Path) -> object:
    return _convert_again(path.parents[2])


def _convert_again(root: Path) -> object:
    from eventseg import convert_into
    from eventseg.dataset.conversion.check import check_conversion, repair_conversion

    again = _copied(root)
    check_conversion(again)
    repair_conversion(again)
    made = convert_into(root.with_name("rec.npz"), again, format="raw")
    assert (again / "rec.raw").read_bytes() == (root / "rec.raw").read_bytes()
    return made


def _read_converted_shard(path: Path) -> object:
    from eventseg.dataset.conversion.shards import merge_conversion

    root = path.parents[2]
    made = merge_conversion(_copied(root))
    assert [one.name for one in made.recordings] == ["rec"], made
    return made


def _copied(root: Path) -> Path:
    """Return a copy beside a folder: what reads it writes it too."""
    import shutil

    again = root.with_name("again")
    shutil.rmtree(again, ignore_errors=True)
    return shutil.copytree(root, again)
