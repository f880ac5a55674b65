"""Runs that were stopped: resumed to the same bits, or refused."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from training.run_fixtures import QUICK, same_weights, state, tiny, train_tiny
from training_fixtures import draw_nothing

from eventseg.dataset.manifest import Manifest
from eventseg.errors import CheckpointError, OutputError, TrainingError
from eventseg.files.whole import write_whole
from eventseg.training.epoch_tables import read_metrics
from eventseg.training.progress import TrainingProgress
from eventseg.training.run_folder import read_run, resume_notes

pytestmark = pytest.mark.usefixtures("single_thread")


class Stop(Exception):
    """What a test stops a run with."""


RESUMED: dict[str, Any] = {
    **QUICK, "batch_norm_batches": 2,
    "epochs": 3, "ema_decay": 0.9, "schedule__kind": "plateau", "schedule__patience": 0,
    "input__windows": ["10ms", "50ms"], "augmentation__drop": 0.2, "accumulation": 2,
    "loss__class_weights": "enet", "gradient_clip": 1.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def straight(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("straight") / "run"
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        train_tiny(data, out, **RESUMED)
    return out


def assert_same_run(one: Path, other: Path) -> None:
    assert (one / "metrics.csv").read_bytes() == (other / "metrics.csv").read_bytes()
    for name in ("last.pt", "best.pt"):
        assert same_weights(one / name, other / name)
    first, second = state(one / "last.pt", "training"), state(other / "last.pt", "training")
    for name, tensor in first["network"].items():
        assert torch.equal(tensor, second["network"][name])
    assert first["plateau"] == second["plateau"]


@pytest.mark.usefixtures("blind")
def test_stopped_run_resumes_to_the_same_bits(data: Path, tmp_path: Path, straight: Path) -> None:
    after = 1

    def stop(progress: TrainingProgress) -> None:
        if progress.epoch == after + 1 and progress.images:
            raise Stop

    with pytest.raises(Stop):
        train_tiny(data, tmp_path / "out", progress=stop, **RESUMED)
    assert len(read_metrics(tmp_path / "out")[0]) == after
    trained = train_tiny(data, tmp_path / "out", resume=True, **RESUMED)
    assert len(trained.history) == 3
    assert_same_run(straight, tmp_path / "out")
    assert len(read_run(tmp_path / "out/run.json")["resumed"]) == 1
    # A run that is done is left as it is.
    before = (tmp_path / "out/last.pt").read_bytes()
    train_tiny(data, tmp_path / "out", resume=True, **RESUMED)
    assert (tmp_path / "out/last.pt").read_bytes() == before


IN_A_BATCH = """
def kill(progress):
    if progress.epoch == 2 and progress.images:
        os.kill(os.getpid(), signal.SIGKILL)
"""

IN_A_SAVE = """
write = checkpoints.write_whole
def half(path, fill):
    def part(file):
        file.write(b"half of it")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, part if path.name == "last.pt" and path.is_file() else fill)
checkpoints.write_whole = half
kill = print
"""


@pytest.mark.slow
@pytest.mark.usefixtures("blind")
@pytest.mark.parametrize(
    "when", [pytest.param(IN_A_BATCH, id="batch"), pytest.param(IN_A_SAVE, id="save")]
)
def test_killed_run_resumes_to_the_same_bits(
    data: Path, tmp_path: Path, straight: Path, when: str
) -> None:
    code = f"""
import os, signal
from pathlib import Path
from training_fixtures import one_thread, train_tiny
from eventseg.networks import checkpoints
from eventseg.training import epoch_files, trainer
epoch_files.picture_curves = epoch_files.picture_samples = lambda *a, **k: None
one_thread()
{when}
train_tiny(Path({str(data)!r}), Path({str(tmp_path / "out")!r}), progress=kill, **{RESUMED!r})
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1], timeout=300, check=False, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    held = json.loads(state(tmp_path / "out/last.pt", "training")["history"])
    assert [row["epoch"] for row in held] == [1]
    train_tiny(data, tmp_path / "out", resume=True, **RESUMED)
    assert_same_run(straight, tmp_path / "out")


@pytest.mark.usefixtures("blind")
def test_file_that_the_system_refuses_keeps_the_previous_checkpoint(
    data: Path, plain: Path, tmp_path: Path
) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_up(progress: TrainingProgress) -> None:
        if not progress.images:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))

    try:
        with pytest.raises(OutputError, match=r"^cannot write .*\.pt: File too large$"):
            train_tiny(data, tmp_path / "out", progress=fill_up)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "out").glob("*.tmp")) == []
    held = json.loads(state(tmp_path / "out/last.pt", "training")["history"])
    assert [row["epoch"] for row in held] == [1]
    train_tiny(data, tmp_path / "out", resume=True)
    assert same_weights(tmp_path / "out/last.pt", plain / "last.pt")


@pytest.mark.usefixtures("blind")
def test_save_that_fails_keeps_the_previous_checkpoint(
    data: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[bytes] = []

    write = write_whole

    def full(path: Path, fill: Any) -> None:
        def part(file: Any) -> None:
            file.write(b"half of it")
            raise OSError(28, "No space left on device")

        if path.name == "last.pt" and path.is_file():
            kept.append(path.read_bytes())
            write(path, part)
        write(path, fill)

    monkeypatch.setattr("eventseg.networks.checkpoints.write_whole", full)
    with pytest.raises(OutputError, match=r"cannot write .*last\.pt: No space left"):
        train_tiny(data, tmp_path / "out")
    monkeypatch.setattr("eventseg.networks.checkpoints.write_whole", write)
    assert [(tmp_path / "out/last.pt").read_bytes()] == kept
    assert list((tmp_path / "out").glob("*.tmp")) == []
    train_tiny(data, tmp_path / "out", resume=True)
    assert same_weights(tmp_path / "out/last.pt", plain / "last.pt")


@pytest.mark.usefixtures("blind")
def test_runs_that_cannot_go_on_are_refused(data: Path, copied: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    train_tiny(data, out, epochs=1)
    with pytest.raises(TrainingError, match=r"other settings \(seed = 0 there, seed = 5 asked\)"):
        train_tiny(data, out, epochs=1, seed=5, resume=True)
    with pytest.raises(TrainingError, match="holds a run; go on with --resume"):
        train_tiny(data, out, epochs=1)
    manifest = Manifest.read(copied / "manifest.toml")
    (first, second) = manifest.recordings
    changed = replace(manifest, recordings=(replace(first, sha256="0" * 64), second))
    changed.write(copied / "manifest.toml")
    with pytest.raises(TrainingError, match="holds a run on other data"):
        train_tiny(copied, out, epochs=1, resume=True)
    shutil.copy(out / "last.pt", tmp_path / "fastscnn.pt")
    other = tmp_path / "other"
    train_tiny(data, other, epochs=1, network__name="cgnet")
    shutil.copy(tmp_path / "fastscnn.pt", other / "last.pt")
    with pytest.raises(CheckpointError, match="of another network or damaged"):
        train_tiny(data, other, epochs=1, network__name="cgnet", resume=True)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/text").write_text("mine")
    with pytest.raises(OutputError, match="holds files but no run"):
        train_tiny(data, tmp_path / "thesis")


@pytest.mark.usefixtures("blind")
def test_a_run_continues_with_settings_that_change_nothing(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    straight = train_tiny(data, tmp_path / "straight")
    train_tiny(data, out, callbacks=[lambda _: True])
    config = out / "config.toml"
    # A file of an earlier version knows fewer settings; in another order they are the same.
    kept = [line for line in config.read_text().splitlines() if "shuffle_block" not in line]
    config.write_text("\n".join(kept) + "\n")
    before = config.read_bytes()
    for changed in ({"batch_size": 8}, {"accumulation": 2}, {"epochs": 3}, {"amp": "bf16"}):
        ((name, value),) = changed.items()
        with pytest.raises(TrainingError, match=rf"other settings \({name} = .*{value}"):
            train_tiny(data, out, resume=True, **changed)  # type: ignore[arg-type]
    others: dict[str, Any] = {"workers": 1, "input__live": True, "input__encode": "device"}
    notes = resume_notes(out, tiny(**others), device=torch.device("cuda:1"))
    assert notes == [
        "input.live was false and is true",
        'input.encode was "auto" and is "device"',
        "workers was 0 and is 1",
        "device was cpu and is cuda:1",
    ]
    told: list[TrainingProgress] = []
    resumed = train_tiny(
        data, out, resume=True, tensorboard=True, progress=told.append, workers=1,
        input__live=True, input__encode="workers",
    )  # fmt: skip
    assert told
    assert repr(resumed.history) == repr(straight.history)
    assert config.read_bytes() == before
    (again,) = read_run(out / "run.json")["resumed"]
    assert again["settings"] == {
        "input.live": "true", "input.encode": '"workers"', "workers": "1",
    }  # fmt: skip
