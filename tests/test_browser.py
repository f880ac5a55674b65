"""The site and the reports in a browser: they fit a phone, show their pictures, ask no host.

uv run --group docs --group browser pytest -m slow tests/test_browser.py
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from training_fixtures import one_thread, street_dataset, train_tiny

import eventseg
from eventseg.evaluation.compare.report import compare_runs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("PyQt6") is None, reason="needs the group browser"),
]

ROOT = Path(__file__).resolve().parents[1]
WIDTHS = (390, 1280)
"""Of a phone and of a laptop."""


def opened(pages: list[Path], folder: Path) -> list[dict[str, Any]]:
    """Return what a browser found on each page at each width; it asks nothing of any host."""
    script = Path(__file__).with_name("browser_pages.py")
    ended = subprocess.run(
        [sys.executable, str(script), str(folder), *map(str, WIDTHS)],
        input="\n".join(map(str, pages)),
        capture_output=True,
        text=True,
        timeout=1_200,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    *lines, asked = map(json.loads, ended.stdout.splitlines())
    assert asked == [], "a page that is read asks another host"
    assert len(lines) == len(pages) * len(WIDTHS)
    return lines


def check(line: dict[str, Any]) -> None:
    assert line["title"]
    assert line["content_px"] <= line["window_px"], f"{line['page']} is wider than its window"
    assert line["broken"] == [], line["page"]
    assert line["said"] == [], line["page"]


@pytest.mark.skipif(find_spec("mkdocs") is None, reason="needs the group docs")
def test_pages_of_the_site(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", tmp_path / "s"]
    subprocess.run(command, cwd=ROOT, check=True, timeout=600)
    pages = sorted((tmp_path / "s").rglob("*.html"))
    assert len(pages) > 40
    for line in opened([page for page in pages if page.name != "404.html"], tmp_path):
        check(line)
    assert len(list(tmp_path.glob("*.png"))) > 80


@pytest.mark.drawn
def test_reports_of_the_commands(tmp_path: Path) -> None:
    data = street_dataset(tmp_path)
    one_thread()
    train_tiny(data, tmp_path / "run", epochs=1)
    evaluation = eventseg.evaluate_run(tmp_path / "run", data, device="cpu", by=("distance",))
    eventseg.evaluate_run(tmp_path / "run", data, device="cpu", classes="evsegnet6")
    page, _ = compare_runs([tmp_path / "run"], out=tmp_path / "compared")
    for line in opened([evaluation.page, page], tmp_path):
        check(line)
