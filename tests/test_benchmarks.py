"""Help of the benchmarks: example commands stand on lines of their own."""

from __future__ import annotations

import argparse
import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
SCRIPTS = sorted(
    path
    for path in BENCHMARKS.glob("*.py")
    if any(word in path.read_text() for word in ("ArgumentParser(", "click.command("))
)


def help_of(path: Path) -> str:
    """Return the help of a script without its options, and without importing it."""
    tree = ast.parse(path.read_text())
    given = {"__doc__": ast.get_docstring(tree, clean=False), "argparse": argparse}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for call in calls:
        name = ast.unparse(call.func)
        if name not in ("argparse.ArgumentParser", "click.command"):
            continue
        values = {str(word.arg): eval(ast.unparse(word.value), given) for word in call.keywords}
        if name == "click.command":
            command = click.Command(path.stem, **values)
            return command.get_help(click.Context(command))
        return argparse.ArgumentParser(prog=path.name, **values).format_help()
    raise AssertionError(f"{path.name} has no help")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_examples_stand_on_their_own_lines(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    examples = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    shown = help_of(path)
    lines = [line.strip() for line in shown.splitlines()]
    for example in examples:
        assert " ".join(example.split()) not in " ".join(shown.split()) or example in lines


def test_every_script_reads_its_arguments_before_it_measures() -> None:
    for path in BENCHMARKS.glob("*.py"):
        if re.search(r"^if __name__ == ", path.read_text(), re.MULTILINE):
            assert path in SCRIPTS, f"{path.name} runs on --help"


@pytest.mark.slow  # imports all that any of them does
def test_help_of_every_script_measures_and_writes_nothing(tmp_path: Path) -> None:
    scripts = [
        path
        for path in sorted(BENCHMARKS.glob("*.py"))
        if re.search(r"^if __name__ == ", path.read_text(), re.MULTILINE)
    ]
    assert {"bench_simulators", "bench_floor"} <= {path.stem for path in scripts}
    results = BENCHMARKS / "results"
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
    # One process for all: each script alone would import PyTorch again.
    code = """if True:
    import runpy, sys
    for path in sys.argv[1:]:
        sys.argv = [path, "--help"]
        sys.path.insert(0, path.rpartition("/")[0])
        try:
            runpy.run_path(path, run_name="__main__")
        except SystemExit as end:
            if end.code:
                sys.exit(f"{path}: {end.code}")
        except ModuleNotFoundError as error:
            print(f"{path}: {error}")  # of a peer that this environment lacks
        else:
            sys.exit(f"{path} takes no --help")
    """
    shown = subprocess.run(
        [sys.executable, "-c", code, *map(str, scripts)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert shown.stdout.count("usage: ") + shown.stdout.count("Usage: ") >= len(scripts) - 2
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*")} == before
    assert not list(tmp_path.iterdir())


def test_rows_of_competitors_that_are_missing_are_not_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("bench_simulators")
    stored = tmp_path / "simulators.json"
    stored.write_text('{"competitors": {"none such": "1.0"}}')
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    monkeypatch.setattr(module, "COMPETITORS", {"none such": ("none-such", None)})
    monkeypatch.setattr(sys, "argv", ["bench_simulators.py"])
    with pytest.raises(SystemExit):
        module.main()
    assert "results/simulators.json has its rows" in capsys.readouterr().err
