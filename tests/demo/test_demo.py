"""The demo: each stage once, a page that links to what is there, and runs that go on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

import eventseg
from eventseg.dataset.check import check_dataset
from eventseg.demo import run as demo
from eventseg.demo.drives import Drive, streets
from eventseg.demo.learn import Lesson
from eventseg.demo.run import Plan, run_demo
from eventseg.errors import OutputError
from eventseg.events import SensorSize
from eventseg.recordings.truth import truth_path
from eventseg_cli.main import main

DRIVES = (Drive("day", 7, 400_000), Drive("night", 2, 330_000))
SENSOR = SensorSize(24, 32)


class Run:
    """A run of the demo with the words and stages it gave."""

    def __init__(self, out: Path, drives: tuple[Drive, ...] = DRIVES) -> None:
        self.words: list[str] = []
        self.stages: dict[str, list[float]] = {}
        self.page = run_demo(
            out,
            plan=Plan(drives, moments=2),
            sensor=SENSOR,
            threads=1,
            say=self.words.append,
            progress=lambda now: self.stages.setdefault(now.stage, []).append(now.share),
        )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVENTSEG_CACHE", str(tmp_path_factory.mktemp("cache")))
        return Run(tmp_path_factory.mktemp("demo") / "out")


def test_every_stage_runs_to_its_end(made: Run) -> None:
    assert list(made.stages) == ["simulate day", "simulate night", "read", "encode", "page"]
    for shares in made.stages.values():
        assert shares[-1] == pytest.approx(1.0)
    assert made.words == []
    assert check_dataset(made.page.parent / "dataset", deep=True) == []


def test_page_links_to_files_that_exist_and_to_no_network(made: Run) -> None:
    text = made.page.read_text()
    links = re.findall(r'(?:src|href|srcset)="([^"]*)"', text)
    files = {link for link in links if not link.startswith("#")}
    assert len(files) > 40
    assert [link for link in files if not (made.page.parent / link).is_file()] == []
    assert "://" not in text
    assert "url(" not in text
    anchors = {link[1:] for link in links if link.startswith("#")}
    assert anchors == {"day", "night", "reading", "next"}
    assert all(f'id="{anchor}"' in text for anchor in anchors)
    assert 'name="viewport"' in text


def test_page_shows_each_moment_with_three_windows(made: Run) -> None:
    text = made.page.read_text()
    assert text.count("<article") == 2 * 2
    assert text.count('type="radio"') == 2 * 2 * 3
    assert text.count("ON std of time</b>") == 2 * 2 * 3
    assert "sky" in text


def test_second_run_skips_every_stage_with_a_word(made: Run) -> None:
    before = made.page.stat().st_mtime_ns
    again = Run(made.page.parent)
    assert again.words == [
        "simulate day: done before",
        "simulate night: done before",
        "encode: done before",
        "page: done before",
    ]
    assert made.page.stat().st_mtime_ns == before


def test_stage_that_was_stopped_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drives = DRIVES[:1]

    def stop(*_arguments: object, **_settings: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(demo, "demo_page", stop)
        with pytest.raises(KeyboardInterrupt):
            Run(tmp_path / "out", drives)
    assert not (tmp_path / "out" / "index.html").exists()
    again = Run(tmp_path / "out", drives)
    assert again.words == ["simulate day: done before", "encode: done before"]
    assert again.page.exists()
    truth_path(tmp_path / "out/recordings/day.hdf5").unlink()
    third = Run(tmp_path / "out", drives)
    assert next(iter(third.stages)) == "simulate day"
    assert third.words == ["encode: done before"]
    assert third.stages["page"][-1] == 1.0


def test_other_drives_are_made_anew_and_what_fits_is_kept(tmp_path: Path) -> None:
    Run(tmp_path / "out", DRIVES[:1])
    (tmp_path / "out/pictures/old.png").write_bytes(b"")
    other = Run(tmp_path / "out", (DRIVES[0], Drive("crossing", 3, 300_000)))
    assert "demo of other drives" in other.words[0]
    assert "simulate day: done before" in other.words
    assert "crossing" in other.page.read_text()
    assert not (tmp_path / "out/pictures/old.png").exists()
    longer = Run(tmp_path / "out", (Drive("day", 7, 410_000),))
    assert "simulate day" in longer.stages


def test_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("all I have")
    with pytest.raises(OutputError, match="holds files but no demo"):
        Run(tmp_path / "thesis")
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.txt"]
    with pytest.raises(OutputError, match="is a file"):
        Run(tmp_path / "thesis" / "chapter.txt")


def test_command_says_where_the_page_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}

    def pretend(out: Path, **settings: object) -> Path:
        seen.update(settings)
        return out / "index.html"

    monkeypatch.setattr(demo, "run_demo", pretend)
    result = CliRunner().invoke(main, ["demo", "--out", str(tmp_path / "d"), "--quick"])
    assert result.exit_code == 0
    assert (
        result.stdout == f"The demo is ready: open {tmp_path / 'd' / 'index.html'} in a browser\n"
    )
    assert seen["plan"] == demo.QUICK


def test_whole_job_learns_labels_and_scores_on_a_drive_it_never_saw(
    tmp_path: Path, draw_no_more: Callable[[], None]
) -> None:
    draw_no_more()
    lesson = Lesson(
        SensorSize(48, 64),
        teacher_drives=(Drive("day", 101, 700_000),),
        drives=streets(("day", "glare"), count=2, seed=7, duration_us=900_000),
        unseen=(Drive("crossing", 5, 300_000),),
        teacher_iterations=2,
        iterations=2,
    )
    plan = Plan((Drive("day", 7, 400_000),), lesson, moments=1)
    stages: list[str] = []
    words: list[str] = []

    def run() -> Path:
        return run_demo(
            tmp_path / "out",
            plan=plan,
            sensor=SensorSize(48, 64),
            threads=1,
            say=words.append,
            progress=lambda now: stages.append(now.stage),
        )

    page = run()
    assert list(dict.fromkeys(stages)) == [
        "simulate day", "read", "encode", "teacher's streets", "streets to learn",
        "streets to score", "streets", "train the teacher", "pseudo-label", "train on events",
        "score, truth, events", "score, truth, events, clock 50 ms late", "score, taught, events",
        "score, taught, events, clock 50 ms late", "predict, events", "predict, teacher", "film",
        "page",
    ]  # fmt: skip
    root = page.parent
    for dataset in ("dataset", "streets"):
        assert check_dataset(root / dataset, deep=True) == []
    for labels in ("truth", "taught"):
        (scores,) = root.glob(f"runs/events/evaluation-*-{labels}-*/scores.json")
        rows = json.loads(scores.read_text())["rows"]
        assert [row["window"] for row in rows[:3]] == ["10ms", "50ms", "250ms"]
        assert all(row["samples"] > 0 for row in rows)
    text = page.read_text()
    links = [link for link in re.findall(r'(?:src|href)="([^"]*)"', text) if link[0] != "#"]
    assert [link for link in links if not (root / link).is_file()] == []
    assert "What a network made of it" in text
    assert 'src="film.gif"' in text
    with Image.open(root / "film.gif") as film, eventseg.open_dataset(root / "streets") as data:
        assert film.n_frames == data.samples.split.count("test") > 5
    page.unlink()
    stages.clear()
    run()
    assert stages.count("streets to learn") == 0
    assert not any(stage.startswith(("simulate", "encode", "train")) for stage in stages)
    assert (root / "runs/events/best.pt").is_file()


@pytest.mark.slow
def test_quick_demo(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["demo", "--quick", "--out", str(tmp_path / "d")])
    assert result.exit_code == 0, result.output
    assert len(json.loads((tmp_path / "d/demo.json").read_text())["plan"]["drives"]) == 2
    assert check_dataset(tmp_path / "d/dataset") == []
    assert (tmp_path / "d/index.html").stat().st_size > 20_000
