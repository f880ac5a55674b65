"""Films of predictions: layout, colours, files, and several runs side by side."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image, ImageSequence
from prediction_fixtures import random_network
from recording_fixtures import write_recording
from training_fixtures import street_dataset

import eventseg
from eventseg.errors import DatasetError, MissingExtraError, OutputError, WindowError
from eventseg.labels.common import common_table
from eventseg.labels.maps import CITYSCAPES_19, EVSEGNET_6, EVSEGNET_6_OF_CITYSCAPES_19, IGNORED
from eventseg.networks import load_network
from eventseg.plots import film_frame
from eventseg.plots.film import write_film
from eventseg.plots.film_frame import (
    WRONG,
    FilmLayout,
    Panel,
    fit,
    paint_error,
    wrong_share,
)
from eventseg.prediction.film import _grid
from eventseg_cli.main import main


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("film")
    street_dataset(folder)
    for name, table, kind in (
        ("nineteen", CITYSCAPES_19, "events"),
        ("six", EVSEGNET_6, "gray"),
    ):
        random_network(folder / f"{name}.pt", kind, table=table)
        eventseg.predict_into(
            folder / f"{name}.pt", folder / "other.hdf5", folder / name, device="cpu"
        )
    return folder


def pictures_of(film: Path) -> list[np.ndarray]:
    with Image.open(film) as image:
        return [np.array(each.convert("RGB")) for each in ImageSequence.Iterator(image)]


def place(layout: FilmLayout, row: int, column: int) -> tuple[slice, slice]:
    (left, top), (height, width) = layout._place(row, column), layout.panel
    return slice(top, top + height), slice(left, left + width)


def test_a_gif_shows_every_panel_in_exact_colours(root, tmp_path):
    made = eventseg.film_predictions(root / "nineteen", tmp_path / "film.gif", width=640)
    pictures = pictures_of(tmp_path / "film.gif")
    folder = eventseg.open_predictions(root / "nineteen")
    assert len(pictures) == made.pictures == len(folder)
    layout = FilmLayout(2, 3, (48, 64), CITYSCAPES_19, 640, (1, 2))
    assert pictures[0].shape == (layout.height, 640, 3)
    data = eventseg.open_dataset(root / "streets")
    colours = np.array(CITYSCAPES_19.colours, np.uint8)
    for picture, sample in zip(pictures, folder.samples, strict=True):
        labels = folder.labels(sample.id)
        truth = data.labels(data.ids.index(sample.id))
        # The middle of each pixel of a label map has its colour; its edges are averaged.
        for cell, values in (((0, 2), truth), ((1, 0), labels)):
            shown = picture[place(layout, *cell)]
            y = ((np.arange(48) + 0.5) * shown.shape[0] / 48).astype(int)
            x = ((np.arange(64) + 0.5) * shown.shape[1] / 64).astype(int)
            same = (shown[np.ix_(y, x)] == colours[values]).all(-1)
            assert same.mean() > 0.95
        error = picture[place(layout, 1, 1)]
        red = (error == WRONG).all(-1).mean()
        assert red == pytest.approx(wrong_share(labels, truth), abs=0.05)
    assert made.fps == pytest.approx(100 / 3)  # of 30 frames a second, in hundredths of a second
    with Image.open(tmp_path / "film.gif") as image:
        assert image.info["duration"] == 30
        assert image.info["loop"] == 0


@pytest.mark.parametrize("size", [(200, 346), (260, 346), (480, 640)], ids=str)
@pytest.mark.parametrize("columns", [2, 3, 4])
def test_nineteen_names_in_a_cell_are_whole(size, columns, monkeypatch):
    whole = []

    def shortened(text, font, draw, room):
        whole.append(draw.textlength(text, font=font) <= room)
        return text

    monkeypatch.setattr(film_frame, "_shortened", shortened)
    for width in (960, 1600):  # the defaults
        layout = FilmLayout(2, columns, size, CITYSCAPES_19, width, (1, columns - 1))
        layout.draw([], headline="drive", note="1.000 s")
    assert len(whole) == 2 * (1 + 20)
    assert all(whole)


def test_an_mp4_has_the_pictures(root, tmp_path):
    av = pytest.importorskip("av")
    made = eventseg.film_predictions(root / "nineteen", tmp_path / "film.mp4", fps=12, width=640)
    with av.open(str(tmp_path / "film.mp4")) as container:
        frames = list(container.decode(video=0))
        assert container.streams.video[0].average_rate == 12
        assert container.streams.video[0].codec_context.name == "h264"
        assert frames[0].format.name == "yuv420p"
    assert len(frames) == made.pictures
    assert frames[0].width == 640


def test_runs_of_other_inputs_and_classes_are_shown_in_one_table(root, tmp_path):
    made = eventseg.film_predictions(
        [root / "nineteen", root / "six"], tmp_path / "frames", width=640
    )
    files = sorted((tmp_path / "frames").iterdir())
    folder, six = (eventseg.open_predictions(root / name) for name in ("nineteen", "six"))
    assert [path.stem for path in files] == list(folder.ids)
    assert made.left_out == 0
    layout = FilmLayout(3, 3, (48, 64), EVSEGNET_6, 640, (2, 2))
    picture = np.array(Image.open(files[0]))
    assert picture.shape == (layout.height, 640, 3)
    sample = folder.ids[0]
    merged = np.array(EVSEGNET_6_OF_CITYSCAPES_19)[folder.labels(sample)]
    for column, labels in ((0, merged), (1, six.labels(sample))):
        shown = picture[place(layout, 1, column)]
        colour = np.bincount(labels.ravel()).argmax()
        share = (shown == EVSEGNET_6.colours[colour]).all(-1).mean()
        assert share == pytest.approx((labels == colour).mean(), abs=0.08)


def test_instants_without_truth_have_no_error(root, tmp_path):
    out = tmp_path / "every"
    eventseg.predict_into(
        root / "nineteen.pt", root / "other.hdf5", out, every="70ms", device="cpu"
    )
    made = eventseg.film_predictions(out, tmp_path / "film.gif", width=320)
    # frame, events, prediction and the legend
    layout = FilmLayout(2, 2, (48, 64), CITYSCAPES_19, 320, (1, 1))
    assert pictures_of(tmp_path / "film.gif")[0].shape == (layout.height, 320, 3)
    assert made.fps == pytest.approx(1000 / 70, abs=0.1)


def test_data_sets_show_a_label_set_and_pictures_themselves(root, tmp_path):
    eventseg.predict_into(
        root / "nineteen.pt", root / "streets", tmp_path / "test", split="test", device="cpu"
    )
    recorded = eventseg.film_predictions(root / "nineteen", tmp_path / "a", width=320)
    stored = eventseg.film_predictions(tmp_path / "test", tmp_path / "b", width=320)
    assert stored.pictures == recorded.pictures
    for one, other in zip(
        sorted((tmp_path / "a").iterdir()), sorted((tmp_path / "b").iterdir()), strict=True
    ):
        # All but the headline, which names the input.
        pictures = [np.array(Image.open(path))[20:] for path in (one, other)]
        assert np.array_equal(*pictures)
    with pytest.raises(DatasetError, match="no label set 'taught'; it has truth"):
        eventseg.film_predictions(tmp_path / "test", tmp_path / "c", labels="taught")
    for show in (
        lambda: eventseg.film_predictions(root / "nineteen", tmp_path / "c", labels="own"),
        lambda: eventseg.contact_sheet(root / "nineteen", labels="own"),
    ):
        with pytest.raises(DatasetError, match="no input has labels 'own': recordings have the"):
            show()
    assert not (tmp_path / "c").exists()
    plain = write_recording(tmp_path / "plain.hdf5", sensor=eventseg.SensorSize(48, 64), frames=2)
    eventseg.predict_into(
        root / "nineteen.pt", [root / "other.hdf5", plain], tmp_path / "two", at=["0.2s"],
        device="cpu",
    )  # fmt: skip
    some = eventseg.film_predictions(tmp_path / "two", tmp_path / "e", labels="truth", width=320)
    assert some.note == "plain without labels truth"
    picture = tmp_path / "x.png"
    Image.fromarray(np.full((40, 60), 90, np.uint8)).save(picture)
    eventseg.predict_into(root / "six.pt", picture, tmp_path / "pictures", device="cpu")
    alone = eventseg.film_predictions(tmp_path / "pictures", tmp_path / "d", width=320)
    assert (alone.pictures, alone.fps) == (1, 4.0)


def test_recordings_are_filmed_without_a_network(root, tmp_path):
    made = eventseg.film_recording(root / "other.hdf5", tmp_path / "a.gif", width=480)
    recording = eventseg.open_recording(root / "other.hdf5")
    pictures = pictures_of(tmp_path / "a.gif")
    assert made.pictures == len(pictures) == len(recording.frames)
    layout = FilmLayout(1, 3, (48, 64), CITYSCAPES_19, 480)  # frame, events, truth
    assert pictures[0].shape == (layout.height, 480, 3)
    assert pictures[0][0, 0].tolist() == [255, 255, 255]
    part = eventseg.film_recording(
        root / "other.hdf5", tmp_path / "b", every="20ms", window="10ms", begin="100ms",
        end="180ms", width=320,
    )  # fmt: skip
    assert (part.pictures, part.fps) == (5, 50.0)
    layout = FilmLayout(1, 2, (48, 64), None, 320)  # no truth, hence no legend
    first = np.array(Image.open(min((tmp_path / "b").iterdir())))
    assert first.shape == (layout.height, 320, 3)
    t1_us = recording.t_first_us + 100_000
    events = recording.events(t1_us - 10_000, t1_us)
    shown = first[place(layout, 0, 1)]
    coloured = (shown == (220, 38, 38)).all(-1) | (shown == (37, 99, 235)).all(-1)
    pixels = len(set(zip(events.x.tolist(), events.y.tolist(), strict=True)))
    assert coloured.mean() == pytest.approx(pixels / (48 * 64), abs=0.06)
    with pytest.raises(WindowError, match="no picture between 5 s and"):
        eventseg.film_recording(root / "other.hdf5", tmp_path / "c.gif", begin="5s")
    with pytest.raises(OutputError, match="must end in"):
        eventseg.film_recording(root / "other.hdf5", tmp_path / "c.avi")
    viewed = CliRunner().invoke(
        main, ["view", str(root / "other.hdf5"), "--until", "0.1s", "--out", f"{tmp_path}/v.gif"]
    )
    assert viewed.exit_code == 0, viewed.output
    assert 1 <= len(pictures_of(tmp_path / "v.gif")) <= 4
    for wrong in (["--from", "1s"], ["--out", "v.gif", "--at", "1s"]):
        refused = CliRunner().invoke(main, ["view", str(root / "other.hdf5"), *wrong])
        assert refused.exit_code == 2, refused.output


def test_what_cannot_be_filmed_is_refused(root, tmp_path, monkeypatch):
    (tmp_path / "in the way").mkdir()
    (tmp_path / "in the way" / "file").write_text("mine")
    for out, match in (
        ("film.avi", r"must end in \.mp4 or \.gif, or be a folder"),
        ("in the way", "is there already"),
    ):
        with pytest.raises(OutputError, match=match):
            eventseg.film_predictions(root / "nineteen", tmp_path / out)
    with pytest.raises(OutputError, match="160 to 7680 pixels wide, not 20"):
        eventseg.film_predictions(root / "nineteen", tmp_path / "x.gif", width=20)
    for fps in (0, 0.0001, 0.099, 1001, float("nan")):
        with pytest.raises(OutputError, match=r"0\.1 to 1000 pictures a second, not"):
            eventseg.film_predictions(root / "nineteen", tmp_path / "x.gif", fps=fps)
        with pytest.raises(OutputError, match=r"0\.1 to 1000 pictures a second, not"):
            eventseg.film_recording(root / "other.hdf5", tmp_path / "x.gif", fps=fps)
    random_network(tmp_path / "abc.pt", "events")
    eventseg.predict_into(
        tmp_path / "abc.pt", root / "other.hdf5", tmp_path / "abc", at=["0.2s"], device="cpu"
    )
    with pytest.raises(DatasetError, match="no sample in common"):
        eventseg.film_predictions([root / "nineteen", tmp_path / "abc"], tmp_path / "x.gif")
    moved = tmp_path / "moved.hdf5"
    moved.write_bytes((root / "other.hdf5").read_bytes())
    eventseg.predict_into(tmp_path / "abc.pt", moved, tmp_path / "gone", device="cpu")
    with pytest.raises(DatasetError, match="classes that do not merge into one table"):
        eventseg.predict_into(root / "nineteen.pt", moved, tmp_path / "gone19", device="cpu")
        eventseg.film_predictions([tmp_path / "gone", tmp_path / "gone19"], tmp_path / "x.gif")
    moved.unlink()
    with pytest.raises(DatasetError, match="is gone; its frames and events cannot be shown"):
        eventseg.film_predictions(tmp_path / "gone", tmp_path / "x.gif")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match="uv sync --extra video"):
        eventseg.film_predictions(root / "nineteen", tmp_path / "x.mp4")
    assert not (tmp_path / "x.gif").exists()


def test_truth_in_classes_that_do_not_merge_is_left_out_and_noted(root, tmp_path):
    random_network(tmp_path / "abc.pt", "events")
    eventseg.predict_into(tmp_path / "abc.pt", root / "other.hdf5", tmp_path / "abc", device="cpu")
    made = eventseg.film_predictions(tmp_path / "abc", tmp_path / "x.gif", width=320)
    assert "the classes of the labels do not merge" in str(made)


@pytest.mark.parametrize("runs", [1, 2, 3, 4])
@pytest.mark.parametrize("shows", [{"frame"}, {"events"}, {"frame", "events"}, {"frame", "labels"},
                                   {"frame", "events", "labels"}])  # fmt: skip
def test_grids_have_room_for_every_panel(shows, runs):
    rows, columns, free = _grid(shows, runs)
    has_labels = "labels" in shows
    if runs == 1:
        assert rows * columns - (len(shows) + 1 + has_labels) in (0, 1)
    else:
        assert rows == 2 + has_labels
        assert columns == max(len(shows), runs)
    if free is not None:
        filled = len(shows) if free[0] == 0 and runs > 1 else None
        assert filled is None or filled < columns
        assert free[0] < rows


def test_error_panels_and_shares():
    labels = np.array([[0, 1], [1, 2]], np.uint8)
    truth = np.array([[0, 2], [IGNORED, 2]], np.uint8)
    assert wrong_share(labels, truth) == pytest.approx(1 / 3)
    painted = paint_error(labels, truth, below=np.zeros((2, 2, 3), np.uint8))
    assert painted[0, 1].tolist() == list(WRONG)
    assert painted[1, 0].tolist() == [0, 0, 0]
    assert painted[0, 0].tolist() == [140] * 3
    assert np.isnan(wrong_share(labels, np.full_like(truth, IGNORED)))


def test_pictures_fit_their_box_in_their_proportions():
    picture = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    assert np.array_equal(fit(picture, (8, 12)), picture.repeat(2, 0).repeat(2, 1))
    assert fit(picture, (7, 100)).shape == (7, 10, 3)
    assert fit(picture, (2, 3)).shape == (2, 3, 3)


def test_small_films_shorten_their_words():
    layout = FilmLayout(1, 1, (10, 10), CITYSCAPES_19, 160)
    drawn = layout.draw(
        [[Panel("a title that is much too long for this", None)]], headline="x" * 500, note="1 s"
    )
    assert drawn.shape == (layout.height, 160, 3)
    assert (drawn[:, -2:] == 255).all()


def test_common_tables():
    both = common_table([CITYSCAPES_19, EVSEGNET_6])
    assert both.classes == EVSEGNET_6
    assert both.merges[0] == EVSEGNET_6_OF_CITYSCAPES_19
    other = eventseg.ClassTable(("a", "b"), ((1, 2, 3), (4, 5, 6)))
    assert common_table([other, EVSEGNET_6]) is None
    assert common_table([other]).classes == other


def test_gifs_that_are_too_long_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("eventseg.plots.film.MOST_GIF_PICTURES", 2)
    picture = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(OutputError, match="more than 2 pictures; write an"):
        write_film(tmp_path / "x.gif", [picture] * 3, fps=Fraction(5))
    with pytest.raises(OutputError, match="no pictures"):
        write_film(tmp_path / "x.gif", [], fps=Fraction(5))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("asked", "shown_ms"), [(60, 20), (40, 20), (30, 30), (12, 80), (Fraction(1, 10), 10_000)]
)
def test_the_rate_of_a_gif_is_the_one_that_it_has(asked, shown_ms, tmp_path):
    pictures = [np.full((8, 8, 3), value, np.uint8) for value in (0, 255)]
    rate = write_film(tmp_path / "x.gif", pictures, fps=Fraction(asked))
    with Image.open(tmp_path / "x.gif") as image:
        assert image.info["duration"] == shown_ms
    assert rate == Fraction(1000, shown_ms)
    assert write_film(tmp_path / "folder", pictures, fps=Fraction(asked)) == asked


def test_the_slowest_mp4_can_be_written(tmp_path):
    av = pytest.importorskip("av")
    pictures = [np.full((8, 8, 3), value, np.uint8) for value in (0, 255)]
    write_film(tmp_path / "x.mp4", pictures, fps=Fraction(1, 10))
    with av.open(str(tmp_path / "x.mp4")) as container:
        assert container.streams.video[0].average_rate == Fraction(1, 10)


def test_the_command_films_runs_beside_each_other(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ["predict", str(root / "nineteen.pt"), str(root / "other.hdf5"), "--device", "cpu"]
    asked = ["--beside", str(root / "six.pt"), "--film", "both.gif", "--film-width", "480"]
    made = CliRunner().invoke(main, [*given, *asked])
    assert made.exit_code == 0, made.output
    assert "both.gif: " in made.stdout
    assert load_network(root / "six.pt").classes == EVSEGNET_6
    assert (tmp_path / "predictions" / "nineteen-other-six" / "predictions.toml").is_file()
    again = CliRunner().invoke(
        main, [*given, "--beside", str(root / "six"), "--film", "again.gif", "--film-width", "480"]
    )
    assert again.exit_code == 0, again.output
    assert (tmp_path / "again.gif").read_bytes() == (tmp_path / "both.gif").read_bytes()
    refused = CliRunner().invoke(main, [*given, "--fps", "3"])
    assert refused.exit_code == 2
    assert "need --film" in refused.output


def test_the_command_refuses_films_before_it_predicts(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture = tmp_path / "x.png"
    Image.fromarray(np.full((40, 60), 90, np.uint8)).save(picture)
    for network, given, asked, message in (
        ("nineteen.pt", root / "streets", ["--labels", "own"], "no label set 'own'; it has truth"),
        ("nineteen.pt", root / "other.hdf5", ["--labels", "own"], "no input has labels 'own'"),
        ("six.pt", picture, ["--labels", "truth"], "no input has labels 'truth'"),
        ("nineteen.pt", root / "other.hdf5", ["--beside", "nowhere"], "nowhere"),
    ):
        result = CliRunner().invoke(
            main, ["predict", str(root / network), str(given), "--film", "x.gif", *asked]
        )
        assert result.exit_code == 1
        assert result.output.startswith("error: ")
        assert message in result.output
        assert not (tmp_path / "predictions").exists()
