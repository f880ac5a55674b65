"""Parts of the data that train: fractions of clips that lie in each other, and as published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_fixtures import draw_nothing, one_thread, street_dataset, tiny, train_tiny

from eventseg.evaluation.baselines import baseline_rows
from eventseg.evaluation.evaluate import Protocol
from eventseg.evaluation.run_evaluation import evaluate_run
from eventseg.plots.figure_files import FigureFiles
from eventseg.sources.source import open_source
from eventseg.training.parts import by_stretches, pick


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=900), st.integers(0, 3))
def test_stretches_are_neighbours_of_one_recording(sequences: list[str], seed: int) -> None:
    ranks = np.zeros(len(sequences), np.int64)
    for name in set(sequences):
        part = np.flatnonzero(np.array(sequences) == name)
        ranks[part] = np.random.default_rng(seed).permutation(len(part))
    order = by_stretches(sequences, ranks, seed=seed).tolist()
    assert sorted(order) == list(range(len(sequences)))
    assert order == by_stretches(sequences, ranks, seed=seed).tolist()
    length = min(20, max(1, len(sequences) // 100))
    begins = [
        k for k, i in enumerate(order)
        if k == 0 or sequences[i] != sequences[order[k - 1]] or ranks[i] != ranks[order[k - 1]] + 1
    ]  # fmt: skip
    # Within a run of neighbours each stretch begins at a multiple of its length.
    for begin in begins:
        assert ranks[order[begin]] % length == 0
    whole = sum(-(-sequences.count(name) // length) for name in set(sequences))
    assert len(begins) <= whole


def test_a_percent_of_ev_segnets_rows_is_seven_clips_of_a_second() -> None:
    sequences = ["a"] * 13_750
    chosen = np.sort(by_stretches(sequences, np.arange(13_750), seed=0)[:138])
    clips = np.split(chosen, np.flatnonzero(np.diff(chosen) > 1) + 1)
    assert max(map(len, clips)) <= 40  # two clips may be neighbours
    assert 5 <= len(clips) <= 7


def test_fractions_lie_in_each_other_and_follow_from_the_seed(data: Path) -> None:
    source = open_source(data)
    everything = pick(source, tiny(), split="train")
    before: set[int] = set()
    for fraction in (0.01, 0.05, 0.1, 0.2, 0.5, 1.0):
        chosen = pick(source, tiny(fraction=fraction), split="train")
        assert chosen.tolist() == sorted(set(chosen.tolist()))
        assert len(chosen) == max(1, round(fraction * len(everything)))
        assert before <= set(chosen.tolist()) <= set(everything.tolist())
        before = set(chosen.tolist())
        again = pick(source, tiny(fraction=fraction), split="train")
        assert chosen.tolist() == again.tolist()
    halves = {
        tuple(pick(source, tiny(fraction=0.5, seed=seed), split="train")) for seed in range(5)
    }
    assert len(halves) > 1


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    return street_dataset(root, anchor="evsegnet") / "50ms"


def test_the_paper_protocol_trains_on_what_the_clean_one_holds_back(data: Path) -> None:
    source = open_source(data)
    clean, paper = (
        pick(source, tiny(protocol=name, min_covered=0.0), split="train").tolist()
        for name in ("clean", "paper")
    )
    splits = np.array(source.splits)
    assert {"train", "gap", "val", "test"} == set(splits)
    assert clean == np.flatnonzero(splits == "train").tolist()
    assert paper == np.flatnonzero(splits != "test").tolist()
    parts = [pick(source, tiny(protocol=name), split="test") for name in ("clean", "paper")]
    assert parts[0].tolist() == parts[1].tolist()
    assert set(splits[parts[0]]) == {"test"}


def test_a_network_of_the_paper_protocol_has_seen_the_validation_part(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_thread()
    draw_nothing(monkeypatch)
    monkeypatch.setattr(FigureFiles, "embed", lambda *_a, **_k: "")
    train_tiny(data, tmp_path / "run", epochs=1, protocol="paper")
    page, rows = evaluate_run(tmp_path / "run", data, split="val", device="cpu")
    assert "The network was trained on the part val" in page.read_text()
    # Its baselines have seen it too.
    source = open_source(data)
    seen = baseline_rows(
        source, protocol=Protocol(split="val"), classes=source.classes, window="50ms",
        published=True,
    )  # fmt: skip
    for row, expected in zip(rows[1:5], seen, strict=True):
        np.testing.assert_array_equal(row.matrices, expected.matrices)
        assert row.note == expected.note
    unseen = baseline_rows(
        source, protocol=Protocol(split="val"), classes=source.classes, window="50ms"
    )
    assert unseen[-1].note != seen[-1].note
