"""Help of the benchmarks: example commands stand on lines of their own."""

from __future__ import annotations

import argparse
import ast
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
