"""The common picture of runs: the samples, split and encoding that it is of."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from evaluation.compare.compare_fixtures import EVSEGNET_6, NAN, summary
from matplotlib.figure import Figure
from PIL import Image
from training_fixtures import draw_nothing, train_tiny

import eventseg
from eventseg.dataset.writer import encode_dataset
from eventseg.errors import TrainingError
from eventseg.evaluation.compare import picture
from eventseg.evaluation.compare.evaluations import other_samples
from eventseg.evaluation.compare.picture import same_samples
from eventseg.evaluation.compare.runs import Evaluation, Score, read_run_summary
from eventseg.evaluation.run_evaluation import evaluate_run
from eventseg.sources.source import Source, open_source
from eventseg.splits import SplitRule
from eventseg.training.config.config import to_toml
from eventseg_cli.main import main

pytestmark = pytest.mark.usefixtures("single_thread")


def test_runs_of_other_data_have_no_common_picture(runs: Path, tmp_path: Path) -> None:
    path = runs / "second/run.json"
    held = json.loads(path.read_text())
    path.write_text(json.dumps({**held, "inputs": {**held["inputs"], "drive": "other"}}))
    paths = [str(runs / name) for name in ("first", "second")]
    for moved, reason in ((False, "other recordings"), (True, "no longer at")):
        if moved:
            for name in ("first", "second"):
                gone = {**held, "data": str(tmp_path / "gone")}
                (runs / name / "run.json").write_text(json.dumps(gone))
        result = CliRunner().invoke(main, ["compare", *paths, "--out", str(tmp_path / "c")])
        assert result.exit_code == 0, result.output
        page = (tmp_path / "c/compare.html").read_text()
        assert "predictions of each run" not in page
        assert reason in page


def test_data_that_a_file_names_is_not_gone(
    data: Path, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    league = tmp_path / "league.toml"
    league.touch()
    paths = [runs / name for name in ("first", "second")]
    for path in paths:
        record = json.loads((path / "run.json").read_text())
        (path / "run.json").write_text(json.dumps({**record, "data": str(league)}))
    opened: list[Path] = []

    def open_instead(place: Path, *, label_set: str) -> Source:
        opened.append(place)
        return open_source(data, label_set=label_set)

    monkeypatch.setattr(picture, "open_source", open_instead)
    figure, _ = same_samples(paths, [read_run_summary(path) for path in paths])
    assert opened == [league, league]
    assert figure is not None


def test_the_common_picture_takes_the_split_that_the_runs_hold(
    data: Path, runs: Path, tmp_path: Path
) -> None:
    with eventseg.open_dataset(data) as dataset:
        ids = dataset.ids
    lines = [f"{name},{'val' if k in (4, 7) else 'train'}" for k, name in enumerate(ids)]
    paths = [runs / name for name in ("first", "second")]
    for path in paths:
        summary = read_run_summary(path)
        gone = replace(summary.config, split=SplitRule(file=str(tmp_path / "gone.csv")))
        record = json.loads((path / "run.json").read_text())
        (path / "run.json").write_text(json.dumps({**record, "config": to_toml(gone)}))
        (path / "split.csv").write_text("\n".join(["id,split", *lines]))
    summaries = [read_run_summary(path) for path in paths]
    figure, _ = same_samples(paths, summaries)
    assert figure is not None
    shown = {text.get_text() for text in figure.axes[0].texts if text.get_rotation() == 90}
    assert shown == {ids[4], ids[7]}
    (paths[0] / "split.csv").unlink()
    figure, reason = same_samples(paths, summaries)
    assert figure is None
    assert reason.startswith("No sample is shown: cannot read the split file")


@pytest.mark.slow
@pytest.mark.drawn
def test_runs_of_other_encodings_are_compared_each_on_its_own_input(
    data: Path, runs: Path, tmp_path: Path
) -> None:
    recordings = [data.parent / f"{name}.hdf5" for name in ("drive", "other")]
    voxels = tmp_path / "voxels"
    encode_dataset(
        recordings, voxels, held_out=["other"], windows_us=[50_000], representation="voxel:2",
        filters="refractory:1ms",
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        drawn = Figure.savefig
        patch.setattr(
            Figure, "savefig", lambda _figure, *a, **k: drawn(Figure((0.2, 0.2)), *a, **k)
        )
        train_tiny(voxels, runs / "voxel", epochs=1, input__normalise="raw")
        for name, folder in (("first", data), ("voxel", voxels), ("gray", data)):
            evaluate_run(runs / name, folder, device="cpu", baselines=False, classes="evsegnet6")
    out = tmp_path / "c"
    result = CliRunner().invoke(
        main, ["compare", *(str(runs / n) for n in ("first", "voxel", "gray")), "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    table = result.stdout.partition("## Runs")[2].splitlines()
    header, lines = table[2], table[4:7]
    names = [cell.strip() for cell in header.split("|")]
    cells = [dict(zip(names, map(str.strip, line.split("|")), strict=True)) for line in lines]
    assert [cell["representation"] for cell in cells] == ["mean-std sqrt", "voxel:2 raw", "-"]
    assert [cell["filters"] for cell in cells] == ["none", "refractory:1ms", "-"]
    assert [cell["data"] for cell in cells] == ["streets", "voxels", "streets"]
    assert [cell["sensor"] for cell in cells] == ["64x48", "64x48", "-"]
    # One column for the scores of all, though their data sets differ.
    assert all(cell["mIoU 50ms"] != "-" for cell in cells[:2])
    assert cells[2]["mIoU"] != "-"
    # A network of frames needs no window, hence counts the samples at the begin too.
    assert result.stdout.count("other samples than the first row of this evaluation") == 1
    page = (out / "compare.html").read_text()
    assert "predictions of each run" in page
    assert "each run on its own data set" in page
    for name in ("same-samples", "learning-curves"):
        with Image.open(out / "figures" / f"{name}.png") as picture:
            assert min(picture.size) > 100
        assert (out / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert "| class | first 50ms | voxel 50ms | gray |" in result.stdout
    described = json.loads((out / "compare.json").read_text())["runs"]
    assert described[1]["encoding"]["representation"] == "voxel:2"
    assert set(described[0]["evaluations"][0]["scores"][0]["per_class"]) <= set(EVSEGNET_6)

    records = eventseg.results(str(runs / "*"))
    by_run = {record["run"]: record for record in records if record.get("is_network")}
    assert [by_run[name]["representation"] for name in ("first", "voxel")] == [
        "mean-std", "voxel:2"
    ]  # fmt: skip
    shown = float(cells[1]["mIoU 50ms"])
    assert by_run["voxel"]["miou"] == pytest.approx(shown, abs=0.005)
    assert by_run["voxel"]["window"] == "50ms"
    assert by_run["voxel"]["split"] == "test"
    assert "iou_flat" in by_run["gray"]
    unscored = [record for record in records if record["run"] == "second"]
    assert [record["seed"] for record in unscored] == [3]
    assert "evaluation" not in unscored[0]
    with pytest.raises(TrainingError, match="names no run folder"):
        eventseg.results(str(tmp_path / "none*"))


def test_label_maps_of_other_pixels_are_noted() -> None:
    test = Evaluation("a", "evsegnet6", "x", "truth", "test")
    rows = [(Score(9, 50.0, 1.0, NAN, NAN, NAN, "", "set", "", (), n),) for n in (100, 80)]
    notes = other_samples([summary({test: {"50ms": row}}) for row in rows], test)
    assert notes == {
        (1, "50ms"): "other pixels (rows or size) than the first row of this evaluation"
    }
