"""Shards of an evaluation by the command, and what their merge refuses."""

from __future__ import annotations

import contextlib
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from prediction_fixtures import random_network
from recording_fixtures import tree
from training_fixtures import street_dataset

from eventseg.dataset.writer import encode_dataset
from eventseg.errors import DatasetError, OutputError, TrainingError
from eventseg.evaluation import evaluate_run
from eventseg.evaluation.evaluate_predictions import evaluate_predictions
from eventseg.evaluation.scored_part import PredictedMaps, ScoredPart
from eventseg.evaluation.shards import evaluate_shard, merge_evaluation
from eventseg.metrics.instances import InstanceCounts
from eventseg.sources import open_source
from eventseg.sources.own_labels import import_labels
from eventseg_cli.main import main

PLAIN = ("--no-baselines", "--device", "cpu", "--batch-size", "2")
SETTINGS = {"baselines": False, "device": "cpu", "batch_size": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("scored")
    street_dataset(root)
    with contextlib.closing(open_source(root / "streets")) as source:
        random_network(root / "gray.pt", "gray", table=source.classes)
    return root


def evaluate(made: Path, *more: object) -> Result:
    words = [str(made / "gray.pt"), str(made / "streets"), *PLAIN, *map(str, more)]
    return CliRunner().invoke(main, ["evaluate", *words])


def test_the_commands_make_the_report_of_one_run(made: Path, tmp_path: Path) -> None:
    straight = evaluate(made, "--out", tmp_path / "straight")
    assert straight.exit_code == 0, straight.output
    out = tmp_path / "merged"
    for shard in ("2/2", "1/2"):
        shown = evaluate(made, "--out", out, "--shard", shard)
        assert shown.exit_code == 0, shown.output
        assert f"when all 2 are done: eventseg merge {out}" in shown.output
    of_another = evaluate(made, "--out", out, "--shard", "1/1")
    assert "an array of 2, this is shard 1/1" in of_another.output
    refused = evaluate(made, "--out", out)
    assert refused.exit_code == 1
    assert "holds shards of a job array: 'eventseg merge" in refused.output
    merged = CliRunner().invoke(main, ["merge", str(out)])
    assert merged.exit_code == 0, merged.output
    assert merged.stdout == straight.stdout.replace(str(tmp_path / "straight"), str(out))
    assert tree(out) == tree(tmp_path / "straight")


def test_a_merge_that_was_stopped_at_its_end_says_that_the_report_is_there(
    made: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert evaluate(made, "--out", out, "--shard", "1/1").exit_code == 0
    shutil.copytree(out / "shards", tmp_path / "left")
    assert CliRunner().invoke(main, ["merge", str(out)]).exit_code == 0
    before = tree(out)
    shutil.move(tmp_path / "left", out / "shards.merged")
    again = CliRunner().invoke(main, ["merge", str(out)])
    assert again.exit_code == 1
    assert "holds the report of shards that were merged before" in again.output
    assert tree(out) == before


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--shard", "1/2", "--scheduler", "local"), "--shard and --scheduler exclude each other"),
        (("--predictions", ".", "--jobs", "2"), "leave them out with --predictions"),
    ],
)  # fmt: skip
def test_usage(made: Path, more: tuple[str, ...], words: str) -> None:
    result = evaluate(made, *more)
    assert result.exit_code == 2, result.output
    assert words in " ".join(result.output.split())


def test_what_cannot_be_shared_is_refused(made: Path) -> None:
    for engine in ({"jobs": 2}, {"scheduler": "local"}):
        with pytest.raises(TrainingError, match="calibration needs the probabilities of one"):
            evaluate_run(made / "gray.pt", made / "streets", calibration=True, **engine)
    with pytest.raises(TrainingError, match="calibration needs the probabilities of one"):
        evaluate_shard(made / "gray.pt", made / "streets", shard="1/2", calibration=True)


@pytest.mark.slow
def test_data_without_training_samples_are_scored_without_baselines(
    made: Path, tmp_path: Path
) -> None:
    encode_dataset(made / "other.hdf5", made / "testonly", windows_us=50_000, held_out=["other"])
    note = f"no baselines: {made / 'testonly'} has no labelled samples of split train"
    asked = {"device": "cpu", "out": tmp_path / "report"}
    page, rows = evaluate_run(made / "gray.pt", made / "testonly", **asked)
    assert [row.name for row in rows] == ["gray"]
    assert note in page.with_name("scores.md").read_text()
    evaluate_shard(made / "gray.pt", made / "testonly", **asked | {"out": tmp_path / "shards"},
                   shard="1/1", predictions=tmp_path / "maps")  # fmt: skip
    assert merge_evaluation(tmp_path / "shards").notes == [note]
    assert evaluate_predictions(tmp_path / "maps", made / "testonly").notes == [note]


def test_a_teacher_is_scored_on_the_samples_that_it_labelled(made: Path, tmp_path: Path) -> None:
    with contextlib.closing(open_source(made / "streets")) as source:
        parts = {
            split: [source.ids[i] for i in np.flatnonzero(np.array(source.splits) == split)]
            for split in ("train", "test")
        }
    half = parts["test"][::2]
    for name, ids in (("half", half), ("none", parts["train"])):
        (tmp_path / name).mkdir()
        for one in ids:
            shutil.copy(made / "streets/labels/truth" / f"{one}.png", tmp_path / name)
        import_labels(made / "streets", tmp_path / name, name=name, classes="cityscapes19")
    asked = {**SETTINGS, "out": tmp_path / "report"}
    page, rows = evaluate_run(made / "gray.pt", made / "streets", teacher="half", **asked)
    assert [row.name for row in rows] == ["gray", "frame teacher"]
    assert rows[1].ids == tuple(half)
    for report in (page, page.with_name("scores.md")):
        text = report.read_text()
        assert f"other samples than the first row: {len(half)} in common" in text
    for scored in (evaluate_run, partial(evaluate_shard, shard="1/2")):
        with pytest.raises(TrainingError, match="has labels of none of the"):
            scored(made / "gray.pt", made / "streets", teacher="none", **SETTINGS)
    assert not list(made.glob("evaluation-*"))


def test_what_is_missing_differs_or_is_damaged_is_named(made: Path, tmp_path: Path) -> None:
    def shard(text: str, **changes: object) -> None:
        arguments = {**SETTINGS, "out": tmp_path, **changes}
        evaluate_shard(made / "gray.pt", made / "streets", shard=text, **arguments)

    with pytest.raises(DatasetError, match="no finished shards"):
        merge_evaluation(tmp_path)
    shard("1/2")
    with pytest.raises(DatasetError, match=r"1 of 2 shards .* are missing: .* --shard 2/2"):
        merge_evaluation(tmp_path)
    with pytest.raises(OutputError, match="holds shards of a job array"):
        evaluate_run(made / "gray.pt", made / "streets", out=tmp_path, **SETTINGS)
    shard("2/2", flip=True)
    with pytest.raises(DatasetError, match=r"1-of-2 and 2-of-2 of .* differ in request"):
        merge_evaluation(tmp_path)
    shard("2/2")
    record = tmp_path / "shards/2-of-2/shard.toml"
    content = record.read_bytes()
    for old, new in ((b"start = ", b"start = 1"), (b"stop = ", b"stop = 1")):
        record.write_bytes(content.replace(old, new))
        with pytest.raises(DatasetError, match=r"other samples|in no shard"):
            merge_evaluation(tmp_path)
    for place in ("1-of-2", "2-of-2"):
        path = tmp_path / "shards" / place / "shard.toml"
        text = path.read_text()
        at = text.index("checkpoint_sha256 = ") + len('checkpoint_sha256 = "')
        path.write_text(text[:at] + "0" * 64 + text[at + 64 :])
    with pytest.raises(DatasetError, match=r"checkpoint_sha256 of .* has changed since its shards"):
        merge_evaluation(tmp_path)
    shard("1/2")
    shard("2/2")
    counts = tmp_path / "shards/2-of-2/50ms-0.npz"
    whole = counts.read_bytes()
    for rubbish in (b"", b"PK\x03\x04", whole[: len(whole) // 2]):
        counts.write_bytes(rubbish)
        with pytest.raises(DatasetError, match=r"holds no counts of a shard .* run that shard"):
            merge_evaluation(tmp_path)
    counts.write_bytes(whole)
    assert merge_evaluation(tmp_path).rows[0].window == "-"
    assert not (tmp_path / "shards").exists()


def test_counts_come_back_from_their_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    three = tuple(np.arange(3) + k for k in range(2))
    instances = InstanceCounts(*three, np.array([0.1, 0.2, 1 / 3]), three[1], 1, 96)
    maps = rng.integers(0, 3, (2, 4, 6)).astype(np.uint8)
    part = ScoredPart(
        (7, 9), rng.integers(0, 99, (2, 3, 3)), 5, 6, (instances,), (PredictedMaps.of(maps),)
    )
    part.write(tmp_path / "part.npz")
    back = ScoredPart.read(tmp_path / "part.npz")
    assert (back.indices, back.silent, back.ignored) == (part.indices, 5, 6)
    assert np.array_equal(back.matrices, part.matrices)
    assert np.array_equal(back.maps[0].array(), maps)
    assert vars_of(back.instances[0]) == vars_of(instances)


def vars_of(counts: InstanceCounts) -> list[object]:
    names = ("instances", "pixels", "found", "false", "images", "image_pixels")
    return [np.asarray(getattr(counts, name)).tolist() for name in names]
