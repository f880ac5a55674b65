"""Contact sheets of prediction folders, data sets and runs, and what view and info make of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from prediction_fixtures import TABLE, random_network
from recording_fixtures import SMALL, write_recording
from training_fixtures import street_dataset

import eventseg
from eventseg.errors import CheckpointError, DatasetError, NetworkError, TrainingError, WindowError
from eventseg.labels.maps import CITYSCAPES_19, EVSEGNET_6
from eventseg_cli.main import main


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("sheet")
    data = street_dataset(folder)
    random_network(folder / "events.pt", "events", data, table=CITYSCAPES_19)
    random_network(folder / "six.pt", "gray", table=EVSEGNET_6)
    random_network(folder / "abc.pt", "gray", table=TABLE)
    eventseg.predict_into(
        folder / "events.pt", folder / "other.hdf5", folder / "maps", device="cpu"
    )
    return folder


def titles(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts if text.get_rotation() == 0]


def names(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts if text.get_rotation() == 90]


def legend(figure) -> set[str]:
    return {text.get_text() for text in figure.legends[0].get_texts()}


def test_sheets_of_predictions_show_frame_events_labels_prediction_and_errors(root):
    figure = eventseg.contact_sheet(root / "maps", count=3)
    assert titles(figure) == ["frame", "events", "labels", "prediction", "wrong pixels"]
    shown = [name.split("\n")[0] for name in names(figure)]
    ids = eventseg.open_predictions(root / "maps").ids
    assert shown == [ids[0], ids[len(ids) // 2], ids[-1]]
    assert all(name.endswith("% wrong") for name in names(figure))
    assert legend(figure) == {*CITYSCAPES_19.names, "ignored"}


def test_sheets_of_data_sets_show_labels_and_those_of_a_run(root):
    plain = eventseg.contact_sheet(root / "streets", count=2, split="test")
    assert titles(plain) == ["frame", "events", "labels"]
    assert all(name.startswith("other_f") for name in names(plain))
    one = eventseg.contact_sheet(
        root / "streets", samples=["drive_f000004"], run=root / "six.pt", device="cpu"
    )
    assert titles(one) == ["frame", "events", "labels", "prediction", "wrong pixels"]
    # Truth of 19 classes and predictions of 6 are painted in the six.
    assert legend(one) == {*EVSEGNET_6.names, "ignored"}
    unlike = eventseg.contact_sheet(
        root / "streets", count=1, run=root / "abc.pt", device="cpu", window="10ms"
    )
    # Classes that do not merge are all shown, and no pixel is called wrong.
    assert titles(unlike) == ["frame", "events", "labels", "prediction"]
    assert legend(unlike) == {*CITYSCAPES_19.names, *TABLE.names, "ignored"}


def test_sheets_of_runs_show_the_data_they_were_trained_on(root, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(root / "events.pt", run / "best.pt")
    (run / "run.json").write_text(json.dumps({"data": str(root / "streets")}))
    figure = eventseg.contact_sheet(run, count=2, device="cpu")
    assert all(name.startswith("other_f") for name in names(figure))
    (run / "run.json").write_text(json.dumps({"data": str(tmp_path / "gone")}))
    with pytest.raises(DatasetError, match="was trained on is no longer at"):
        eventseg.contact_sheet(run, device="cpu")


def test_what_cannot_be_shown_is_named(root, tmp_path):
    for asked, error, match in (
        ({"samples": ["nope"]}, DatasetError, "has no sample 'nope'; it has drive_f000000"),
        ({"split": "other"}, DatasetError, "streets, other has no sample to show"),
        ({"labels": "taught"}, DatasetError, "no label set 'taught'; it has truth"),
        ({"count": 0}, DatasetError, "1 sample or more"),
        ({"window": "fast"}, WindowError, "a number and a unit"),
        ({"run": tmp_path / "none"}, CheckpointError, "no run folder or checkpoint"),
    ):
        with pytest.raises(error, match=match):
            eventseg.contact_sheet(root / "streets", device="cpu", **asked)
    for asked in ({"window": "10ms"}, {"split": "test"}, {"run": root / "six.pt"}):
        with pytest.raises(DatasetError, match=f"as they were made: leave {min(asked)} out"):
            eventseg.contact_sheet(root / "maps", **asked)
    with pytest.raises(DatasetError, match="is no data set, image folder, run or prediction"):
        eventseg.contact_sheet(tmp_path, device="cpu")
    (tmp_path / "windows").mkdir()
    (tmp_path / "windows" / "50ms").symlink_to(root / "streets")
    with pytest.raises(DatasetError, match=r"it holds data sets, such as .*50ms"):
        eventseg.contact_sheet(tmp_path / "windows", device="cpu")
    pictures = tmp_path / "CamVid"
    for folder in ("test", "testannot"):
        (pictures / folder).mkdir(parents=True)
        Image.new("L", (24, 16)).save(pictures / folder / "a_1.png")
    assert titles(eventseg.contact_sheet(pictures)) == ["frame", "labels"]
    with pytest.raises(NetworkError, match=r"sees events, and .* holds none"):
        eventseg.contact_sheet(pictures, run=root / "events.pt", device="cpu")


def test_labels_of_samples_without_a_frame_are_shown(tmp_path):
    write_recording(tmp_path / "plain.hdf5", frames=0)
    eventseg.encode_dataset(
        [tmp_path / "plain.hdf5"], tmp_path / "plain", anchor="stride:250ms", sensor=SMALL
    )
    with eventseg.open_dataset(tmp_path / "plain") as dataset:
        name = dataset.ids[0]
    (tmp_path / "own").mkdir()
    Image.new("L", (SMALL.width, SMALL.height), 5).save(tmp_path / "own" / f"{name}.png")
    eventseg.import_labels(tmp_path / "plain", tmp_path / "own", name="own", classes=CITYSCAPES_19)
    figure = eventseg.contact_sheet(tmp_path / "plain", samples=[name])
    assert titles(figure) == ["events", "labels"]


def test_sheets_of_pictures_show_the_label_set_that_is_asked_for(root, tmp_path):
    pictures, own = tmp_path / "CamVid", tmp_path / "own"
    for folder in (pictures / "test", pictures / "testannot", own):
        folder.mkdir(parents=True)
    for name in ("a_1", "a_2"):
        Image.new("L", (24, 16)).save(pictures / "test" / f"{name}.png")
        Image.new("L", (24, 16)).save(pictures / "testannot" / f"{name}.png")
    Image.new("L", (24, 16), 5).save(own / "a_1.png")
    eventseg.import_labels(pictures, own, name="own", classes=CITYSCAPES_19)

    def label_map(**asked):
        figure = eventseg.contact_sheet(pictures, count=1, device="cpu", **asked)
        column = titles(figure).index("labels")
        return tuple(figure.axes[0].images[column].get_array()[0, 0])

    assert label_map() != label_map(labels="own") == CITYSCAPES_19.colours[5]
    both = eventseg.contact_sheet(pictures, labels="own")  # one of the samples has none
    assert titles(both) == ["frame", "labels"]
    eventseg.predict_into(root / "six.pt", pictures, tmp_path / "maps", device="cpu")
    predicted = eventseg.contact_sheet(tmp_path / "maps", count=1, labels="own")
    assert legend(predicted) == {*EVSEGNET_6.names, "ignored"}
    for place in (pictures, tmp_path / "maps"):
        with pytest.raises(TrainingError, match="no label set 'nosuch'; it has truth, own"):
            eventseg.contact_sheet(place, labels="nosuch")
    with pytest.raises(DatasetError, match="holds no events: leave the window out"):
        eventseg.contact_sheet(pictures, window="10ms")


def test_view_and_info_take_every_folder(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        return CliRunner().invoke(main, [*map(str, arguments)])

    made = call("view", root / "maps", "--count", "1")
    assert made.exit_code == 0, made.output
    with Image.open("maps.png") as picture:
        assert picture.size[0] > 1000
    assert call("view", root / "streets", "--count", "1", "--out", "s.pdf").exit_code == 0
    film = call("view", root / "maps", "--out", "film.gif")
    assert film.exit_code == 0, film.output
    assert Path("film.gif").is_file()
    for wrong, words in (
        ((root / "maps", "--at", "1s"), "--at is for a recording"),
        ((root / "maps", "--from", "0"), "--from is for a recording"),
        ((root / "other.hdf5", "--sample", "x"), "--sample is for a folder"),
        ((root / "other.hdf5", "--device", "cpu"), "--device is for a folder"),
        ((root / "maps", "--out", "film.gif", "--count", "2"), "a film shows all samples"),
        ((root / "streets", "--window", "10ms,50ms"), "several windows are for recordings"),
        ((root / "streets", "--sample", "x", "--count", "2"), "leave it out with --sample"),
        ((root / "maps", "--window", "10ms"), "as they were made: leave --window out"),
        ((root / "maps", "--run", root / "six.pt"), "as they were made: leave --run out"),
        ((root / "maps", "--split", "test"), "as they were made: leave --split out"),
        ((root / "maps", "--device", "cpu"), "as they were made: leave --device out"),
    ):
        refused = call("view", *wrong)
        assert refused.exit_code == 2, refused.output
        assert words in refused.output

    for other, choice in (
        ("maps", ("--sensor", "64x48")),
        ("streets", ("--rotate180",)),
        ("six.pt", ("--camera", "left")),
    ):
        refused = call("info", root / other, *choice)
        assert refused.exit_code == 2, refused.output
        assert "are for recordings: leave them out with" in refused.output
    shown = call("info", root / "maps")
    assert "label maps of events, 19 classes, frames" in shown.stdout
    described = json.loads(call("info", root / "maps", "--json").stdout)
    assert described["samples"] == len(eventseg.open_predictions(root / "maps"))
    checkpoint = call("info", root / "events.pt")
    assert "enet, " in checkpoint.stdout
    assert "rows 0-47 of 64x48, filters none" in checkpoint.stdout
    assert json.loads(call("info", root / "six.pt", "--json").stdout)["encoding"] is None


def test_info_of_a_run(tiny_drive_folder):
    path = tiny_drive_folder / "run"
    shown = CliRunner().invoke(main, ["info", str(path)])
    assert shown.exit_code == 0, shown.output
    assert "1 epoch, best 1 with val mIoU" in shown.stdout
    assert "fastscnn, " in shown.stdout
    info = json.loads(CliRunner().invoke(main, ["info", str(path), "--json"]).stdout)
    run = eventseg.open_run(path)
    assert info["val_miou"] == run.best.val_miou
    assert info["checkpoints"] == ["best.pt", "last.pt"]
    assert set(info["val_iou"]) == set(run.class_names)
