"""Messages about arguments that are something else: swapped, cut short, or not there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from eventseg.errors import CheckpointError, TrainingError
from eventseg.evaluation.compare.runs import read_run_summary
from eventseg.evaluation.run_evaluation import evaluate_run
from eventseg.networks.weights import load_file
from eventseg.pseudolabel import load_teacher


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "drives").mkdir()
    (tmp_path / "drives" / "manifest.toml").write_text("schema = 1\n")
    return tmp_path / "drives"


def test_a_data_set_in_the_place_of_a_run_is_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="is a data set and no run folder; the run comes first"):
        evaluate_run(data, tmp_path / "runs")
    with pytest.raises(TrainingError, match="is a data set and no run folder"):
        read_run_summary(data)


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"is no run folder: it has no run\.json"):
        evaluate_run(tmp_path, tmp_path)
    with pytest.raises(TrainingError, match=r"is no run folder: it has no run\.json"):
        read_run_summary(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.95])
def test_a_truncated_checkpoint_is_called_so(tmp_path: Path, share: float) -> None:
    path = tmp_path / "best.pt"
    torch.save({"weight": torch.zeros(2_000)}, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=r"or (damaged|its beginning is damaged)"):
        load_file(path)


@pytest.mark.parametrize("folder", ["./nofolder", "/nowhere/model", "~/model"])
def test_a_teacher_folder_that_is_not_there_is_not_looked_for_on_the_hub(folder: str) -> None:
    with pytest.raises(CheckpointError, match=f"no folder {folder}"):
        load_teacher(f"hf:{folder}", device=torch.device("cpu"))
