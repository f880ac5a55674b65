"""A network that ships is scored by its name, and a name that is none is refused with the known."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from eventseg_cli.main import main


def test_a_shipped_network_is_scored_by_its_name(
    tiny_drive_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = str(tiny_drive_folder / "drives")
    monkeypatch.chdir(tmp_path)
    more = ["--no-baselines", "--workers", "0", "--device", "cpu", "--json"]
    result = CliRunner().invoke(main, ["evaluate", "street", data, *more], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert 0 <= json.loads(result.stdout)["rows"][0]["scores"]["miou_present"] <= 1
    (report,) = Path("runs/street-fastscnn").iterdir()
    name = r"evaluation-drives@[0-9a-f]{6}-truth-test-clean-street-fastscnn(-50ms)?-nobaselines"
    assert re.fullmatch(name, report.name), report  # as docs/folders.md says
    refused = CliRunner().invoke(main, ["evaluate", "avenue", data])
    assert refused.exit_code == 2
    assert "RUN: no folder or file 'avenue'" in refused.output
    assert "networks that ship are street-fastscnn" in refused.output
