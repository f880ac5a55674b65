"""Label maps that an evaluation writes are scored as it scored them; others are named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from prediction_fixtures import TABLE, random_network
from training_fixtures import SENSOR, street_dataset

import eventseg
from eventseg.errors import DatasetError, LabelError, TrainingError
from eventseg.events import SensorSize
from eventseg.labels.files import write_labels
from eventseg.labels.maps import CITYSCAPES_19
from eventseg_cli.main import main


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("scored")
    street_dataset(folder)
    data = folder / "streets"
    random_network(folder / "events.pt", "events", data, table=CITYSCAPES_19)
    random_network(folder / "gray.pt", "gray", table=CITYSCAPES_19)
    return folder


def same_scores(one, other) -> None:
    """Compare two rows to the last digit."""
    assert one.ids == other.ids
    assert np.array_equal(one.matrices, other.matrices)
    mine, theirs = one.to_dict(), other.to_dict()
    for row in (mine, theirs):
        del row["note"], row["window"], row["name"]
    assert json.dumps(mine) == json.dumps(theirs)


@pytest.mark.parametrize(
    ("network", "asked"),
    [
        ("events", {}),
        ("gray", {"classes": "evsegnet6"}),
        ("events", {"protocol": "paper", "scales": (1.0, 0.75), "size": SensorSize(33, 41)}),
    ],
)
def test_saved_predictions_have_the_scores_of_their_evaluation(root, tmp_path, network, asked):
    made = eventseg.evaluate_run(
        root / f"{network}.pt", root / "streets", out=tmp_path / "report", device="cpu",
        baselines=False, predictions=tmp_path / "maps", **asked,
    )  # fmt: skip
    again = eventseg.evaluate_predictions(tmp_path / "maps", root / "streets", baselines=False)
    same_scores(made.rows[0], again.rows[0])
    assert again.rows[0].name == made.rows[0].name
    assert again.page.parent.parent == tmp_path / "maps"
    folder = eventseg.open_predictions(tmp_path / "maps")
    assert folder.ids == made.rows[0].ids
    assert sum(folder.manifest.pixels.values()) == sum(
        folder.labels(name).size for name in folder.ids
    )


@pytest.mark.slow
@pytest.mark.drawn
def test_each_window_gets_a_folder_and_the_report_holds_them(root, tmp_path, draw_no_more):
    made = eventseg.evaluate_run(
        root / "events.pt", root / "streets", out=tmp_path / "report", device="cpu",
        window="10ms,50ms", predictions=True,
    )  # fmt: skip
    figures = {path.stem for path in (tmp_path / "report" / "figures").glob("*.pdf")}
    assert figures >= {"iou-of-classes", "confusion-10ms", "confusion-50ms"}
    assert figures == {path.stem for path in (tmp_path / "report" / "figures").glob("*.png")}
    for name in figures:
        with Image.open(tmp_path / "report" / "figures" / f"{name}.png") as picture:
            assert min(picture.size) > 100, name
    draw_no_more()  # what follows looks at scores and label maps alone
    folders = sorted((tmp_path / "report" / "predictions").iterdir())
    assert [folder.name for folder in folders] == ["10ms", "50ms"]
    for row, folder in zip(made.rows, folders, strict=False):
        again = eventseg.evaluate_predictions(folder, root / "streets")
        same_scores(row, again.rows[0])
        assert again.rows[0].window == row.window == folder.name
        # The baselines that need no network are those of the evaluation.
        by_name = {baseline.name: baseline for baseline in made.rows}
        if folder.name == "10ms":
            for baseline in again.rows[1:]:
                same_scores(baseline, by_name[baseline.name])
    # Another evaluation into the same report writes them again.
    eventseg.evaluate_run(
        root / "gray.pt", root / "streets", out=tmp_path / "report", device="cpu",
        baselines=False, predictions=True,
    )  # fmt: skip


def test_predict_and_evaluate_meet(root, tmp_path):
    made = eventseg.evaluate_run(
        root / "events.pt", root / "streets", out=tmp_path / "report", device="cpu",
        baselines=False, batch_size=1,
    )  # fmt: skip
    eventseg.predict_into(root / "events.pt", root / "other.hdf5", tmp_path / "maps", device="cpu")
    scored = eventseg.evaluate_predictions(tmp_path / "maps", root / "streets", baselines=False)
    same_scores(made.rows[0], scored.rows[0])
    with pytest.raises(DatasetError, match=r"of split train have no prediction in .*: drive_f"):
        eventseg.evaluate_predictions(tmp_path / "maps", root / "streets", split="train")
    with pytest.raises(TrainingError, match="no labelled samples of split tset"):
        eventseg.evaluate_predictions(tmp_path / "maps", root / "streets", split="tset")


def test_unpaired_missing_duplicate_and_wrongly_sized_maps_are_named(root, tmp_path):
    maps, data = tmp_path / "maps", root / "streets"
    eventseg.predict_into(root / "events.pt", root / "other.hdf5", maps, device="cpu")
    ids = eventseg.open_predictions(maps).ids
    foreign = tmp_path / "foreign"
    shutil.copytree(maps / "labels", foreign)
    asked = {"network_classes": "cityscapes19", "baselines": False}

    made = eventseg.evaluate_predictions(foreign, data, **asked)
    # Without a window every sample counts, here those at the begin of the recording too.
    assert made.rows[0].ids == ids
    scored = eventseg.evaluate_predictions(maps, data, baselines=False).rows[0]
    assert 0 < len(scored.ids) < len(ids)
    assert np.array_equal(made.rows[0].matrices[-len(scored.ids) :], scored.matrices)
    shutil.copy(foreign / f"{ids[0]}.png", foreign / "stray.png")
    noted = eventseg.evaluate_predictions(foreign, data, **asked)
    assert noted.notes == ["1 predictions are of no sample of the data: stray"]
    assert "of no sample of the data: stray" in noted.page.with_name("scores.md").read_text()
    (foreign / "stray.png").unlink()

    (foreign / "more").mkdir()
    shutil.copy(foreign / f"{ids[0]}.png", foreign / "more")
    with pytest.raises(DatasetError, match=f"both predictions of {ids[0]}; keep one"):
        eventseg.evaluate_predictions(foreign, data, **asked)
    shutil.rmtree(foreign / "more")

    small = np.zeros((10, 12), np.uint8)
    write_labels(foreign / f"{ids[-1]}.png", small, CITYSCAPES_19)
    with pytest.raises(DatasetError, match=rf"{ids[-1]}\.png is 12x10, its labels are 64x48"):
        eventseg.evaluate_predictions(foreign, data, **asked)
    Image.fromarray(np.full(SENSOR, 77, np.uint8)).save(foreign / f"{ids[-1]}.png")
    with pytest.raises(LabelError, match="hold 77"):
        eventseg.evaluate_predictions(foreign, data, **asked)
    (foreign / f"{ids[-1]}.png").unlink()
    with pytest.raises(DatasetError, match=f"1 of the .* have no prediction .*{ids[-1]}"):
        eventseg.evaluate_predictions(foreign, data, **asked)

    with pytest.raises(LabelError, match="name them with --network-classes"):
        eventseg.evaluate_predictions(foreign, data)
    with pytest.raises(LabelError, match="leave --network-classes out"):
        eventseg.evaluate_predictions(maps, data, network_classes="cityscapes19")
    (maps / "labels" / f"{ids[1]}.png").unlink()
    with pytest.raises(DatasetError, match=f"lacks the label maps of 1 of its samples: {ids[1]}"):
        eventseg.evaluate_predictions(maps, data)
    eventseg.predict_into(
        root / "events.pt", root / "other.hdf5", tmp_path / "every", every="40ms", device="cpu"
    )
    with pytest.raises(DatasetError, match=r"none of the .* predictions .* is of a sample"):
        eventseg.evaluate_predictions(tmp_path / "every", data)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"neither predictions\.toml nor label PNG"):
        eventseg.evaluate_predictions(tmp_path / "empty", data)


def test_a_folder_of_other_predictions_is_not_replaced(root, tmp_path):
    random_network(tmp_path / "abc.pt", "events", table=TABLE)
    eventseg.predict_into(tmp_path / "abc.pt", root / "other.hdf5", tmp_path / "maps", device="cpu")
    with pytest.raises(DatasetError, match="give another folder to --save-predictions"):
        eventseg.evaluate_run(
            root / "events.pt", root / "streets", out=tmp_path / "report", device="cpu",
            baselines=False, predictions=tmp_path / "maps",
        )  # fmt: skip
    with pytest.raises(LabelError):
        eventseg.evaluate_predictions(tmp_path / "maps", root / "streets")


def test_the_commands(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])

    asked = ("--no-baselines", "--device", "cpu", "--workers", "0")
    made = call(root / "gray.pt", root / "streets", *asked, "--out", "report", "--save-predictions")
    assert made.exit_code == 0, made.output
    again = call("--predictions", "report/predictions", root / "streets", *asked, "--json")
    assert again.exit_code == 0, again.output
    stored = json.loads(Path("report/scores.json").read_text())
    assert json.loads(again.stdout)["rows"][0]["scores"] == stored["rows"][0]["scores"]
    elsewhere = call(
        root / "gray.pt", root / "streets", *asked, "--out", "r", "--save-predictions", "maps"
    )
    assert elsewhere.exit_code == 0, elsewhere.output
    assert Path("maps/predictions.toml").is_file()
    Path("split.csv").write_text("recording,split\ndrive,train\nother,test\n")
    of_file = call("--predictions", "maps", root / "streets", *asked, "--split", "split.csv")
    assert of_file.exit_code == 0, of_file.output
    of_data = call("--predictions", "maps", root / "streets", *asked)
    assert of_data.exit_code == 0, of_data.output
    folders = sorted(path.name for path in Path("maps").glob("evaluation-*"))
    plain = "evaluation-streets-truth-test-clean-nobaselines"
    assert [name[: len(f"{plain}-split@")] for name in folders] == [plain, f"{plain}-split@"]
    for wrong, words in (
        ((root / "gray.pt",), "give RUN and DATA, not 1 names"),
        (("--predictions", "maps", root / "gray.pt", root / "streets"), "give DATA with"),
        (("--predictions", "maps", root / "streets", "--calibration"), "--calibration needs a net"),
        (("--predictions", "maps", root / "streets", "--window", "10ms"), "--window needs a netw"),
        (
            ("--predictions", "maps", root / "streets", "--save-predictions"),
            "--save-predictions ne",
        ),
        ((root / "gray.pt", "nowhere"), "no folder 'nowhere'"),
        (("nothing", root / "streets"), "no folder or file 'nothing'"),
    ):
        refused = call(*wrong)
        assert refused.exit_code == 2, refused.output
        assert words in refused.output
