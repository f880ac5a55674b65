"""Model cards: scores of the epoch that is exported, times of these weights, windows of events."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prediction_fixtures import TABLE

from eventseg.networks import Blueprint, InputSpec, TrainedNetwork, load_network, save_network
from eventseg.prediction.checkpoint_file import CheckpointFile, find_checkpoint
from eventseg.prediction.export import metadata_of
from eventseg.prediction.model_card import write_card

METRICS = """\
epoch,val_accuracy,val_miou,val_miou_truth,val_iou_a,val_iou_b,val_iou_c
1,51.0,30.0,40.0,31,32,33
2,52.0,31.0,40.5,41,42,43
3,53.0,32.0,39.5,51,52,nan
"""
DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder of gray frames with three checkpoints; a least gain keeps its first epoch."""
    blueprint = Blueprint("fastscnn", 1, 3)
    inputs = InputSpec("gray", 1, windows=("50ms",))
    trained = TrainedNetwork(blueprint.build().eval(), blueprint, inputs, TABLE, "a test")
    history = json.dumps([{}, {}, {}])
    save_network(tmp_path / "best.pt", trained, epoch=1)
    save_network(tmp_path / "epoch-2.pt", trained, epoch=2)
    save_network(tmp_path / "last.pt", trained, training={"history": history})
    save_network(tmp_path / "other.pt", trained)
    (tmp_path / "metrics.csv").write_text(METRICS)
    return tmp_path


def card_of(checkpoint: Path) -> str:
    card = write_card(
        checkpoint.with_name("MODEL_CARD.md"), find_checkpoint(checkpoint),
        load_network(checkpoint), file="net.onnx", output="logits", numbers="float32", size=None,
        difference=0.0, changed=0.0,
    )  # fmt: skip
    return card.read_text()


def test_scores_are_those_of_the_epoch_of_the_checkpoint(run: Path) -> None:
    for name, scores, iou in (
        ("best.pt", "Mean IoU 40.0 %, accuracy 51.0 % on the validation part, at epoch 1;", "31.0"),
        ("epoch-2.pt", "Mean IoU 40.5 %, accuracy 52.0 % on", "41.0"),
        ("last.pt", "Mean IoU 39.5 %, accuracy 53.0 % on the validation part, at epoch 3;", "51.0"),
        ("other.pt", "No scores: the checkpoint is of no epoch of a run folder.", "-"),
    ):
        card = card_of(run / name)
        assert scores in card, name
        assert f"| 0 | a | (10, 20, 30) | {iou} |" in card
    without = METRICS.replace("val_miou_truth", "clean_miou")
    (run / "metrics.csv").write_text(without)
    assert "Mean IoU 30.0 %" in card_of(run / "best.pt")


def test_times_are_of_the_weights_that_were_measured(run: Path) -> None:
    row = {"setting": "s", "times_ms": {"together": {"p50": 12.0, "p99": 15.0}}}
    machine: dict[str, Any] = {
        "checkpoint_sha256": find_checkpoint(run / "best.pt").sha256, "machine": "m",
        "rows": [row], "recommended": "s", "input": "i", "date": "d",
    }  # fmt: skip
    (run / "bench.json").write_text(json.dumps({"machines": {"m": machine}}))
    assert "- m: 12.0 ms from events to labels" in card_of(run / "best.pt")
    machine["checkpoint_sha256"] = "0" * 64  # of an earlier training in its place
    (run / "bench.json").write_text(json.dumps({"machines": {"m": machine}}))
    assert "Not measured: `eventseg bench RUN`." in card_of(run / "best.pt")


def test_networks_of_frames_have_no_windows_and_no_script(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "gray, windows -." in card_of(run / "best.pt")
    found = CheckpointFile(run / "best.pt", "run")
    metadata = metadata_of(found, load_network(run / "best.pt"))
    assert metadata["input"]["windows"] == metadata["input"]["windows_us"] == []
    held = SimpleNamespace(custom_metadata_map={"eventseg": json.dumps(metadata)})
    session = SimpleNamespace(get_modelmeta=lambda: held)
    onnxruntime = SimpleNamespace(InferenceSession=lambda *_, **__: session)
    monkeypatch.setitem(sys.modules, "onnxruntime", onnxruntime)  # type: ignore[arg-type]
    script = runpy.run_path(str(DOCS / "run_onnx.py"))
    with pytest.raises(SystemExit, match="this script has the six channels of mean-std alone"):
        script["main"]("net.onnx", "events.npz", "50000", "labels.ppm")
    metadata["input"] |= {
        "kind": "both",
        "channels": 7,
        "encoding": {"representation": "mean-std", "filters": []},
    }
    held.custom_metadata_map["eventseg"] = json.dumps(metadata)
    with pytest.raises(SystemExit, match="mean-std alone"):
        script["main"]("net.onnx", "events.npz", "50000", "labels.ppm")
