"""Progress on the command line: bars on terminals, lines in log files, nothing when quiet."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import click
import pytest
from compiling_job import compile_something

from eventseg.dataset.jobs.local import LOGGER, LocalWorkers
from eventseg.kernels import compiled
from eventseg.recordings.progress import Progress, in_stage
from eventseg_cli import progress
from eventseg_cli.progress import Messages, ProgressBar, announce_compiling, line_of

CLI = Path(progress.__file__).parent


class Terminal:
    """Standard error that says it is a terminal and keeps what is written."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_bar_a_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with ProgressBar() as bar:
        for stage in ("read", "encode"):
            for done in (0, 50, 100):
                bar.update(Progress(stage, done, 100, "event", "loss 0.5"))
    assert "read: 100%" in terminal.text
    assert "encode: 100%" in terminal.text
    assert "loss 0.5" in terminal.text


def test_a_log_file_gets_a_line_every_few_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with ProgressBar() as bar:
        for second in range(21):
            clock[0] = float(second)
            bar.update(Progress("encode", 100 * second, 2_000, "event"))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "encode 25%: 500 of 2,000 events, 5 s, 15 s left",
        "encode 50%: 1,000 of 2,000 events, 10 s, 10 s left",
        "encode 75%: 1,500 of 2,000 events, 15 s, 5 s left",
        "encode 100%: 2,000 of 2,000 events, 20 s, 0 s left",
    ]
    assert "\r" not in err


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar(shown=False) as bar:
        bar.update(Progress("encode", 5, 10, "event"))
    assert capsys.readouterr() == ("", "")


def test_a_line_without_a_total_and_one_of_a_resumed_run() -> None:
    film = Progress("label", 40, 0, "picture")
    assert line_of(film, spent_s=4.2) == "label: 40 pictures, 4 s"
    assert line_of(Progress("label", 0, 1, "picture"), spent_s=4.2).startswith(
        "label 0%: 0 of 1 picture,"
    )
    resumed = Progress("train", 60, 100, "update", "loss 0.100")
    assert line_of(resumed, spent_s=10, before=40) == (
        "train 60%: 60 of 100 updates, 10 s, 20 s left, loss 0.100"
    )


def test_the_time_left_is_not_guessed_from_the_first_moment() -> None:
    first = Progress("read", 5_180, 3_696_291, "B")
    assert line_of(first, spent_s=9) == "read 0%: 5,180 of 3,696,291 B, 9 s"
    later = Progress("read", 50_000, 3_696_291, "B")
    assert line_of(later, spent_s=9).endswith("9 s, 656 s left")


def test_a_stage_that_begins_again_counts_its_own_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with ProgressBar() as bar:
        for done in (1, 100, 4, 8):
            clock[0] += 6
            bar.update(Progress("score", done, 100, "sample"))
    assert capsys.readouterr().err.splitlines() == [
        "score 100%: 100 of 100 samples, 6 s, 0 s left",
        "score 8%: 8 of 100 samples, 6 s, 138 s left",
    ]


def test_shares_and_stages() -> None:
    seen: list[Progress] = []
    in_stage("drive", seen.append)(Progress("simulate", 1, 4, "s"))
    in_stage("drive", seen.append, named=True)(Progress("simulate", 1, 4, "s"))
    assert seen == [Progress("drive", 1, 4, "s"), Progress("drive, simulate", 1, 4, "s")]
    assert [Progress("x", done, total, "s").share for done, total in ((1, 4), (0, 0), (5, 4))] == [
        0.25, 1.0, 1.0,
    ]  # fmt: skip


def test_the_command_line_has_one_bar() -> None:
    importers = []
    for path in CLI.rglob("*.py"):
        tree = ast.parse(path.read_text())
        names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        importers += [path.name] * ("tqdm" in names)
    assert importers == ["progress.py"]


@pytest.mark.parametrize("workers", [1, 2])
def test_compiling_is_one_line_in_whichever_process(
    workers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert progress.KERNELS == LOGGER.name == compiled.LOGGER.name
    announce_compiling()
    try:
        with LocalWorkers(workers) as pool:
            pool.run(
                compile_something,
                [1, 2],
                progress=lambda _: None,
                finished=lambda *_: None,
            )
        assert capsys.readouterr() == ("", "compiling the kernels, once\n")
        announce_compiling(False)
        compile_something(1, lambda _: None)
        assert capsys.readouterr() == ("", "")
    finally:
        announce_compiling(False)


def test_messages_are_notes_and_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet in (False, True):
        messages = Messages(quiet=quiet)
        messages.note("on the CPU")
        messages.warn("nearly all is ignored")
    assert capsys.readouterr() == (
        "",
        "on the CPU\nwarning: nearly all is ignored\nwarning: nearly all is ignored\n",
    )


def test_every_long_command_has_lines_in_a_log_file() -> None:
    """Every file with a bar gets it from its messages: one choice of bar, lines or nothing."""
    makers = {path.name for path in CLI.rglob("*.py") if "ProgressBar(" in path.read_text()}
    assert makers == {"progress.py"}
    users = {path.stem for path in CLI.rglob("*.py") if "messages.bar()" in path.read_text()}
    assert users == {
        "align", "audit", "bench", "convert", "convert_folder", "demo", "encode", "evaluate", "fit",
        "images", "labels", "merge", "predict", "pseudolabel", "release", "reproduce", "score",
        "seeds", "street", "train_run", "view",
    }  # fmt: skip


@pytest.mark.parametrize(("out", "more"), [(Path("data"), " with data"), (None, "")])
def test_an_interrupt_ends_the_bar_and_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], out: Path | None, more: str
) -> None:
    with (
        pytest.raises(click.exceptions.Exit) as ended,
        ProgressBar() as bar,
        bar.resumable(out),
    ):
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130
    assert capsys.readouterr().err == f"interrupted; run the same command again to go on{more}\n"
    with pytest.raises(ValueError, match="of its own"), bar.resumable(out):
        raise ValueError("of its own")
