"""The one command for a GPU, rehearsed on the CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "on_gpu.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=700, check=False)


def test_a_rehearsal_runs_its_parts(tmp_path):
    out = tmp_path / "gpu.json"
    ended = run("--rehearse", "--parts", "kernels", "--out", str(out))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(out.read_text())
    assert found["rehearsal"]
    assert [(part["part"], part["state"]) for part in found["parts"]] == [("kernels", "done")]


@pytest.mark.slow
def test_a_part_without_time_is_named(tmp_path):
    out = tmp_path / "gpu.json"
    short = run("--rehearse", "--parts", "training", "--out", str(out), "--minutes", "0.01")
    assert short.returncode == 1
    assert "training: out of time" in short.stdout


@pytest.mark.slow
def test_every_part_can_be_rehearsed(tmp_path):
    ended = run("--rehearse", "--out", str(tmp_path / "gpu.json"), "--minutes", "10")
    assert ended.returncode == 0, ended.stdout


def test_parts_that_are_not_there_are_refused():
    ended = run("--rehearse", "--parts", "tests,speed")
    assert ended.returncode == 2
    assert "there is no part speed; parts are tests, kernels" in ended.stderr
