"""Audit of labels: numbers of scikit-learn, confidence that means something, what is refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from pseudolabel_teachers import SIX, StubTeacher, by_gray
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score

from eventseg.dataset.layout import confidence_file, label_file
from eventseg.dataset.opening import open_dataset
from eventseg.dataset.writer import encode_dataset
from eventseg.errors import DatasetError, EventsegError, LabelError
from eventseg.evaluation.audit import report
from eventseg.evaluation.audit.audit import audit
from eventseg.evaluation.audit.pair import open_pair
from eventseg.evaluation.baselines import teacher_row
from eventseg.evaluation.evaluate import Protocol
from eventseg.events import SensorSize
from eventseg.images import write_image
from eventseg.labels.files import write_labels
from eventseg.labels.maps import (
    CITYSCAPES_19,
    EVSEGNET_6_OF_CITYSCAPES_19,
    load_class_table,
    merge_labels,
    merge_of,
    merge_probabilities,
)
from eventseg.metrics.scores import RULE_PRESENT
from eventseg.pseudolabel import load_teacher
from eventseg.pseudolabel.label_set import label_dataset
from eventseg.simulate.street import simulate_street
from eventseg.sources.source import open_source
from eventseg.windows import parse_anchor
from eventseg_cli.main import main

SENSOR = SensorSize(24, 32)
CAMVID = load_class_table("camvid11")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a simulated street whose label set is right as often as it says.

    At each pixel the label has a confidence from 0.3 to 1; with that chance it is the truth, and
    otherwise the next class. Below 0.5 it is ignored.
    """
    folder = tmp_path_factory.mktemp("street")
    made = simulate_street(
        folder / "drive.hdf5", duration_us=300_000, seed=7, sensor=SENSOR, threads=1
    )
    data = folder / "data"
    encode_dataset([made.recording], data, store="none")
    label_dataset(data, [StubTeacher(by_gray)], name="gray", classes=CITYSCAPES_19)
    label_dataset(data, [StubTeacher(by_gray)], name="honest", classes=SIX)
    rng = np.random.default_rng(0)
    with open_dataset(data) as dataset:
        for i, name in enumerate(dataset.ids):
            truth = merge_labels(dataset.labels(i), EVSEGNET_6_OF_CITYSCAPES_19)
            sure = rng.uniform(0.3, 1, truth.shape)
            wrong = (truth != 255) & (rng.random(truth.shape) > sure)
            labels = np.where(wrong, (truth + 1) % 6, truth)
            labels[(sure < 0.5) | (truth == 255)] = 255
            write_labels(label_file(data, labels="honest", sample_id=name), labels, SIX)
            write_image(
                confidence_file(data, labels="honest", sample_id=name),
                np.rint(255 * sure).astype(np.uint8),
            )
    return data


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Make folders of three made-up maps of six classes, of the truth in CamVid's eleven."""
    rng = np.random.default_rng(1)
    for name in ("a", "b", "c"):
        truth = rng.integers(0, 12, (9, 13)).astype(np.uint8)
        six = merge_labels(np.where(truth == 11, 255, truth).astype(np.uint8),
                           merge_of(CAMVID, SIX))  # fmt: skip
        labels = np.where(rng.random(truth.shape) < 0.6, six, rng.integers(0, 6, truth.shape))
        labels[rng.random(truth.shape) < 0.2] = 255
        for folder in ("truth", "six", "labels", "sure"):
            (tmp_path / folder).mkdir(exist_ok=True)
        Image.fromarray(truth).save(tmp_path / "truth" / f"{name}.png")
        write_labels(tmp_path / "six" / f"{name}.png", six, SIX)
        write_labels(tmp_path / "labels" / f"{name}.png", labels.astype(np.uint8), SIX)
        write_image(
            tmp_path / "sure" / f"{name}.png", rng.integers(0, 256, (9, 13)).astype(np.uint8)
        )
    return tmp_path


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["audit", *map(str, words)])


def stacked(folder: Path) -> np.ndarray:
    return np.concatenate([np.array(Image.open(path)) for path in sorted(folder.glob("*.png"))])


def assert_as_scikit_learn(found, truth: np.ndarray, labels: np.ndarray, classes: int) -> None:
    """Compare scores of pixels that have a truth and a label, and the shares of those without."""
    known, covered = truth != 255, (truth != 255) & (labels != 255)
    t, y, ids = truth[covered], labels[covered], list(range(classes))
    np.testing.assert_array_equal(found.row.matrices.sum(0), confusion_matrix(t, y, labels=ids))
    scores = found.row.scores
    assert scores.pixel_accuracy == pytest.approx(accuracy_score(t, y))
    present = sorted({*t.tolist(), *y.tolist()})
    expected = jaccard_score(t, y, labels=present, average=None)
    np.testing.assert_allclose(np.array(scores.iou)[present], expected)
    assert scores.miou_present == pytest.approx(expected.mean())
    assert found.ignored_share == pytest.approx(1 - covered.sum() / known.sum())
    for k in ids:
        of = truth == k
        if of.any():
            assert found.ignored_shares[k] == pytest.approx((labels[of] == 255).mean())


def test_folders_equal_scikit_learn(folders: Path) -> None:
    pair = open_pair(
        folders / "labels", other=str(folders / "truth"), classes=SIX, other_classes=CAMVID,
        confidence=folders / "sure",
    )  # fmt: skip
    found = audit(pair)
    truth, labels = stacked(folders / "six"), stacked(folders / "labels")
    assert_as_scikit_learn(found, truth, labels, 6)
    sure = stacked(folders / "sure") / 255
    covered = (truth != 255) & (labels != 255)
    for row in found.thresholds():
        kept = covered & (sure >= row.threshold)
        assert row.coverage == pytest.approx(kept.sum() / (truth != 255).sum())
        assert row.accuracy == pytest.approx((truth == labels)[kept].mean(), nan_ok=True)
    coverage, risk = found.risk_coverage()
    assert coverage[-1] == pytest.approx(1 - found.ignored_share)
    assert risk[-1] == pytest.approx(1 - found.row.scores.pixel_accuracy)


def test_street_equals_scikit_learn_and_evaluation(made: Path) -> None:
    found = audit(open_pair(made, labels="honest", other="truth"))
    assert found.row.classes == SIX
    with open_dataset(made) as dataset:
        indices = range(len(dataset))
        truth = np.stack([dataset.labels(i) for i in indices])
        labels = np.stack([dataset.labels(i, "honest") for i in indices])
        rows = slice(*dataset.manifest.settings.rows)
    six = merge_labels(truth, EVSEGNET_6_OF_CITYSCAPES_19)
    assert_as_scikit_learn(found, six[:, rows], labels[:, rows], 6)
    part = sorted(set(open_source(made).splits))[0]
    one = audit(open_pair(made, labels="honest", other="truth", split=part))
    row = teacher_row(
        open_source(made), open_source(made, label_set="honest"),
        protocol=Protocol(split=part), classes=SIX, window=None,
    )  # fmt: skip
    np.testing.assert_array_equal(one.row.matrices, row.matrices)
    # Its interval too is that of the evaluation, of blocks of time.
    assert one.row.blocks.unit.startswith("blocks of 1 s")
    assert str(one.row.blocks) == str(row.blocks)
    assert one.row.to_dict()["interval_95"] == row.to_dict()["interval_95"]


def test_accuracy_rises_with_confidence_that_is_honest(made: Path) -> None:
    found = audit(open_pair(made, labels="honest", other="truth"))
    rows = [row for row in found.thresholds() if row.threshold >= 0.5]
    accuracy = [row.accuracy for row in rows]
    coverage = [row.coverage for row in rows]
    assert accuracy == sorted(accuracy)
    assert accuracy[-1] > accuracy[0] + 0.1
    assert coverage == sorted(coverage, reverse=True)
    # Pixels of confidence 0.3 to 0.5 of 0.3 to 1 are ignored, and nothing is covered below.
    assert found.ignored_share == pytest.approx(2 / 7, abs=0.03)
    assert coverage[0] == pytest.approx(found.thresholds()[0].coverage, abs=0.01)
    around = found.around_asked()
    assert around is not None
    assert around.accuracy == pytest.approx(0.9, abs=0.05)
    assert found.reliability is not None
    assert found.reliability.calibration_error() < 0.05


def test_overconfidence_is_told(made: Path, tmp_path: Path) -> None:
    data = shutil.copytree(made, tmp_path / "data")
    for path in (data / "confidence" / "honest").iterdir():
        write_image(path, np.full(SENSOR, 230, np.uint8))
    found = audit(open_pair(data, labels="honest", other="truth"))
    assert found.reliability is not None
    right = found.row.scores.pixel_accuracy
    assert found.reliability.calibration_error() == pytest.approx(230 / 255 - right)


def test_worst_frames_come_first(folders: Path) -> None:
    shutil.copy(folders / "six/b.png", folders / "labels/b.png")
    found = audit(open_pair(folders / "labels", other=str(folders / "six"), classes=SIX))
    accuracy = found.row.sample_accuracy
    assert found.worst(2) == sorted((0, 2), key=lambda i: accuracy[i])
    assert found.worst(9)[-1] == 1


def test_truth_of_some_frames_only(made: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "drawn"
    drawn.mkdir()
    names = sorted(path.name for path in (made / "labels/truth").iterdir())[1:4]
    for name in names:
        shutil.copy(made / "labels/truth" / name, drawn)
    found = audit(open_pair(made, labels="honest", other=str(drawn), other_classes=CITYSCAPES_19))
    assert [f"{name}.png" for name in found.row.ids] == names
    assert found.left_out == 9 - len(names)
    (drawn / "stranger.png").write_bytes((drawn / names[0]).read_bytes())
    with pytest.raises(LabelError, match=r"files of no sample of .*: stranger"):
        open_pair(made, labels="honest", other=str(drawn), other_classes=CITYSCAPES_19)


def test_frames_of_several_samples_count_once(made: Path, tmp_path: Path) -> None:
    (summary,) = encode_dataset(
        [made.parent / "drive.hdf5"],
        tmp_path / "dense",
        anchor=parse_anchor("stride:10ms"),
        store="none",
    ).datasets
    frames = {frame for frame in summary.samples.frame if frame >= 0}
    label_dataset(tmp_path / "dense", [StubTeacher(by_gray)], name="gray", classes=SIX)
    found = audit(open_pair(tmp_path / "dense", labels="gray", other="truth"))
    assert len(found.row.ids) == len(frames) < len(summary.samples.ids)


def test_command_writes_a_page_that_needs_nothing_and_exact_json(
    made: Path, tmp_path: Path
) -> None:
    result = run(made, "--labels", "honest", "--truth", "truth", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    held = json.loads((tmp_path / "out/audit.json").read_text())
    found = audit(open_pair(made, labels="honest", other="truth"))
    assert held == found.to_dict()
    assert held["confusion"] == found.row.matrices.sum(0).tolist()
    page = (tmp_path / "out/audit.html").read_text()
    assert "<script" not in page
    # The letters of a picture may spell anything.
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]*", "", page)
    assert page.count("data:image/png") == 4
    assert "Does 0.9 mean 90 %?" in page
    assert "Where it says about 90 %" in result.stdout
    assert result.stdout.splitlines()[-1].endswith("audit.html")


def test_two_teachers_agree_and_neither_is_the_truth(made: Path, tmp_path: Path) -> None:
    result = run(made, "--labels", "honest", "--against", "gray", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    page = (tmp_path / "out/audit.html").read_text()
    for words in (result.stdout, page):
        assert "agreement" in words.lower()
        assert "truth" not in words.replace(RULE_PRESENT, "")
        assert "accuracy" not in words
    held = json.loads((tmp_path / "out/audit.json").read_text())
    back = audit(open_pair(made, labels="gray", other="honest"), against="teacher")
    assert held["against"] == "teacher"
    assert np.array(held["confusion"]).T.tolist() == back.row.matrices.sum(0).tolist()


def test_each_question_of_an_audit_has_a_folder_of_its_own(
    made: Path, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folders)
    with open_dataset(made) as dataset:
        part = dataset.samples.split[0]
    written: list[Path] = []

    def write(folder: Path, *_: object) -> Path:
        written.append(folder)
        folder.mkdir()  # a second one of this name would fail
        return folder / "audit.html"

    monkeypatch.setattr(report, "write_audit", write)
    labels, sets = folders / "labels", ("--labels", "honest", "--truth", "truth")
    for words in (
        (made, *sets),
        (made, *sets, "--split", part),
        (made, "--labels", "gray", "--truth", "truth"),
        (made, "--labels", "gray", "--truth", "truth", "--classes", "evsegnet6"),
        (made, "--labels", "gray", "--against", "truth"),
        (labels, "--truth", "six", "--classes", "evsegnet6"),
        (labels, "--truth", "six", "--classes", "evsegnet6", "--confidence", "sure"),
    ):
        result = run(*words)
        assert result.exit_code == 0, result.output
    assert [folder.name for folder in written] == [
        "audit-data-honest-truth",
        f"audit-data-honest-truth-{part}",
        "audit-data-gray-truth",
        "audit-data-gray-truth-evsegnet6",
        "audit-data-gray-truth-against",
        "audit-labels-six-evsegnet6",
        "audit-labels-six-evsegnet6-confidence-sure",
    ]


def test_labels_without_confidence_are_audited_without_calibration(folders: Path) -> None:
    result = run(folders / "labels", "--truth", folders / "six", "--classes", "evsegnet6",
                 "--out", folders / "out")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "no confidence, so there is no calibration" in result.stdout
    held = json.loads((folders / "out/audit.json").read_text())
    assert held["confidence"] is None
    assert held["thresholds"] == []


def test_labels_that_are_all_ignored_have_no_scores(folders: Path) -> None:
    for path in (folders / "labels").iterdir():
        write_labels(path, np.full((9, 13), 255, np.uint8), SIX)
    result = run(folders / "labels", "--truth", folders / "six", "--classes", "evsegnet6",
                 "--confidence", folders / "sure", "--out", folders / "out")  # fmt: skip
    assert result.exit_code == 0, result.output
    held = json.loads((folders / "out/audit.json").read_text())
    assert held["ignored_share"] == 1
    assert held["scores"]["pixel_accuracy"] is None


def test_confidence_of_finer_labels_is_marked(made: Path) -> None:
    fine = audit(open_pair(made, labels="gray", other="truth"))
    assert fine.row.classes == CITYSCAPES_19
    assert not fine.merged_after
    assert audit(open_pair(made, labels="gray", other="truth", classes=SIX)).merged_after
    assert audit(open_pair(made, labels="gray", other="honest")).row.classes == SIX
    ten = load_class_table("cityscapes10")
    with pytest.raises(LabelError, match="has no merge of evsegnet6"):
        audit(open_pair(made, labels="honest", other="truth", classes=ten))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"labels": "nobody", "other": "truth"}, "no label set 'nobody'; it has truth, gray"),
        ({"other": "truth"}, "name the label set to audit; it has truth, gray"),
        ({"labels": "honest", "other": "nobody"}, "no label set 'nobody', nor is there such"),
        ({"labels": "honest", "other": "truth", "confidence": Path("x")}, "leave out those given"),
        ({"labels": "honest", "other": "truth", "other_classes": SIX}, "classes of its own"),
        ({"labels": "honest", "other": "truth", "split": "dusk"}, "in common in split dusk"),
    ],
)
def test_what_a_data_set_lacks_is_refused(made: Path, options: dict, words: str) -> None:
    with pytest.raises(EventsegError, match=words):
        open_pair(made, **options)


def test_what_folders_lack_is_refused(folders: Path, tmp_path: Path) -> None:
    labels, six = folders / "labels", str(folders / "six")
    with pytest.raises(LabelError, match="do not tell their classes"):
        open_pair(labels, other=six)
    with pytest.raises(LabelError, match="neither sets nor splits"):
        open_pair(labels, other=six, classes=SIX, labels="honest")
    with pytest.raises(DatasetError, match="no folder"):
        open_pair(labels, other=six + "7", classes=SIX)
    with pytest.raises(LabelError, match="do not merge into each other"):
        open_pair(labels, other=six, labels_classes=CAMVID, other_classes=CITYSCAPES_19)
    (folders / "sure/c.png").unlink()
    with pytest.raises(LabelError, match=r"only one has .*labels/c.png"):
        open_pair(labels, other=six, classes=SIX, confidence=folders / "sure")
    (folders / "six/a.png").rename(folders / "six/z.png")
    with pytest.raises(LabelError, match=r"only one has .*labels/a.png, .*six/z.png$"):
        open_pair(labels, other=six, classes=SIX)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DatasetError, match="neither a data set nor a folder of label PNGs"):
        open_pair(empty, other=str(empty), classes=SIX)


def test_maps_that_do_not_fit_are_refused_by_name(folders: Path) -> None:
    labels, six = folders / "labels", str(folders / "six")
    write_image(folders / "sure/b.png", np.zeros((9, 12), np.uint8))
    with pytest.raises(LabelError, match=r"labels, b: confidence is uint8 \(9, 12\)"):
        audit(open_pair(labels, other=six, classes=SIX, confidence=folders / "sure"))
    write_labels(labels / "b.png", np.zeros((9, 12), np.uint8), SIX)
    with pytest.raises(LabelError, match="b is 12x9 in labels and 13x9 in six"):
        audit(open_pair(labels, other=six, classes=SIX))
    write_image(labels / "b.png", np.full((9, 13), 6, np.uint8))
    with pytest.raises(LabelError, match=r"b\.png hold 6; class table evsegnet6 has 0 flat"):
        audit(open_pair(labels, other=six, classes=SIX))


def test_command_needs_one_of_truth_and_another_teacher(folders: Path) -> None:
    for more in ([], ["--truth", "a", "--against", "b"]):
        result = run(folders / "labels", *more)
        assert result.exit_code == 2
        assert "give either --truth or --against" in result.stderr
    result = run(folders / "labels", "--truth", folders / "six")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute on one thread: images this small gain nothing from more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_published_cgnet_on_camvid_gives_its_figures(shared_data: Path, tmp_path: Path) -> None:
    """The network's own code gives 65.34 mIoU and 90.28 % on these files."""
    weights = shared_data / "weights" / "cgnet_m3n21_camvid_trainval.pth"
    teacher = load_teacher(f"cgnet:{weights}", device=torch.device("cpu"), class_table=CAMVID)
    for path in sorted((shared_data / "camvid" / "test").iterdir()):
        image = Image.open(path).convert("RGB")
        for name, picture, table in (
            ("rgb", image, CAMVID), ("gray", image.convert("L").convert("RGB"), SIX),
        ):  # fmt: skip
            x = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float()
            with torch.inference_mode():
                p = teacher.probabilities(x)[0].numpy()
            p = merge_probabilities(p, merge_of(CAMVID, table), classes=len(table))
            (tmp_path / name).mkdir(exist_ok=True)
            labels = p.argmax(0).astype(np.uint8)
            write_labels(tmp_path / name / f"{path.stem}.png", labels, table)
    truth = str(shared_data / "camvid" / "testannot")
    rgb = audit(open_pair(tmp_path / "rgb", other=truth, classes=CAMVID)).row.scores
    assert 100 * rgb.miou_present == pytest.approx(65.34, abs=0.3)
    assert 100 * rgb.pixel_accuracy == pytest.approx(90.28, abs=0.3)
    gray = open_pair(tmp_path / "gray", other=truth, classes=SIX, other_classes=CAMVID)
    scores = audit(gray).row.scores
    assert 100 * scores.miou_present == pytest.approx(58.23, abs=0.3)
    assert 100 * scores.pixel_accuracy == pytest.approx(87.84, abs=0.3)
