"""Splits of one's own: files, named recordings, folds, whole recordings, leaks, runs."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from prediction_fixtures import random_network
from recording_fixtures import SMALL, write_recording
from training_fixtures import draw_nothing, one_thread, tiny, train_tiny

from eventseg.dataset import check_dataset, encode_dataset, open_dataset
from eventseg.errors import DatasetError, TrainingError
from eventseg.evaluation import evaluate_predictions, evaluate_run, score_predictions
from eventseg.evaluation.sample_scores import read_sample_scores
from eventseg.evaluation.scoring.contenders import open_contender
from eventseg.evaluation.scoring.parts import scored_splits
from eventseg.evaluation.scoring.settings import ScoreRequest
from eventseg.prediction import predict_into
from eventseg.sources import import_labels
from eventseg.sources.assigned import assigned_splits, deal, whole_recordings
from eventseg.sources.leaks import check_leaks
from eventseg.sources.source import Source, open_source
from eventseg.sources.split_file import (
    read_split_file,
    splits_by_file,
    splits_of_run,
    write_split_file,
)
from eventseg.splits import SplitRule
from eventseg.training.parts import parts_of
from eventseg_cli.main import main

LENGTHS = {"a": 20, "b": 10, "c": 10, "d": 5}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four recordings, d held out for test, with a label set of all samples."""
    folder = tmp_path_factory.mktemp("splits")
    recordings = [
        write_recording(folder / f"{n}.hdf5", frames=k, duration_us=100_000 * k, seed=k + ord(n))
        for n, k in LENGTHS.items()
    ]
    encode_dataset(recordings, folder / "data", store="none", held_out=["d"])
    for sample in open_source_ids(folder / "data"):
        labels = np.zeros(SMALL, np.uint8)
        path = folder / "labels" / f"{sample}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(labels).save(path)
    import_labels(folder / "data", folder / "labels", name="own", classes="evsegnet6")
    return folder / "data"


def open_source_ids(data: Path) -> tuple[str, ...]:
    with open_dataset(data) as dataset:
        return dataset.ids


@pytest.fixture
def source(data: Path) -> Source:
    return open_source(data, label_set="own")


def by_recording(source: Source, splits: tuple[str, ...] | None) -> dict[str, set[str]]:
    assert splits is not None
    found: dict[str, set[str]] = {}
    for name, split in zip(source.sequences, splits, strict=True):
        found.setdefault(name, set()).add(split)
    return found


def test_without_a_rule_the_split_is_that_of_the_data(source: Source) -> None:
    assert assigned_splits(source, SplitRule()) is None


def test_named_recordings_validate_and_the_others_train_completely(source: Source) -> None:
    splits = assigned_splits(source, SplitRule(val=("b",)))
    assert by_recording(source, splits) == {"a": {"train"}, "b": {"val"}, "c": {"train"},
                                            "d": {"test"}}  # fmt: skip
    both = by_recording(source, assigned_splits(source, SplitRule(val=("b",), test=("c",))))
    assert (both["c"], both["d"]) == ({"test"}, {"test"})


def test_the_shortest_recordings_are_held_back_whole(source: Source) -> None:
    splits = assigned_splits(source, SplitRule(hold_back="recordings"))
    assert by_recording(source, splits) == {"a": {"train"}, "b": {"train"}, "c": {"val"},
                                            "d": {"test"}}  # fmt: skip
    assert check_leaks(source, splits or ()) == []


@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(1, 50), min_size=2))
def test_whole_recordings_are_a_tenth_at_least_and_leave_some(sizes: dict[str, int]) -> None:
    chosen = whole_recordings(sizes, where="x")
    held, total = sum(sizes[name] for name in chosen), sum(sizes.values())
    assert 0 < len(chosen) < len(sizes)
    assert held >= 0.1 * total or len(chosen) == len(sizes) - 1
    assert sum(sizes[name] for name in chosen[:-1]) < 0.1 * total


@given(
    st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(1, 50), min_size=3),
    st.integers(2, 3),
)
def test_folds_part_the_recordings_evenly(sizes: dict[str, int], groups: int) -> None:
    dealt = deal(sizes, groups)
    assert dealt.keys() == sizes.keys()
    totals = [sum(sizes[n] for n, g in dealt.items() if g == group) for group in range(groups)]
    assert min(totals) > 0
    assert max(totals) - min(totals) <= max(sizes.values())
    assert deal(dict(reversed(sizes.items())), groups) == dealt


def test_every_recording_tests_in_one_fold(source: Source) -> None:
    tested: Counter[str] = Counter()
    for fold in ("1/3", "2/3", "3/3"):
        for hold_back in ("stretches", "recordings"):
            rule = SplitRule(fold=fold, hold_back=hold_back)
            parts = by_recording(source, assigned_splits(source, rule))
            assert any("val" in each for each in parts.values())
            assert any("train" in each for each in parts.values())
            assert all(each == {"test"} for each in parts.values() if "test" in each)
        tested.update(name for name, each in parts.items() if each == {"test"})
    assert tested == dict.fromkeys(LENGTHS, 1)
    config = tiny(split__fold="2/3", labels__set="own")
    ids = {name: {source.ids[i] for i in part} for name, part in parts_of(source, config).items()}
    assert not ids["train"] & ids["val"]


def test_a_file_says_the_split_of_ids_or_of_recordings(source: Source, tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    path.write_text("recording,split,note\r\na,train,x\r\nb,val,\r\nc,other,\r\nd,test,\r\n")
    splits = splits_by_file(source, read_split_file(path))
    assert by_recording(source, splits) == {"a": {"train"}, "b": {"val"}, "c": {"other"},
                                            "d": {"test"}}  # fmt: skip
    write_split_file(path, source, splits)
    assert splits_by_file(source, read_split_file(path)) == splits
    # A sample table of the data set is a split file too.
    assert splits_by_file(source, read_split_file(source.path / "samples.csv")) == source.splits


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must begin with the columns id,split or recording,split; it begins with nothing"),
        ("name,split\na,train\n", "it begins with name,split"),
        ("recording,split\na,train\na,val\n", "names a more than once"),
        ("recording,split\na,validation\n", "line 2: split 'validation' is none of train, val,"),
        ("recording,split\na\n", "line 2: 1 fields, the header has 2"),
        ("recording,split\na,train\nb,val\nc,val\n", "lacks 1: d; give what shall not be used"),
        ("recording,split\na,train\nb,val\nc,val\nd,test\ne,test\n", "it does not have: e"),
        ("id,split\na_f000000,train\n", "lacks 44: a_f000001.* and 39 more"),
    ],
)
def test_files_that_do_not_fit(source: Source, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "split.csv"
    path.write_text(text)
    with pytest.raises(TrainingError, match=message):
        splits_by_file(source, read_split_file(path))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"file": "x.csv", "fold": "1/2"}, "leave fold out, or the file"),
        ({"fold": "0/3"}, "must be I/K with I from 1 to K"),
        ({"fold": "1/1"}, "K of 2 or more"),
        ({"fold": "one"}, "such as 1/5"),
        ({"val": ("a",), "test": ("a",)}, "a cannot both validate and test"),
        ({"val": ("a",), "hold_back": "recordings"}, "leave hold_back out, or val"),
        ({"fold": "1/2", "test": ("a",)}, "leave test out, or fold"),
    ],
)
def test_rules_that_exclude_each_other(settings: dict[str, object], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        SplitRule(**settings)  # type: ignore[arg-type]


def test_rules_that_the_data_cannot_have(source: Source) -> None:
    for rule, message in (
        (SplitRule(val=("x",)), "has no recordings x for val; it has a, b, c, d"),
        (SplitRule(fold="1/5"), "needs 5 recordings to test, .* has 4: a, b, c, d"),
        (SplitRule(fold="1/4", val=("a",)), "has 3 besides those of val"),
    ):
        with pytest.raises(TrainingError, match=message):
            assigned_splits(source, rule)


def test_recordings_are_held_back_when_they_are_encoded(data: Path, tmp_path: Path) -> None:
    recordings = [data.parent / f"{name}.hdf5" for name in LENGTHS]
    made = {"store": "none", "held_out": ["d"], "validation": ["b"]}
    encode_dataset(recordings, tmp_path / "data", **made)
    with open_dataset(tmp_path / "data") as dataset:
        splits = dict(zip(dataset.samples.recording, dataset.samples.split, strict=True))
        assert splits == {"a": "train", "b": "val", "c": "train", "d": "test"}
        assert set(dataset.samples.split) == {"train", "val", "test"}
        assert dataset.manifest.settings.validation == ("b",)
    assert check_dataset(tmp_path / "data") == []
    for names, message in ((["x"], "no recording x to hold out for validation"),
                           (["d"], "d cannot both validate and test")):  # fmt: skip
        with pytest.raises(DatasetError, match=message):
            encode_dataset(recordings, tmp_path / "other", **(made | {"validation": names}))


def test_a_named_recording_validates_whatever_split_is_published_for_it(tmp_path: Path) -> None:
    published = {"rec1487417411": "test", "rec1487356509": "other", "rec1487339175": "train"}
    files = [write_recording(tmp_path / f"{n}.hdf5", seed=k) for k, n in enumerate(published)]
    for name in published:
        for anchor, place in (("frame", tmp_path / name), ("count:500", tmp_path / f"{name}c")):
            encode_dataset(files, place, anchor=anchor, validation=[name])
            with open_dataset(place) as dataset:
                splits = dict(zip(dataset.samples.recording, dataset.samples.split, strict=True))
            assert splits == published | {name: "val"}


def test_parts_that_share_events_or_frames_are_refused(source: Source) -> None:
    splits = np.array(source.splits)
    first = np.flatnonzero(np.array(source.sequences) == "a")
    splits[first] = "train"
    splits[first[10:]] = "val"
    notes = check_leaks(source, splits.tolist())  # frames are 100 ms apart, windows 50 ms long
    assert len(notes) == 1
    assert "train and val are 0.1 s apart in recording a" in notes[0]
    with pytest.raises(TrainingError, match=r"1 samples of train .*: a_f000009; split"):
        check_leaks(source, splits.tolist(), windows=("150ms",))
    splits[first[8:10]] = "gap"
    assert check_leaks(source, splits.tolist(), windows=("150ms",))
    # Frames in turn: neighbours everywhere.
    splits[first] = np.resize(["train", "test"], len(first))
    with pytest.raises(TrainingError, match=r"10 samples of train share .* and 5 more"):
        check_leaks(source, splits.tolist(), windows=("150ms",))


def test_the_split_of_a_run_goes_by_samples_then_by_recordings(
    source: Source, tmp_path: Path
) -> None:
    path = tmp_path / "split.csv"
    splits = assigned_splits(source, SplitRule(val=("b",)))
    assert splits is not None
    write_split_file(path, source, splits)
    file = read_split_file(path)
    assert splits_of_run(source, file) == splits
    text = path.read_text().splitlines()
    # Only one sample of a and of b is known, as of another anchor; c and d are new.
    kept = [text[0], next(t for t in text if t.startswith("a_")),
            next(t for t in text if t.startswith("b_"))]  # fmt: skip
    path.write_text("\n".join(kept))
    other = by_recording(source, splits_of_run(source, read_split_file(path)))
    assert (other["a"], other["b"], other["d"]) == ({"train"}, {"val"}, {"test"})
    assert "val" in other["c"]
    path.write_text("id,recording,split\nx_1,x,train\n")
    assert splits_of_run(source, read_split_file(path)) is None


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of four drives in two classes."""
    root, rng = tmp_path / "mine", np.random.default_rng(0)
    rows = "".join(f'{{ id = {i}, name = "c{i}", colour = [{i}, 7, 9] }},' for i in range(2))
    for drive in ("mon", "tue", "wed", "thu"):
        for k in range(3):
            for kind in ("images", "labels"):
                path = root / kind / drive / f"{k}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                most = 256 if kind == "images" else 2
                Image.fromarray(rng.integers(0, most, (48, 64), np.uint8)).save(path)
    (root / "classes.toml").write_text(f"classes = [{rows}]")
    return root


def test_pictures_that_are_in_two_parts_are_said(pictures: Path) -> None:
    source = open_source(pictures)
    splits = ["test" if name == "thu" else "train" for name in source.sequences]
    assert check_leaks(source, splits) == []
    shutil.copy(pictures / "images/mon/0.png", pictures / "images/thu/1.png")
    assert check_leaks(open_source(pictures), splits) == [
        "1 pictures of val or test are in train too: thu_1"
    ]
    splits[0] = "test"
    assert "1 drives are in train and in val or test: mon" in check_leaks(source, splits)[0]


def test_a_run_keeps_its_split_and_is_scored_in_it(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_nothing(monkeypatch)
    threads = torch.get_num_threads()
    one_thread()
    run, split = tmp_path / "run", tmp_path / "split.csv"
    split.write_text("recording,split\nmon,train\ntue,train\nwed,val\nthu,test\n")
    settings = {"epochs": 1, "input__kind": "gray", "batch_size": 2}
    train_tiny(pictures, run, split__file=str(split), **settings)
    entries = json.loads((run / "run.json").read_text())
    assert entries["split"] == {"samples": {"test": 3, "train": 6, "val": 3}, "notes": []}
    assert (entries["parts"]["train"]["samples"], entries["parts"]["val"]["samples"]) == (6, 3)
    assert read_split_file(run / "split.csv").splits["thu_0"] == "test"
    quick = {"device": "cpu", "baselines": False}
    found = evaluate_run(run, **quick)
    assert len(found.rows[0].ids) == 3
    assert found.notes == [f"scored in the split of the run, {run / 'split.csv'}"]
    predicted = predict_into(run, pictures, tmp_path / "maps", split="test", device="cpu")
    assert predicted.folder.ids == ("thu_0", "thu_1", "thu_2")
    with pytest.raises(DatasetError, match="in a split that is not that of the data: give it with"):
        evaluate_predictions(tmp_path / "maps", pictures, baselines=False)
    again = evaluate_predictions(
        tmp_path / "maps", pictures, split_file=run / "split.csv", baselines=False
    )
    assert again.scores.miou_present == found.scores.miou_present
    plain = {"out": tmp_path / "scored", "baselines": False, "diagnosis": False, "boundary": ()}
    scored = score_predictions(run, pictures, device="cpu", **plain)
    assert scored.rows[0].ids == found.rows[0].ids == ("thu_0", "thu_1", "thu_2")
    assert scored.scores.miou_present == found.scores.miou_present
    assert scored.notes[:1] == found.notes
    with pytest.raises(DatasetError, match="predictions of run are in a split that is not that of"):
        score_predictions(tmp_path / "maps", pictures, **plain)
    of_file = score_predictions(
        tmp_path / "maps", pictures, split_file=str(run / "split.csv"), **plain
    )
    assert of_file.rows[0].ids == found.rows[0].ids
    assert of_file.scores.miou_present == found.scores.miou_present
    both = score_predictions([tmp_path / "maps", run], pictures, device="cpu", **plain)
    assert [row.ids for row in both.rows] == [found.rows[0].ids] * 2
    split.write_text("recording,split\nmon,test\ntue,train\nwed,val\nthu,test\n")
    other = evaluate_run(run, split_file=split, **quick)
    assert len(other.rows[0].ids) == 6
    assert "3 samples of val or test in" in other.notes[0]
    assert other.page.parent != found.page.parent
    # The file has changed: the run does not go on with other parts.
    with pytest.raises(TrainingError, match="samples of a part differ"):
        train_tiny(pictures, run, split__file=str(split), resume=True, **settings)
    asked = ["evaluate", str(run), str(pictures), "--split", f"{split}:val", "--no-baselines"]
    result = CliRunner().invoke(main, [*asked, "--device", "cpu", "--workers", "0", "--quiet"])
    torch.set_num_threads(threads)
    assert result.exit_code == 0, result.output
    assert "| run | - | 3 |" in result.stdout


RUN_ENTRIES = {
    "data": "", "inputs": {}, "parts": {}, "config": "", "seed": 0, "device": "cpu", "threads": 1,
    "parameters": 1, "versions": {}, "command": [],
}  # fmt: skip
"""Entries of a ``run.json`` that says nothing."""


def test_contenders_of_a_score_share_the_part_of_the_runs_among_them(
    pictures: Path, tmp_path: Path
) -> None:
    source = open_source(pictures)

    def run(name: str, *, inputs: dict[str, str], **splits: str) -> Path:
        """Write a run folder, with a split of its own where drives are given."""
        folder = tmp_path / name
        folder.mkdir()
        random_network(folder / "best.pt", "gray", table=source.classes)
        (folder / "run.json").write_text(json.dumps({**RUN_ENTRIES, "inputs": inputs}))
        if splits:
            assigned = [splits.get(drive, "train") for drive in source.sequences]
            write_split_file(folder / "split.csv", source, assigned)
        return folder

    here = source.digests
    one = run("one", inputs=here, mon="test", tue="val")
    other_val = run("other_val", inputs=here, mon="test", wed="val")
    other_test = run("other_test", inputs=here, tue="test", wed="val")
    of_data = run("of_data", inputs=here)
    elsewhere = run("elsewhere", inputs={"files": "0"})

    def split(*specs: Path):
        opened = [
            open_contender(spec, source, request=ScoreRequest(device="cpu")) for spec in specs
        ]
        return scored_splits(opened, source, split="test")

    alone = split(of_data, elsewhere)
    assert (alone.sources, alone.notes, alone.warning) == ((source, source), (), "")
    agreed = split(one, other_val)
    assert [s.splits[source.sequences.index("wed")] for s in agreed.sources] == ["train", "val"]
    assert agreed.notes == (f"scored in the split of the run, {one / 'split.csv'}",)
    assert agreed.warning == ""
    for second, name in ((other_test, "other_test"), (of_data, "of_data")):
        with pytest.raises(TrainingError, match=f"one and {name} were trained in splits of .* that "
                           "differ in the part test"):  # fmt: skip
            split(one, second)
    follows = split(elsewhere, one)
    assert follows.sources[0].splits == follows.sources[1].splits
    assert follows.warning.startswith("elsewhere is scored in the split of one, which is not that")


def test_the_command_scores_the_part_of_a_split_file(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_nothing(monkeypatch)
    monkeypatch.chdir(tmp_path)
    source = open_source(pictures)
    random_network(tmp_path / "gray.pt", "gray", table=source.classes)
    Path("own.csv").write_text("recording,split\nmon,train\ntue,train\nwed,val\nthu,test\n")
    Path("wrong.csv").write_text("recording,split\nmonday,train\n")
    asked = [str(pictures), "--no-baselines", "--no-diagnosis", "--device", "cpu", "--json", "-q"]

    def scored(split: str) -> Any:
        return CliRunner().invoke(main, ["score", "gray.pt", *asked, "--split", split])

    for words, part, drive in (("own.csv", "test", "thu"), ("own.csv:val", "val", "wed")):
        done = scored(words)
        assert done.exit_code == 0, done.output
        record = json.loads(done.stdout)
        assert record["about"]["scored as"].startswith(f"truth-{part}-clean-split@")
        report = Path(record["report"])
        named = f"gray-{pictures.name}-truth-{part}-nobaselines-split@"
        assert report.parent.name.startswith(named)
        (row,) = read_sample_scores(report.parent)
        assert {name.partition("_")[0] for name in row.ids} == {drive}
    refused = scored("wrong.csv")
    assert refused.exit_code == 1
    assert "monday" in refused.stderr
