"""The code of docs/prediction.md, run as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from prediction_fixtures import random_network

import eventseg

PAGE = Path(__file__).resolve().parents[2] / "docs" / "prediction.md"


def test_the_code_of_the_page_runs(
    tiny_drive_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    (tmp_path / "runs").mkdir()
    for name, target in (
        ("second.hdf5", "other.hdf5"),
        ("drives", "drives"),
        ("runs/events", "run"),
    ):
        (tmp_path / name).symlink_to(tiny_drive_folder / target)
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert code is not None
    names: dict[str, object] = {}
    exec(compile(code[1], str(PAGE), "exec"), names)
    folder = eventseg.open_predictions("maps")
    assert np.array_equal(names["labels"], folder.labels(folder.ids[-1]))
    assert {path.suffix for path in tmp_path.glob("last.*")} == {".png", ".npz"}
    assert names["evaluation"].page.is_file()  # type: ignore[attr-defined]
    assert Path("second.gif").is_file()


def test_every_layout_line_of_the_page_is_there(tmp_path: Path, tiny_drive_folder: Path) -> None:
    random_network(tmp_path / "gray.pt", "gray")
    eventseg.predict_into(
        tmp_path / "gray.pt",
        tiny_drive_folder / "other.hdf5",
        tmp_path / "out",
        probabilities=True,
        device="cpu",
    )
    block = re.search(r"```text\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert block is not None
    promised = [line.split()[0] for line in block[1].splitlines()[1:]]
    assert len(promised) == 4
    for name in promised:
        assert list((tmp_path / "out").glob(name.replace("ID", "*"))), name
