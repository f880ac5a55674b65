"""Scores of anyone's predictions: equal to evaluate's, mistakes named, hostile input refused."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from league_trees import DAVIS, simulated, write_ess_tree
from PIL import Image
from prediction_fixtures import random_network
from sklearn.tree import DecisionTreeClassifier
from training_fixtures import SENSOR, street_dataset

import eventseg
from eventseg.dataset.writer import encode_dataset
from eventseg.errors import DatasetError, ExtensionError, LabelError, TrainingError
from eventseg.evaluation.scoring.latex import latex_tables
from eventseg.evaluation.scoring.names import match_names
from eventseg.labels.maps import CITYSCAPES_19, paint_labels
from eventseg.sources.recorded import EventSource
from eventseg.sources.source import open_source
from eventseg_cli.main import main

PLAIN = {"baselines": False, "diagnosis": False, "boundary": ()}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("score")
    street_dataset(folder)
    encode_dataset(
        [folder / "drive.hdf5", folder / "other.hdf5"], folder / "cropped",
        held_out=["other"], windows_us=50_000, crop=(0, 36),
    )  # fmt: skip
    random_network(folder / "events.pt", "events", folder / "streets", table=CITYSCAPES_19)
    random_network(folder / "gray.pt", "gray", table=CITYSCAPES_19)
    return folder


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing: figures take most of the time of a small score."""
    monkeypatch.setattr("eventseg.evaluation.report.write.report_page", lambda *_a, **_k: "")


def truths(data: Path) -> dict[str, np.ndarray]:
    """Return the labels of the test samples by id, in order."""
    source = open_source(data)
    found = {
        source.ids[i]: source.labels(i) for i in np.flatnonzero(np.array(source.splits) == "test")
    }
    source.close()
    return found


def written(folder: Path, maps: dict[str, np.ndarray]) -> Path:
    folder.mkdir(parents=True)
    for name, labels in maps.items():
        Image.fromarray(labels).save(folder / f"{name}.png")
    return folder


def nearly(labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return labels with every tenth pixel wrong, so that nothing is perfect."""
    wrong = np.random.default_rng(seed).random(labels.shape) < 0.1
    return np.where(wrong, (labels + 3) % 19, labels).astype(np.uint8)


def same_scores(one, other) -> None:
    """Compare two rows to the last digit."""
    assert one.ids == other.ids
    assert np.array_equal(one.matrices, other.matrices)
    mine, theirs = one.to_dict(), other.to_dict()
    for row in (mine, theirs):
        del row["note"], row["window"], row["name"]
    assert json.dumps(mine) == json.dumps(theirs)


@pytest.mark.parametrize("network", ["events", pytest.param("gray", marks=pytest.mark.slow)])
def test_a_folder_of_png_has_the_scores_of_the_run_to_the_last_digit(
    no_page, root, tmp_path, network
):
    run, data = root / f"{network}.pt", root / "streets"
    made = eventseg.evaluate_run(
        run, data, out=tmp_path / "report", device="cpu", predictions=tmp_path / "maps"
    )
    foreign = tmp_path / "foreign"
    shutil.copytree(tmp_path / "maps/labels", foreign)
    window = "50ms" if network == "events" else None
    scored = {
        "folder": eventseg.score_predictions(tmp_path / "maps", data, out=tmp_path / "a"),
        "png": eventseg.score_predictions(foreign, data, out=tmp_path / "b", window=window),
        "run": eventseg.score_predictions(run, data, out=tmp_path / "c", device="cpu"),
    }
    by_name = {row.name: row for row in made.rows}
    for found in scored.values():
        same_scores(found.rows[0], made.rows[0])
        for row in found.rows[1:]:
            same_scores(row, by_name[row.name])
    assert len(scored["run"].rows) == len(made.rows)
    sections = [{one.key: one for one in found.sections} for found in scored.values()]
    for key in ("boundary", "boundary_f", "by_class"):
        lines = [json.dumps(found[key].to_dict()) for found in sections]
        assert lines[0] == lines[2], key
    assert "calibration" in sections[2]
    assert {line["samples"] for line in sections[0]["protocol_paper"].lines} == {
        len(made.rows[0].ids)
    }


def test_a_teacher_that_is_not_there_is_refused_before_the_scoring(root, tmp_path, monkeypatch):
    data, maps = root / "streets", truths(root / "streets")
    given = written(tmp_path / "given", maps)
    monkeypatch.setattr("eventseg.evaluation.scoring.score.score_contender", None)
    with pytest.raises(TrainingError, match="has no label set 'guess'; it has truth"):
        eventseg.score_predictions(given, data, out=tmp_path / "out", teacher="guess")
    assert not (tmp_path / "out").exists()


def test_the_report_has_every_table_and_the_digest_of_every_file(root, tmp_path):
    data, maps = root / "streets", truths(root / "streets")
    given = written(tmp_path / "given", {name: nearly(m) for name, m in maps.items()})
    found = eventseg.score_predictions(given, data, out=tmp_path / "out")
    files = json.loads((tmp_path / "out/files.json").read_text())
    assert set(files) == {f"{kind} of {n}" for kind in ("labels", "prediction") for n in maps}
    scores = json.loads((tmp_path / "out/scores.json").read_text())
    assert scores["about"]["files.json"]
    assert scores["about"]["joined by"] == "names are sample ids"
    assert set(scores["measures"]) >= {"by_class", "boundary", "boundary_f", "protocol_paper"}
    page = found.page.read_text()
    for words in ("Worst and best samples", "Diagnosis", "Protocol paper", "Boundary F"):
        assert words in page
    assert eventseg.evaluation.read_sample_scores(tmp_path / "out")[0].ids == tuple(maps)


def test_a_run_is_scored_where_val_cannot_calibrate_it(no_page, root, tmp_path, monkeypatch):
    def covered(source, _window):
        return np.where(np.array(source.splits) == "val", 0.5, 1.0)

    monkeypatch.setattr(EventSource, "covered", covered)
    asked = {"out": tmp_path / "out", "device": "cpu", **PLAIN}
    found = eventseg.score_predictions(root / "events.pt", root / "streets", **asked)
    section = {one.key: one for one in found.sections}["calibration"]
    assert "; no temperature: none of the " in section.note
    assert "of split val in" in section.note
    assert [line["temperature"] for line in section.lines] == [1.0]


def test_a_part_val_without_scored_pixels_gives_no_temperature(no_page, tmp_path):
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        labels = (
            np.full((16, 16), 255, np.uint8) if split == "val" else rng.integers(0, 2, (16, 16))
        )
        for kind, picture in (("images", rng.integers(0, 255, (16, 16))), ("labels", labels)):
            written(tmp_path / "data" / kind / split, {f"{split}_0": picture.astype(np.uint8)})
    (tmp_path / "data/classes.toml").write_text(
        'classes = [\n    { id = 0, name = "a", colour = [1, 2, 3] },\n'
        '    { id = 1, name = "b", colour = [4, 5, 6] },\n]\n'
    )
    table = eventseg.ClassTable(("a", "b"), ((1, 2, 3), (4, 5, 6)))
    run = random_network(tmp_path / "gray.pt", "gray", table=table)
    asked = {"out": tmp_path / "out", "device": "cpu", **PLAIN}
    found = eventseg.score_predictions(run, tmp_path / "data", **asked)
    section = {one.key: one for one in found.sections}["calibration"]
    assert section.note.endswith("no temperature: no pixel of part val has a class that is scored")


def test_latex_is_whole(no_page, root, tmp_path):
    maps = {name: nearly(m) for name, m in truths(root / "streets").items()}
    given = written(tmp_path / "50%_of&all#", maps)
    found = eventseg.score_predictions(given, root / "streets", out=tmp_path / "out")
    text = (tmp_path / "out/scores.tex").read_text()
    assert text == latex_tables(found.rows, caption="streets, labels truth, split test, clean.")
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 2
    assert r"50\%\_of\&all\#" in text
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    for table in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", body, re.S):
        lines = [line for line in table[1].splitlines() if line.endswith(r"\\")]
        assert len(lines) >= 2
        for line in lines:
            assert len(re.split(r"(?<!\\)&", line)) == len(table[0])
    assert not re.search(r"(?<!\\)[_#$]", body)
    depth = 0
    for sign in re.sub(r"\\[{}]", "", body):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        assert depth >= 0
    assert depth == 0
    compiler = shutil.which("pdflatex")
    if compiler is not None:  # TeX is no package of Python: tested where it is installed
        document = tmp_path / "document.tex"
        document.write_text(
            "\\documentclass{article}\\usepackage{booktabs}\\begin{document}"
            "\\input{out/scores.tex}\\end{document}"
        )
        command = [compiler, "-interaction=nonstopmode", "-halt-on-error", document.name]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
        assert ended.returncode == 0, ended.stdout[-800:]
        assert (tmp_path / "document.pdf").stat().st_size > 1_000


def planted(root: Path, mistake: str) -> tuple[Path, dict[str, np.ndarray]]:
    data = root / ("cropped" if mistake.startswith("rows") else "streets")
    maps = truths(data)
    names = list(maps)
    good = {name: nearly(labels, seed) for seed, (name, labels) in enumerate(maps.items())}
    if mistake == "one-frame-late":
        return data, {n: good[names[max(0, k - 1)]] for k, n in enumerate(names)}
    if mistake == "one-frame-early":
        return data, {n: good[names[min(len(names) - 1, k + 1)]] for k, n in enumerate(names)}
    change = {
        "": lambda labels, _: labels,
        "ids-one-too-high": lambda labels, _: np.minimum(labels + 1, 18).astype(np.uint8),
        "ids-one-too-low": lambda labels, _: labels - np.uint8(1),
        "x-mirrored": lambda labels, _: labels[:, ::-1],
        "turned": lambda labels, _: labels[::-1, ::-1],
        "rows-not-cropped": lambda _, whole: np.asarray(
            Image.fromarray(whole).resize((64, 36), Image.Resampling.NEAREST)
        ),
        "rows-cropped-elsewhere": lambda _, whole: whole[12:],
    }[mistake]
    whole = truths(root / "streets")
    return data, {n: np.ascontiguousarray(change(good[n], whole[n])) for n in names}


@pytest.mark.parametrize(
    "mistake",
    [
        "", "one-frame-late", "one-frame-early", "ids-one-too-high", "ids-one-too-low",
        "x-mirrored", "turned", "rows-not-cropped", "rows-cropped-elsewhere",
    ],
)  # fmt: skip
def test_each_planted_mistake_of_label_maps_is_named(no_page, root, tmp_path, mistake):
    data, maps = planted(root, mistake)
    given = written(tmp_path / "given", maps)
    found = eventseg.score_predictions(
        given, data, out=tmp_path / "out", baselines=False, boundary=()
    )
    assert found.mistakes[:1] == ((mistake,) if mistake else ())
    words = (tmp_path / "out/scores.md").read_text()
    assert ("Diagnosis of given: " in words) == bool(mistake)


@pytest.fixture(scope="module")
def pixelwise(root):
    """A function that knows the test drive by heart, by channels and place of each pixel."""
    source = open_source(root / "streets")
    rows, columns = np.mgrid[: SENSOR.height, : SENSOR.width]

    def features(tensor: np.ndarray) -> np.ndarray:
        return np.stack([*tensor, rows, columns]).reshape(8, -1).T

    chosen = np.flatnonzero(np.array(source.splits) == "test")
    x = [features(source.events(int(i), "50ms", normalise="evsegnet")) for i in chosen]
    y = [source.labels(int(i)).ravel() for i in chosen]
    tree = DecisionTreeClassifier(random_state=0).fit(np.concatenate(x), np.concatenate(y))
    source.close()

    def predict(tensor: np.ndarray) -> np.ndarray:
        return tree.predict(features(tensor)).reshape(SENSOR).astype(np.uint8)

    return predict


def test_functions_are_scored_and_their_inputs_are_doubted(no_page, root, tmp_path, pixelwise):
    data = root / "streets"

    def good(sample):
        assert sample.classes == CITYSCAPES_19.names
        assert len(sample.events()) == len(sample.events("50ms"))
        return pixelwise(sample.tensor())

    def swapped(sample):
        return pixelwise(sample.tensor()[[1, 0, 4, 5, 2, 3]])

    def raw(sample):
        return pixelwise(sample.tensor(normalise="raw"))

    asked = {"window": "50ms", "boundary": ()}
    found = {
        call: eventseg.score_predictions(call, data, out=tmp_path / call.__name__, **asked)
        for call in (good, swapped, raw)
    }
    assert found[good].mistakes == ()
    assert found[swapped].mistakes == ("polarity-swapped",)
    assert found[raw].mistakes == ("normalisation-evsegnet",)
    best = found[good].rows[0].scores.miou_present
    assert best > found[swapped].rows[0].scores.miou_present + 0.05
    late = next(row for row in found[good].rows if row.name == "good, events 50 ms late")
    assert late.scores.miou_present < best


def test_arrays_of_scores_are_calibrated_and_those_that_sum_to_nothing_refused(
    no_page, root, tmp_path
):
    data, maps = root / "streets", truths(root / "streets")
    for name in ("logits", "probabilities", "wrong"):
        (tmp_path / name).mkdir()
    rng = np.random.default_rng(0)
    for name, labels in maps.items():
        logits = rng.normal(size=(19, *labels.shape)).astype(np.float32)
        logits += 3 * (np.arange(19)[:, None, None] == labels)
        shares = np.exp(logits) / np.exp(logits).sum(0)
        np.save(tmp_path / f"logits/{name}.npy", np.moveaxis(logits, 0, -1))
        np.save(tmp_path / f"probabilities/{name}.npy", shares.astype(np.float16))
        np.save(tmp_path / f"wrong/{name}.npy", (shares * 0.7).astype(np.float32))
    rows = {}
    for name in ("logits", "probabilities"):
        found = eventseg.score_predictions(
            tmp_path / name, data, out=tmp_path / f"{name}-out", **{**PLAIN, "boundary": (1,)}
        )
        rows[name] = found.rows[0].matrices
        calibration = {s.key: s for s in found.sections}["calibration"].lines[0]
        assert 0 < calibration["ece"] < 0.6
        assert calibration["accuracy"] == pytest.approx(found.rows[0].scores.pixel_accuracy)
    assert abs(rows["logits"] - rows["probabilities"]).sum() < 0.001 * rows["logits"].sum()
    with pytest.raises(LabelError, match=r"do not sum to 1: the sum of a pixel is 0\.7"):
        eventseg.score_predictions(tmp_path / "wrong", data, out=tmp_path / "w", **PLAIN)
    taken = eventseg.score_predictions(
        tmp_path / "wrong", data, out=tmp_path / "w", values="logits", **PLAIN
    )
    assert np.array_equal(taken.rows[0].matrices.sum(0), rows["logits"].sum(0))
    first = tmp_path / "logits" / f"{next(iter(maps))}.npy"
    first.write_bytes(first.read_bytes()[:-4])
    with pytest.raises(LabelError, match=r"bytes of values, its header says"):
        eventseg.score_predictions(tmp_path / "logits", data, out=tmp_path / "w", **PLAIN)
    np.save(first, np.full((19, *SENSOR), np.nan, np.float32))
    with pytest.raises(LabelError, match="numbers that are not finite"):
        eventseg.score_predictions(tmp_path / "logits", data, out=tmp_path / "w", **PLAIN)


def test_hostile_folders_are_refused_by_name(no_page, root, tmp_path):
    data, maps = root / "streets", truths(root / "streets")
    names = list(maps)
    given = written(tmp_path / "given", maps)

    def score(**asked):
        return eventseg.score_predictions(given, data, out=tmp_path / "out", **{**PLAIN, **asked})

    def put(labels, name=names[0], folder=given):
        Image.fromarray(labels).save(folder / f"{name}.png")

    put(paint_labels(maps[names[0]], CITYSCAPES_19))
    assert score().notes == ["1 label maps of given hold colours of cityscapes19 instead of ids"]
    put(np.stack([maps[names[0]]] * 3, axis=-1))
    assert score().rows[0].scores.pixel_accuracy == 1
    put(np.full((*SENSOR, 3), (17, 18, 17), np.uint8))
    with pytest.raises(
        LabelError, match=r"the colour \(17, 18, 17\) .* of no class.* table cityscapes19"
    ):
        score()
    put(maps[names[0]].astype(np.uint16))
    assert score().rows[0].scores.pixel_accuracy == 1
    put(np.full(SENSOR, 26_000, np.uint16))
    with pytest.raises(LabelError, match=r"16-bit gray and hold 26000"):
        score()
    Image.fromarray(maps[names[0]].astype(np.float32)).save(tmp_path / "float.tiff")
    shutil.copy(tmp_path / "float.tiff", given / f"{names[0]}.png")
    with pytest.raises(LabelError, match="are no PNG"):
        score()
    high = (np.clip(maps[names[0]], 0, 18) + 1).astype(np.uint8)
    high[0, 0] = 19
    put(high)
    with pytest.raises(LabelError, match=r"hold 19.* ids seem to be one too high"):
        score()
    put(truths(root / "streets")[names[0]][:40])
    with pytest.raises(DatasetError, match=f"prediction of {names[0]} is 64x40, its labels"):
        score()
    put(maps[names[0]])
    (given / "more").mkdir()
    put(maps[names[0]], folder=given / "more")
    with pytest.raises(DatasetError, match=f"both predictions of {names[0]}; keep one"):
        score()
    shutil.rmtree(given / "more")
    for name in names[::2]:
        (given / f"{name}.png").unlink()
    with pytest.raises(DatasetError, match=rf"5 of the 9 samples have no prediction .*{names[0]}"):
        score()
    part = score(allow_missing=True)
    assert part.rows[0].ids == tuple(names[1::2])
    assert "Only 4 of the 9 samples" in part.page.with_name("scores.md").read_text()
    shutil.rmtree(given)
    given.mkdir()
    with pytest.raises(DatasetError, match=r"neither predictions\.toml nor \.png or \.npy"):
        score()
    put(maps[names[0]], name="unknown")
    with pytest.raises(DatasetError, match=r"none of the 1 predictions .* are named unknown"):
        score()
    put(maps[names[0]][:, :40])
    cropped = truths(root / "cropped")
    whole = written(tmp_path / "whole", {n: maps[n] for n in cropped})
    with pytest.raises(DatasetError, match="rows are not cropped; keep rows 0 to 35"):
        eventseg.score_predictions(whole, root / "cropped", out=tmp_path / "out", **PLAIN)


def test_samples_that_the_window_leaves_out_are_not_missing(no_page, root, tmp_path):
    data, maps = root / "streets", truths(root / "streets")
    given = written(tmp_path / "given", maps)
    asked = {"out": tmp_path / "out", "window": "150ms", "allow_missing": True, **PLAIN}
    found = eventseg.score_predictions(given, data, **asked)
    assert 0 < len(found.rows[0].ids) < len(maps)
    assert "samples of the part are scored" not in (tmp_path / "out/scores.md").read_text()


def test_functions_that_fail_are_named(no_page, root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(
        "import numpy as np\n"
        "def fails(sample):\n    raise KeyError(sample.id)\n"
        "def black(sample):\n    return np.zeros(sample.size, np.int64)\n"
        "def scores(sample):\n    return np.zeros((3, *sample.size))\n"
        "number = 5\n"
    )
    data = root / "streets"

    def score(spec):
        return eventseg.score_predictions(spec, data, out="out", **PLAIN)

    by_module, by_file = score("python:mine:black"), score("mine.py:black")
    same_scores(by_module.rows[0], by_file.rows[0])
    about = json.loads(Path("out/scores.json").read_text())["about"]
    assert about["file"] == "mine.py"
    assert len(about["sha256"]) == 64
    with pytest.raises(ExtensionError, match=r"mine:fails fails on sample other_f00000\d: KeyErr"):
        score("python:mine:fails")
    with pytest.raises(LabelError, match=r"has the shape \(3, 48, 64\); scores of 19 classes"):
        score("python:mine:scores")
    for spec, words in (
        ("python:mine", "names no function"),
        ("python:nowhere:f", "cannot load nowhere"),
        ("python:mine:other", "has no 'other'"),
        ("python:mine:number", "is int, not a function"),
    ):
        with pytest.raises(ExtensionError, match=words):
            score(spec)
    with pytest.raises(DatasetError, match="no folder of predictions nothing"):
        score("nothing")


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


def test_the_command(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, maps = root / "streets", truths(root / "streets")
    written(tmp_path / "maps", {name: m[:, ::-1] for name, m in maps.items()})

    def call(*arguments):
        return CliRunner().invoke(main, ["score", *map(str, arguments)])

    made = call("maps", data, "--no-baselines", "--workers", "1")
    assert made.exit_code == 0, made.output
    assert "x is mirrored; mirror the predictions left to right" in made.stdout
    assert Path("scores/maps-streets-truth-test/report.html").is_file()
    found = json.loads(call("maps", data, "--no-baselines", "--json").stdout)
    assert found["mistakes"] == ["x-mirrored"]
    for wrong, code, words in (
        (("maps",), 2, "give PREDICTIONS and DATA"),
        (("maps", "nowhere"), 2, "no folder 'nowhere'"),
        (("maps", data, "--boundary", "0"), 2, "must be pixels from 1"),
        (("maps", data, "--split", "tset"), 1, "no labelled samples of split tset"),
        (("a,,b", data), 1, "nothing between two commas"),
    ):
        refused = call(*wrong)
        assert refused.exit_code == code, refused.output
        assert words in refused.output
    with pytest.raises(TrainingError, match="unknown setting 'windows' of a score"):
        eventseg.score_predictions("maps", data, windows="50ms")


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


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of labelled pictures of seven drives, and predictions of six quality levels."""
    root = tmp_path_factory.mktemp("many")
    data, rng = root / "data", np.random.default_rng(0)
    for split in ("train", "test"):
        for kind in ("images", "labels"):
            (data / kind / split).mkdir(parents=True)
    (data / "classes.toml").write_text(
        'classes = [\n    { id = 0, name = "a", colour = [1, 2, 3] },\n'
        '    { id = 1, name = "b", colour = [4, 5, 6] },\n]\n'
    )
    for k in range(16):
        name, labels = f"drive{k % 8}_{k}.png", (rng.random((12, 16)) < 0.4).astype(np.uint8)
        split = "train" if k % 8 == 7 else "test"
        Image.fromarray(labels).save(data / "labels" / split / name)
        Image.fromarray(labels * 80).save(data / "images" / split / name)
        for level in range(6 if split == "test" else 0):
            wrong = rng.random(labels.shape) < 0.05 + 0.04 * level
            (root / f"p{level}").mkdir(exist_ok=True)
            Image.fromarray(labels ^ wrong.astype(np.uint8)).save(root / f"p{level}" / name)
    return root, data


def test_two_are_compared_and_seeds_have_a_spread(no_page, many, tmp_path, monkeypatch):
    root, data = many
    monkeypatch.chdir(root)
    asked = {"out": tmp_path / "out", **PLAIN}
    found = eventseg.score_predictions(["p0,p1", "p4,p5"], data, **asked)
    assert [row.name for row in found.rows] == ["p0", "p1", "p4", "p5"]
    sections = {one.key: one for one in found.sections}
    versus = sections["versus"]
    assert versus.note.startswith("p0, p1 is better than p4, p5 by ")
    assert versus.lines[0]["first_better"] > 0.95
    assert versus.lines[0]["interval_low"] > 0
    assert versus.facts["test"]["seeds"] == [2, 2]
    rows = found.rows
    pair = eventseg.evaluation.paired_test(rows[:2], rows[2:])
    assert versus.lines[0]["difference"] == pytest.approx(pair.miou.difference)
    seeds = sections["seeds"].lines
    assert [one["seeds"] for one in seeds] == [2, 2]
    values = [row.scores.miou_truth for row in rows[:2]]
    assert seeds[0]["miou_truth"] == pytest.approx(np.mean(values))
    assert seeds[0]["deviation"] == pytest.approx(np.std(values, ddof=1))
    assert seeds[0]["interval_low"] < seeds[0]["miou_truth"] < seeds[0]["interval_high"]
    swapped = eventseg.score_predictions([["p4"], "p0"], data, **asked)
    words = {one.key: one for one in swapped.sections}["versus"].note
    assert words.startswith("p0 is better than p4 by ")
    same = eventseg.score_predictions(["p0", root / "p0"], data, **asked)
    assert [row.name for row in same.rows] == ["p0 (1)", "p0 (2)"]
    equal = {one.key: one for one in same.sections}["versus"]
    assert "have equal scores" in equal.note
    assert equal.lines[0]["first_better"] == pytest.approx(0.5)


def test_files_and_missing_samples_of_each_of_two_are_said(no_page, many, tmp_path):
    root, data = many
    shutil.copytree(root / "p4", tmp_path / "half")
    gone = sorted((tmp_path / "half").iterdir())[::2]
    for path in gone:
        path.unlink()
    asked = {"out": tmp_path / "out", "allow_missing": True, **PLAIN}
    rows = eventseg.score_predictions([root / "p0", tmp_path / "half"], data, **asked).rows
    assert (len(rows[0].ids), len(rows[1].ids)) == (14, 7)
    files = json.loads((tmp_path / "out/files.json").read_text())
    assert len(files) == 14 + 14 + 7
    for row, folder in zip(rows, (root / "p0", tmp_path / "half"), strict=True):
        for name in row.ids:
            content = (folder / f"{name}.png").read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            assert files[f"{row.name}: prediction of {name}"] == digest
    page = (tmp_path / "out/scores.md").read_text()
    assert "Only 7 of the 14 samples of the part are scored of half: such a score" in page
    assert page.count("samples of the part are scored") == 1


def test_scores_equal_those_of_the_scripts_of_cityscapes(many):
    scripts = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    root, data = many
    rows = eventseg.score_predictions(root / "p3", data, out=root / "out", **PLAIN).rows
    matrix = rows[0].matrices.sum(0)
    scripts.args.evalLabels = [7, 8]  # ids of road and sidewalk
    whole = np.zeros((9, 9), np.ulonglong)
    whole[np.ix_([7, 8], [7, 8])] = matrix
    for k, label in enumerate((7, 8)):
        theirs = scripts.getIouScoreForLabel(label, whole, scripts.args)
        assert rows[0].scores.iou[k] == pytest.approx(theirs)
