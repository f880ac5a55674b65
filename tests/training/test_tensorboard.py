"""TensorBoard files: what TensorBoard reads from them, and what is said without it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from training_fixtures import street_dataset, train_tiny

from eventseg.labels.maps import load_class_table
from eventseg.training import epoch_files
from eventseg.training.epoch_tables import EpochScores
from eventseg.training.tensorboard import write_epoch
from eventseg_cli.main import main

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def scalars(root: Path) -> dict[str, list[tuple[int, float]]]:
    """Return steps and values by name, as TensorBoard's own reader finds them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(root / "tensorboard")).Reload()
    return {
        name: [(event.step, event.value) for event in found.Scalars(name)]
        for name in found.Tags()["scalars"]
    }


def row(epoch: int, loss: float) -> EpochScores:
    return EpochScores(epoch, epoch * 3, 1e-3, loss, 50.0, 25.0, 2.0, 60.0, 30.0, (40.0, 20.0))


def test_a_training_writes_what_metrics_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("picture_curves", "picture_samples"):
        monkeypatch.setattr(epoch_files, name, lambda *_a, **_k: None)
    data = street_dataset(tmp_path, normalise="raw")
    made = train_tiny(data, tmp_path / "run", tensorboard=True)
    found = scalars(tmp_path / "run")
    named = {
        "learning_rate": "learning_rate", "train/loss": "train_loss", "val/loss": "val_loss",
        "train/accuracy": "train_accuracy", "val/accuracy": "val_accuracy",
        "train/miou": "train_miou", "val/miou": "val_miou",
        "val/miou_truth": "val_miou_truth", "val/miou_all": "val_miou_all",
    }  # fmt: skip
    classes = load_class_table("cityscapes19").names
    assert found.keys() == named.keys() | {f"val_iou/{name}" for name in classes}
    for name, attribute in named.items():
        expected = [(each.epoch, np.float32(getattr(each, attribute))) for each in made.history]
        assert found[name] == expected
    for k, name in enumerate(classes):
        values = [value for _, value in found[f"val_iou/{name}"]]
        np.testing.assert_array_equal(
            values, np.float32([each.val_iou[k] for each in made.history])
        )


def test_an_epoch_that_is_done_again_replaces_what_came_after(tmp_path: Path) -> None:
    for epoch, loss in ((1, 3.0), (2, 2.0), (3, 1.0), (2, 0.5)):
        write_epoch(tmp_path, row(epoch, loss), classes=("road", "sky"))
    assert scalars(tmp_path)["train/loss"] == [(1, 3.0), (2, 0.5)]


def test_without_the_package_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = street_dataset(tmp_path, normalise="raw")
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    called = ["train", str(data), "--out", str(tmp_path / "run"), "--tensorboard", "-q"]
    result = CliRunner().invoke(main, called)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "error: TensorBoard files need the extra: uv sync --extra tensorboard"
    ]
    assert not (tmp_path / "run").exists()
