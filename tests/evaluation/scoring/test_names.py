"""Names: files of predictions joined to samples, and folders of reports."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from evaluation.scoring.score_fixtures import PLAIN, truths, written
from league_trees import DAVIS, simulated, write_ess_tree

import eventseg
from eventseg.errors import DatasetError, OutputError
from eventseg.evaluation.scoring.names import match_names


def test_names_are_joined_by_recording_and_number_and_shifts_are_told(tmp_path):
    ids = [f"dir1_f{k:06}" for k in range(4)] + [f"dir10_f{k:06}" for k in range(4)]
    sequences = ["dir1"] * 4 + ["dir10"] * 4
    paths = [
        tmp_path / drive / f"segmentation_{k:08}.png" for drive in ("dir1", "dir10")
        for k in range(4)
    ]  # fmt: skip
    found = match_names(tmp_path, paths, ids=ids, sequences=sequences)
    assert found.rule == "names are recordings and frame numbers"
    assert list(found.files.values()) == paths
    late = [path.with_stem(f"segmentation_{k % 4 + 1:08}") for k, path in enumerate(paths)]
    shifted = match_names(tmp_path, late, ids=ids, sequences=sequences)
    assert len(shifted.files) == 6
    assert "1 too high" in shifted.hint
    flat = [tmp_path / f"{k + 10}.npy" for k in range(4)]
    alone = match_names(tmp_path, flat, ids=[f"a_f{k + 10}" for k in range(4)], sequences=["a"] * 4)
    assert alone.rule == "names are frame numbers"
    prefixed = [tmp_path / f"dir10_{k}.png" for k in range(4)]
    found = match_names(tmp_path, prefixed, ids=ids, sequences=sequences)
    assert list(found.files) == ids[4:]
    with pytest.raises(DatasetError, match=r"3\.png are both predictions of a_f3"):
        match_names(
            tmp_path, [tmp_path / "a_f3.png", tmp_path / "x/a_f3.png"],
            ids=["a_f3"], sequences=["a"],
        )  # fmt: skip


def test_files_of_a_recording_with_a_longer_name_are_not_those_of_a_shorter_one(tmp_path):
    def files(*drives: str) -> list[Path]:
        return [tmp_path / f"{drive}_frame_{k:04}.png" for drive in drives for k in range(3)]

    def samples(*drives: str) -> dict[str, list[str]]:
        return {
            "ids": [f"{drive}_f{k:06}" for drive in drives for k in range(3)],
            "sequences": [drive for drive in drives for _ in range(3)],
        }

    for recordings in ((), ("drive1", "drive10")):
        both = files("drive1", "drive10")
        found = match_names(tmp_path, both, **samples("drive1"), recordings=recordings)
        assert list(found.files.values()) == both[:3]
        assert found.unpaired == tuple(both[3:])
    longer = files("drive2", "drive10")
    found = match_names(tmp_path, longer, **samples("drive1", "drive2"))
    assert list(found.files.values()) == longer[:3]
    assert list(found.files) == samples("drive2")["ids"]
    with pytest.raises(DatasetError, match="none of the 3 predictions"):
        match_names(
            tmp_path, files("drive10"), **samples("drive1"), recordings=("drive1", "drive10")
        )


def test_a_league_is_scored_by_its_frame_numbers_beside_the_published_rows(no_page, tmp_path):
    drives = [
        simulated(tmp_path / f"{seed}.hdf5", sensor=DAVIS, duration_us=length_us, seed=seed)
        for seed, length_us in ((7, 200_000), (8, 160_000))
    ]
    tree = tmp_path / "DDD17"
    write_ess_tree(tree, *drives)
    (tmp_path / "mine/dir1").mkdir(parents=True)
    masks = sorted((tree / "dir1").rglob("segmentation_0*.png"))
    for mask in masks:
        shutil.copy(mask, tmp_path / "mine/dir1")
    found = eventseg.score_predictions(
        tmp_path / "mine", tree, out=tmp_path / "out", diagnosis=False, boundary=()
    )
    assert found.rows[0].scores.pixel_accuracy == 1
    assert len(found.rows[0].ids) == len(masks)
    published = {one.key: one for one in found.sections}["published"]
    methods = [line["method"] for line in published.lines]
    assert methods[0] == "this score"
    assert {"Evita-L (2026)", "EV-SegNet, events at 50 ms (2019)"} <= set(methods)
    assert f"not comparable: {len(masks)} samples, the league has 3,890" in published.note
    last = masks[-1].stem
    (tmp_path / "mine/dir1" / f"{last}.png").unlink()
    with pytest.raises(DatasetError, match=r"1 of the .*names are recordings and frame numbers"):
        eventseg.score_predictions(tmp_path / "mine", tree, out=tmp_path / "out", **PLAIN)

    def busy(sample):
        return (sample.tensor(normalise="raw")[:2].sum(0) > 0).astype(np.uint8)

    live = eventseg.score_predictions(
        busy, tree, out=tmp_path / "live", **{**PLAIN, "baselines": True}, stress="shift",
        stress_samples=2,
    )  # fmt: skip
    assert "busy, events 50 ms late" in {row.name for row in live.rows}
    assert "stress_shift" in {one.key for one in live.sections}


def test_each_question_of_a_score_has_a_folder_of_its_own(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = root / "streets"
    written(tmp_path / "maps", truths(data))
    folders: list[str] = []

    def stop(folder: Path) -> None:
        folders.append(folder.name)
        raise OutputError("only the name is asked for")

    monkeypatch.setattr("eventseg.evaluation.scoring.score.check_folder", stop)

    def name(predictions: object = "maps", **settings: object) -> str:
        with pytest.raises(OutputError):
            eventseg.score_predictions(predictions, data, device="cpu", **settings)
        return folders[-1]

    plain = "maps-streets-truth-test"
    assert name() == name(classes="cityscapes19") == name(batch_size=9, seed=3) == plain
    assert name(classes="evsegnet6") == f"{plain}-evsegnet6"
    assert name(window="10ms") == f"{plain}-10ms"
    assert name(baselines=False) == f"{plain}-nobaselines"
    assert name(teacher="truth", split="val") == "maps-streets-truth-val-teacher-truth"
    run, network = str(root / "events.pt"), name(root / "events.pt")
    assert name(run, window="0.05s") == network
    assert name(run, window="10ms") == f"{network}-10ms"
    assert name(root / "gray.pt", window="10ms") == name(root / "gray.pt")
