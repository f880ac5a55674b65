"""Films: a folder of pictures or a video in, labels shown over it out."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pseudolabel_teachers import CITYSCAPES, SIX, StubTeacher, by_gray

from eventseg.errors import LabelError, MissingExtraError, OutputError
from eventseg.labels.maps import merge_of
from eventseg.plots.film import write_film
from eventseg.pseudolabel.confidence import LabelFilters, parse_ego
from eventseg.pseudolabel.film import open_film
from eventseg.pseudolabel.overlay import label_film, overlay
from eventseg.pseudolabel.recipes import LabelRecipe
from eventseg.pseudolabel.test_time import TestTimeAugmentation
from eventseg.pseudolabel.voting import TeacherVote, predict_labels

ONCE = LabelRecipe(TestTimeAugmentation((1.0,), flip=False), filters=LabelFilters())


def gradients(count: int = 5, height: int = 24, width: int = 32) -> list[np.ndarray]:
    """Return smooth pictures, which survive compression, each brighter than the last."""
    row = np.linspace(0, 120, width)[None, :, None] + np.linspace(0, 60, height)[:, None, None]
    return [
        (row + 12 * i + np.zeros(3)).astype(np.uint8).reshape(height, width, 3)
        for i in range(count)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for i, picture in enumerate(gradients()):
        # Numbers, not letters, order them: 8, 9, 10, ...
        Image.fromarray(picture).save(tmp_path / f"in/frame{i + 8}.png")
    (tmp_path / "in/notes.txt").write_text("no picture")
    return tmp_path / "in"


def test_overlay_mixes_colours_and_leaves_what_is_ignored() -> None:
    picture = np.full((1, 2, 3), 101, np.uint8)
    made = overlay(picture, np.array([[4, 255]], np.uint8), SIX)
    assert made[0, 0].tolist() == [50 + 110, 50 + 10, 50 + 30]  # human is 220, 20, 60
    assert made[0, 1].tolist() == [101] * 3


def test_folder_to_folder(folder: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    recipe = LabelRecipe(
        ONCE.test_time, filters=LabelFilters(threshold=0.4, ego=parse_ego("20:24"))
    )
    summary = label_film(
        folder,
        tmp_path / "out",
        [StubTeacher(by_gray)],
        classes=SIX,
        recipe=recipe,
        batch=2,
        side_by_side=True,
        progress=lambda now: seen.append((now.stage, now.done, now.total)),
    )
    assert seen == [("label", 2, 5), ("label", 4, 5), ("label", 5, 5)]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == sorted(f"frame{i}.png" for i in range(8, 13))
    pictures = np.stack(gradients())
    teacher_votes = [TeacherVote(StubTeacher(by_gray), merge_of(CITYSCAPES, SIX))]
    made = predict_labels(teacher_votes, pictures, classes=6, test_time=recipe.test_time)
    labels = np.where(made.confidence / 255 >= 0.4, made.labels, 255).astype(np.uint8)
    labels[:, 20:] = 255
    for i in range(5):
        expected = np.hstack([pictures[i], overlay(pictures[i], labels[i], SIX)])
        written = np.array(Image.open(tmp_path / f"out/frame{i + 8}.png"))
        np.testing.assert_array_equal(written, expected)
    assert summary.pictures == 5
    assert summary.ignored == np.mean(labels == 255)


def test_video_to_video(tmp_path: Path) -> None:
    source = gradients(height=25, width=33)
    write_film(tmp_path / "in.mp4", source, fps=Fraction(30000, 1001))
    film = open_film(tmp_path / "in.mp4")
    assert (film.count, film.fps) == (5, Fraction(30000, 1001))
    read = list(film.pictures())
    # Odd sizes lose a line; H.264 changes smooth pictures by a few grays.
    assert {picture.shape for picture in read} == {(24, 32, 3)}
    for picture, made in zip(read, source, strict=True):
        assert np.abs(picture.astype(int) - made[:24, :32]).mean() < 4
    summary = label_film(
        tmp_path / "in.mp4",
        tmp_path / "out.mp4",
        [StubTeacher(by_gray)],
        classes=SIX,
        recipe=ONCE,
        side_by_side=True,
    )
    out = open_film(tmp_path / "out.mp4")
    assert (summary.pictures, summary.ignored, out.count, out.fps) == (5, 0.0, 5, film.fps)
    shown = list(out.pictures())
    for picture, before in zip(shown, read, strict=True):
        assert picture.shape == (24, 64, 3)
        assert np.abs(picture[:, :32].astype(int) - before).mean() < 5


def test_pictures_of_mixed_size_are_refused_before_any_work(folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (40, 24)).save(folder / "frame9.png")
    teacher = StubTeacher(by_gray)
    with pytest.raises(LabelError, match=r"frame8\.png is 32x24, frame9\.png is 40x24"):
        label_film(folder, tmp_path / "out", [teacher], classes=SIX, recipe=ONCE)
    assert not teacher.sizes
    assert not (tmp_path / "out").exists()


def test_what_is_no_film_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.mp4").write_bytes(b"no video at all")
    with pytest.raises(LabelError, match="holds no pictures"):
        open_film(tmp_path / "empty")
    with pytest.raises(LabelError, match=r"cannot read video .*bad\.mp4"):
        open_film(tmp_path / "bad.mp4")
    with pytest.raises(LabelError, match="is no film"):
        open_film(folder / "notes.txt")
    (folder / "frame8.png").write_bytes(b"\x89PNG no picture")
    with pytest.raises(LabelError, match=r"cannot read picture .*frame8\.png"):
        open_film(folder)


def test_outputs_and_filters_that_cannot_be_are_refused(folder: Path, tmp_path: Path) -> None:
    def run(out: str, **filters: float) -> None:
        recipe = LabelRecipe(ONCE.test_time, filters=LabelFilters(**filters))  # type: ignore[arg-type]
        label_film(folder, tmp_path / out, [StubTeacher(by_gray)], classes=SIX, recipe=recipe)

    with pytest.raises(OutputError, match=r"must end in \.mp4 or \.gif, or be a folder"):
        run("out.avi")
    with pytest.raises(OutputError, match="is there already"):
        run("in")
    with pytest.raises(LabelError, match="need a data set"):
        run("out", quantile=0.1)
    with pytest.raises(LabelError, match="need a data set"):
        run("out", temporal=1)


def test_without_the_extra_videos_name_it_and_folders_work(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"uv sync --extra video"):
        label_film(folder, tmp_path / "out.mp4", [StubTeacher(by_gray)], classes=SIX, recipe=ONCE)
    label_film(folder, tmp_path / "out", [StubTeacher(by_gray)], classes=SIX, recipe=ONCE)
    assert len(list((tmp_path / "out").iterdir())) == 5
