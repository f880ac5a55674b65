"""The studies of benchmarks/: corrected p-values, names, and a tiny one from start to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / script), *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_holm_rejects_what_its_steps_reject(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from study import holm

    generator = np.random.default_rng(0)
    for _ in range(50):
        p_values = generator.choice([0.001, 0.004, 0.012, 0.02, 0.04, 0.3], 5).tolist()
        for level in (0.05, 0.1):
            # Holm 1979: the k-th smallest of n is compared with level / (n - k), up to a failure.
            rejected: set[int] = set()
            for k, place in enumerate(np.argsort(p_values, kind="stable").tolist()):
                if p_values[place] > level / (len(p_values) - k):
                    break
                rejected.add(place)
            found = {i for i, p_value in enumerate(holm(p_values)) if p_value <= level}
            assert found == rejected, (p_values, level)


def test_unknown_lines_are_refused(tmp_path):
    ended = run("study_representations.py", str(tmp_path), "--only", "six-channels,spikes")
    assert ended.returncode == 2
    assert "spikes; lines are six-channels, counts" in ended.stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_a_tiny_study_of_representations_goes_on_where_it_was_cut(tmp_path):
    short = ("--tiny", "--seeds", "1", "--only", "six-channels,counts", "--stress-samples", "2")
    cut = run("study_representations.py", str(tmp_path), *short, "--minutes", "0")
    assert cut.returncode == 2
    assert "no run was done within 0 minutes" in cut.stderr
    whole = run("study_representations.py", str(tmp_path), *short)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    again = run("study_representations.py", str(tmp_path), *short, "--minutes", "0")
    assert again.returncode == 0, again.stdout + again.stderr
    result = json.loads((tmp_path / "tiny" / "representations.json").read_text())
    assert list(result["lines"]) == ["six channels", "counts"]
    assert result["tests"]["counts"]["seeds"] == [1, 1]
    assert set(result["lines"]["counts"]["stress"]) == {"drop", "shot", "leak", "window", "rate"}
    assert (tmp_path / "tiny" / "stress-drop.png").stat().st_size > 10_000
