"""Votes of teachers: test time equals a loop, merges and agreements by hand-made numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from pseudolabel_teachers import CITYSCAPES, SIX, StubTeacher, by_gray, constant

from eventseg.errors import LabelError
from eventseg.labels.maps import (
    ClassTable,
    load_class_table,
    merge_labels,
    merge_of,
    merge_probabilities,
)
from eventseg.pseudolabel.test_time import TestTimeAugmentation, passes, to_pictures
from eventseg.pseudolabel.voting import TeacherVote, predict_labels

ONCE = TestTimeAugmentation((1.0,), flip=False)
MERGE = merge_of(CITYSCAPES, SIX)
FRAME = np.zeros((1, 4, 6), np.uint8)


def resized(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize one plane with Pillow, whose bilinear filter also averages where it shrinks."""
    image = Image.fromarray(plane.astype(np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def naive(frame: np.ndarray, scales: tuple[float, ...], *, multiple: int) -> np.ndarray:
    """Average probabilities over scales and flips, one plane at a time."""
    height, width = frame.shape
    total = np.zeros((19, height, width))
    for scale in scales:
        for flip in (False, True):
            rows = multiple * round(height * scale / multiple)
            columns = multiple * round(width * scale / multiple)
            shown = resized(frame, rows, columns)
            shown = shown[:, ::-1].copy() if flip else shown
            picture = torch.from_numpy(np.stack([shown] * 3)[None])
            made = by_gray(picture)[0].numpy()
            made = made[:, :, ::-1] if flip else made
            for c in range(19):
                total[c] += resized(made[c], height, width)
    return total / (2 * len(scales))


@pytest.mark.parametrize("multiple", [1, 8])
def test_test_time_equals_a_naive_loop(multiple: int) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 20, 28), np.uint8)
    teacher = StubTeacher(by_gray, multiple=multiple)
    test_time = TestTimeAugmentation((0.75, 1.0, 2.0))
    assert test_time.passes == 6
    made = list(passes(teacher, to_pictures(frames, device=teacher.device), test_time=test_time))
    mean = (sum(made) / test_time.passes).numpy()
    for i in range(3):
        expected = naive(frames[i], test_time.scales, multiple=multiple)
        np.testing.assert_allclose(mean[i], expected, atol=2e-5)
    assert all(h % multiple == w % multiple == 0 for _, _, h, w in teacher.sizes)
    np.testing.assert_allclose(mean.sum(1), 1.0, atol=1e-5)


def test_default_scales_show_a_davis_frame_as_the_facts_say() -> None:
    teacher = StubTeacher(constant([1.0] + [0.0] * 18), multiple=32)
    predict_labels(
        [TeacherVote(teacher, MERGE)],
        np.zeros((1, 260, 346), np.uint8),
        classes=6,
        test_time=TestTimeAugmentation(flip=False),
    )
    probe, *shown = teacher.sizes
    assert probe == (1, 3, 128, 256)
    assert shown == [(1, 3, 512, 704), (1, 3, 768, 1024), (1, 3, 1024, 1376)]


def test_merging_probabilities_and_labels_differ_where_vehicles_share_the_mass() -> None:
    # Sky is the likeliest class, but car, truck and bus together are likelier.
    values = dict.fromkeys(range(19), 0.0) | {10: 0.35, 13: 0.25, 14: 0.2, 15: 0.2}
    teacher = StubTeacher(constant(list(values.values())))
    soft, hard = (
        predict_labels([TeacherVote(teacher, MERGE)], FRAME, classes=6, test_time=ONCE, merge=merge)
        for merge in ("probabilities", "labels")
    )
    assert (soft.labels == SIX.names.index("vehicle")).all()
    assert (soft.confidence == round(255 * 0.65)).all()
    assert (hard.labels == SIX.names.index("background")).all()
    assert (hard.confidence == round(255 * 0.35)).all()


def test_labels_equal_those_of_the_public_merges() -> None:
    frames = np.random.default_rng(1).integers(0, 256, (2, 16, 16), np.uint8)
    teacher = StubTeacher(by_gray)
    probabilities = by_gray(to_pictures(frames, device=torch.device("cpu"))).numpy()
    teacher_votes = [TeacherVote(teacher, MERGE)]
    soft = predict_labels(teacher_votes, frames, classes=6, test_time=ONCE)
    merged = np.stack([merge_probabilities(p, MERGE, classes=6) for p in probabilities])
    np.testing.assert_array_equal(soft.labels, merged.argmax(1))
    np.testing.assert_allclose(soft.confidence, 255 * merged.max(1), atol=0.51)
    hard = predict_labels(teacher_votes, frames, classes=6, test_time=ONCE, merge="labels")
    expected = merge_labels(probabilities.argmax(1).astype(np.uint8).reshape(-1, 16), MERGE)
    np.testing.assert_array_equal(hard.labels, expected.reshape(hard.labels.shape))


def test_mass_of_no_class_wins_as_ignored() -> None:
    three = ClassTable(("a", "b", "void"), ((1, 1, 1),) * 3)
    teacher_vote = TeacherVote(StubTeacher(constant([0.3, 0.2, 0.5]), classes=three), (0, 1, 255))
    made = predict_labels([teacher_vote], FRAME, classes=2, test_time=ONCE)
    assert (made.labels == 255).all()
    assert (made.confidence == 0).all()
    teacher_vote = TeacherVote(StubTeacher(constant([0.6, 0.2, 0.2]), classes=three), (0, 1, 255))
    made = predict_labels([teacher_vote], FRAME, classes=2, test_time=ONCE)
    assert (made.labels == 0).all()
    assert (made.confidence == 153).all()


def test_passes_must_agree() -> None:
    two = ClassTable(("left", "right"), ((1, 1, 1), (2, 2, 2)))

    def by_side(pictures: torch.Tensor) -> torch.Tensor:
        """Call the left half of the picture left, a little less surely than the right right."""
        left = torch.zeros_like(pictures[:, :1])
        left[..., : pictures.shape[3] // 2] = 1.0
        return torch.cat([0.2 + 0.5 * left, 0.8 - 0.5 * left], dim=1)

    # Unflipped: 0.7 left | 0.8 right. Flipped and turned back: 0.8 right | 0.7 left.
    # Mean: left 0.45, right 0.55 everywhere: one pass of two agrees with the label.
    teacher_votes = [TeacherVote(StubTeacher(by_side, classes=two), (0, 1))]
    kept = {
        share: predict_labels(
            teacher_votes, FRAME, classes=2, test_time=TestTimeAugmentation((1.0,)), agreement=share
        )
        for share in (0.0, 0.5, 0.51, 1.0)
    }
    assert (kept[0.0].labels == 1).all()
    assert (kept[0.5].labels == 1).all()
    assert (kept[0.51].labels == 255).all()
    assert (kept[1.0].labels == 255).all()
    assert all((made.confidence == round(255 * 0.55)).all() for made in kept.values())


def test_teachers_must_agree() -> None:
    def teacher(*values: float) -> TeacherVote:
        two = ClassTable(("a", "b"), ((1, 1, 1), (2, 2, 2)))
        return TeacherVote(StubTeacher(constant(list(values)), classes=two), (0, 1))

    same = predict_labels([teacher(0.9, 0.1), teacher(0.6, 0.4)], FRAME, classes=2, test_time=ONCE)
    assert (same.labels == 0).all()
    assert (same.confidence == round(255 * 0.75)).all()
    other = predict_labels([teacher(0.9, 0.1), teacher(0.4, 0.6)], FRAME, classes=2, test_time=ONCE)
    assert (other.labels == 255).all()
    assert (other.confidence == round(255 * 0.65)).all()


def test_teachers_of_different_classes_meet_in_the_target() -> None:
    camvid = load_class_table("camvid11")
    camvid_car = [0.0] * 11
    camvid_car[camvid.names.index("car")] = 1.0
    truck = [0.0] * 19
    truck[14] = 1.0
    teacher_votes = [
        TeacherVote(StubTeacher(constant(truck)), MERGE),
        TeacherVote(StubTeacher(constant(camvid_car), classes=camvid), merge_of(camvid, SIX)),
    ]
    assert (predict_labels(teacher_votes, FRAME, classes=6, test_time=ONCE).labels == 5).all()


@pytest.mark.parametrize("scales", [(), (0.0,), (1.0, 17.0), (float("nan"),)])
def test_impossible_scales_are_refused(scales: tuple[float, ...]) -> None:
    with pytest.raises(LabelError, match=r"factors from 0\.1 to 16"):
        TestTimeAugmentation(scales)
