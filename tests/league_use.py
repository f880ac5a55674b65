"""Leagues in use: opened, copied, compared, sent to other processes, and given to commands."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from eventseg.events import EventStream
from eventseg.sources import selection
from eventseg.sources.leagues import League, open_league
from eventseg_cli.main import main


def same_events(found: EventStream, expected: EventStream, *, shift_us: int = 0) -> None:
    np.testing.assert_array_equal(found.t, expected.t + shift_us)
    for name in "xyp":
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def opened(path: Path) -> League:
    league = open_league(path)
    assert league is not None
    return league


def copied(tree: Path, to: Path) -> Path:
    """Return a copy of a tree whose files may be changed one by one."""
    return Path(shutil.copytree(tree, to, symlinks=True))


def league_file(path: Path, league: str, root: Path, *lines: str) -> Path:
    path.write_text("\n".join([f'league = "{league}"', f'root = "{root}"', *lines]) + "\n")
    return path


def check_is_sent(root: Path) -> None:
    """Assert that a league gives the same samples in another process, and after it was closed."""
    league = opened(root)
    league.covered("10ms")
    again = pickle.loads(pickle.dumps(league))
    x = league.events(2, "10ms", normalise="raw")
    np.testing.assert_array_equal(again.events(2, "10ms", normalise="raw"), x)
    times = selection.times_of(league)
    assert times is not None
    assert len(times) == len(league.ids) == len(set(league.ids))
    league.close()
    np.testing.assert_array_equal(league.events(2, "10ms", normalise="raw"), x)


def run(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


TRAIN = (
    "--network", "fastscnn", "--epochs", 1, "--batch-size", 4, "--workers", 0, "--device", "cpu",
    "-q",
)  # fmt: skip
