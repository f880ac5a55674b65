"""One meaning of a tensor from the data set to the checkpoint: stored, live, trained, refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from training_fixtures import one_thread, street_dataset, tiny, train_tiny

from eventseg.dataset.opening import open_dataset
from eventseg.dataset.writer import encode_dataset
from eventseg.encoding import encode
from eventseg.errors import NetworkError, TrainingError
from eventseg.evaluation.evaluate import evaluate
from eventseg.networks import load_network
from eventseg.networks.checkpoints import restore_network
from eventseg.recordings import open_recording
from eventseg.sources.source import open_source
from eventseg.training import epoch_files
from eventseg.training.samples import EpochSample, Samples

NAMES = ("mean-std", "count", "count-latest", "voxel:6", "stack:3", "time-surface:20ms")


@pytest.fixture(scope="module", autouse=True)
def _quick():
    before = torch.get_num_threads()
    one_thread()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("picture_curves", "picture_samples"):
            patch.setattr(epoch_files, name, lambda *_a, **_k: None)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("meaning")
    street_dataset(root, name="mean-std")
    return root


def data_set(root: Path, name: str) -> Path:
    path = root / name.replace(":", "-")
    if not path.exists():
        encode_dataset(
            [root / "drive.hdf5", root / "other.hdf5"],
            path,
            held_out=["other"],
            windows_us=("10ms", 50_000),
            representation=name,
        )
    return path


@pytest.mark.parametrize("name", NAMES)
def test_stored_is_live_and_training_sees_its_own_normalisation(root: Path, name: str) -> None:
    path, config = data_set(root, name), tiny()
    dataset, source = open_dataset(path), open_source(path)
    assert source.encoding.normalise == "raw"
    normalise = "sqrt" if name == "mean-std" else "raw"
    samples = Samples(source, config, len(source.classes), training=False)
    for i in (0, 5):
        stored = source.events(i, "50ms", normalise=normalise)
        live = source.events(i, "50ms", normalise=normalise, live=True)
        seen = samples[EpochSample(0, i)]["x"].numpy()
        t0_us, t1_us = dataset.window_of(i, "50ms")
        with open_recording(root / f"{dataset.samples.recording[i]}.hdf5") as recording:
            alone = encode(
                recording.events(t0_us, t1_us), encoding=source.encoding.normalised(normalise)
            )
        assert stored.tobytes() == live.tobytes() == seen.tobytes() == alone.tobytes()
    source.close()


@pytest.fixture(scope="module")
def voxel_run(root: Path):
    return train_tiny(data_set(root, "voxel:6"), root / "run", epochs=1)


def test_six_channels_of_another_meaning_train_raw_and_are_refused(root: Path, voxel_run) -> None:
    trained = load_network(voxel_run.path / "best.pt")
    assert trained.inputs.normalise == "raw"
    assert str(trained.inputs.encoding.representation) == "voxel:6"
    for other in ("mean-std", "stack:3"):
        source = open_source(data_set(root, other))
        words = f"holds representation {other}, and the network was trained on representation voxel"
        with pytest.raises(NetworkError, match=words):
            evaluate(trained, source, windows=["50ms"])
        source.close()


def test_a_checkpoint_and_a_recording_give_the_bits_of_training(root: Path, voxel_run) -> None:
    encoding = load_network(voxel_run.path / "last.pt").inputs.encoding
    path = data_set(root, "voxel:6")
    dataset, source = open_dataset(path), open_source(path)
    samples = Samples(source, tiny(), len(source.classes), training=False)
    with open_recording(root / "drive.hdf5") as recording:
        for i in [i for i, name in enumerate(dataset.samples.recording) if name == "drive"][:4]:
            t0_us, t1_us = dataset.window_of(i, "50ms")
            made = encode(recording.events(t0_us, t1_us), encoding=encoding)
            assert made.tobytes() == samples[EpochSample(0, i)]["x"].numpy().tobytes()
    source.close()


def test_an_older_checkpoint_is_checked_by_its_channels(root: Path, voxel_run) -> None:
    content = torch.load(voxel_run.path / "best.pt", weights_only=True)
    del content["inputs"]["encoding"]
    trained = restore_network(content, path=Path("old.pt"))
    assert trained.inputs.encoding is None
    six, two = (open_source(data_set(root, name)) for name in ("voxel:6", "count"))
    trained.inputs.check_encoding(six.encoding, source="six")
    with pytest.raises(NetworkError, match="two holds count of 2 channels, the network sees 6"):
        trained.inputs.check_encoding(two.encoding, source="two")
    six.close()
    two.close()


def test_the_normalisation_of_another_representation_is_refused(root: Path, tmp_path: Path) -> None:
    words = r"six channels of mean-std; this data set holds stack:3: set input.normalise=raw"
    with pytest.raises(TrainingError, match=words):
        train_tiny(data_set(root, "stack:3"), tmp_path / "run", input__normalise="evsegnet")
    assert not (tmp_path / "run" / "best.pt").exists()
    raw = train_tiny(data_set(root, "mean-std"), tmp_path / "raw", input__normalise="raw", epochs=1)
    assert load_network(raw.path / "best.pt").inputs.encoding.normalise == "raw"


@pytest.mark.parametrize("window", ["50ms", 50_000, "0.05s", np.int64(50_000)])
def test_windows_are_durations_or_microseconds(root: Path, window: str | int) -> None:
    data = open_dataset(root / "mean-std")
    assert data.tensor(2, window).tobytes() == data.tensor(2, "50ms").tobytes()
    assert data.window_of(2, window) == data.window_of(2, "50ms")
    assert (data.covered(window) == data.covered("50ms")).all()
