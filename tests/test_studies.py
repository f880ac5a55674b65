"""The studies of benchmarks/: corrected p-values, names, and a tiny one from start to end."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eventseg.networks import build_network, parameter_count

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


@pytest.mark.parametrize("compiled", [False, True])
def test_times_of_networks_are_kept_as_they_come(monkeypatch, compiled):
    monkeypatch.syspath_prepend(BENCHMARKS)
    bench = importlib.import_module("bench_networks")
    kept = []

    def timed(names, _device, **_settings):
        assert len(kept) == compiled * (names[0] == "cgnet")
        return {mode: {name: np.ones(2) for name in names} for mode in ("forward", "train")}

    def apart(name, _device):
        # A limit of time ends a benchmark in the longest part of it.
        assert all(row["seconds"]["float32" + ", compiled" * compiled] for row in kept[-1])
        raise TimeoutError

    monkeypatch.setattr(bench, "timed", timed)
    monkeypatch.setattr(bench, "memory_apart", apart)
    monkeypatch.setattr(bench.torch.compiler, "reset", lambda: None)
    monkeypatch.setattr(bench, "describe", lambda _name: {})
    with pytest.raises(TimeoutError):
        bench.bench(
            ["fastscnn", "cgnet"],
            "cpu",
            count=2,
            compiled=compiled,
            keep=lambda result: kept.append([*map(dict, result["networks"].values())]),
        )


def test_calls_on_camvid_have_folders_of_their_own(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    on_gpu = importlib.import_module("on_gpu")
    times = iter(["20260101-000000", "20260101-010000"])
    monkeypatch.setattr(on_gpu.time, "strftime", lambda _format: next(times))
    first, second = (on_gpu.camvid_parts(Path("CamVid"), 3.0) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert one.command != other.command
        folder = f"runs/camvid-{one.name.split()[1]}-20260101-000000"
        assert one.command[-1].count(f" {folder} ") == 2


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        (
            "study_representations",
            ["--only", "six-channels,spikes"],
            "spikes; lines are six-channels, counts",
        ),
        ("study_networks", ["--part", "rates,speed"], "speed; parts are networks, aspp, enet"),
        (
            "study_networks",
            ["--part", "aspp", "--only", "fastscnn"],
            "lines are denseaspp121, densenet-aspp, densenet-alone",
        ),
    ],
)
def test_unknown_lines_are_refused_before_anything_is_made(
    tmp_path, monkeypatch, capsys, module, arguments, message
):
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(sys, "argv", [module, str(tmp_path), *arguments])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(module).main()
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
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


def test_claims_are_of_lines_that_are_trained_and_follow_from_test_and_sign(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from study import outcome
    from study_networks import CLAIMS, LINES, PARTS

    trained = {name for _, names in PARTS.values() for name in names}
    assert trained == set(LINES)
    assert {name for _, *pair in CLAIMS.values() for name in pair} <= trained
    for difference, p_holm, expected in (
        (0.02, 0.01, "holds"),
        (-0.02, 0.01, "does not hold"),
        (0.02, 0.2, "undecided"),
    ):
        found = {"miou_truth": {"difference": difference}, "p_holm": p_holm}
        assert outcome(found) == expected
    assert outcome({"none": "too few blocks"}) == "undecided"


def test_pyramids_differ_from_dense_aspp_in_what_their_units_see(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import torch
    from pyramids import NoPyramid, ParallelASPP

    x = torch.rand(1, 6, 32, 32)
    networks = {
        "dense": build_network("denseaspp121", in_channels=6, classes=6),
        "parallel": ParallelASPP(6, 6),
        "none": NoPyramid(6, 6),
    }
    seen: dict[str, list[torch.Tensor]] = {name: [] for name in networks}
    for name, network in networks.items():
        for unit in network.units:
            unit.register_forward_pre_hook(lambda _m, given, of=name: seen[of].append(given[0]))
        with torch.no_grad():
            assert network.eval()(x).shape == (1, 6, 32, 32)
    channels = {name: [given.shape[1] for given in of_name] for name, of_name in seen.items()}
    assert channels == {"dense": [512, 576, 640, 704, 768], "parallel": [512] * 5, "none": []}
    assert all(torch.equal(seen["parallel"][0], given) for given in seen["parallel"])
    trunk = {name: parameter_count(network.backbone) for name, network in networks.items()}
    assert len(set(trunk.values())) == 1


@pytest.mark.slow
def test_a_tiny_study_of_networks_has_costs_scores_and_tests(tmp_path):
    lines = ("--part", "enet,networks", "--only", "fastscnn,enet,enet-no-pooling")
    ended = run("study_networks.py", str(tmp_path), "--tiny", "--seeds", "1", *lines)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    result = json.loads((tmp_path / "tiny" / "networks_study.json").read_text())
    gmac = [line["gmac"] for line in result["lines"].values()]
    assert gmac == sorted(gmac)
    assert all(line["step_mb"] > 0 for line in result["lines"].values())
    assert set(result["tests"]["networks"]) == {"enet"}
    assert set(result["tests"]["enet"]) == {"enet-no-pooling"}
