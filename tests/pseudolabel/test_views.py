"""Choice of views: by frame, training frames and device; tiles against whole pictures."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pseudolabel_teachers import CITYSCAPES, SIX, StubTeacher, by_gray
from torch import Tensor
from torch.nn import functional

from eventseg.errors import LabelError
from eventseg.events import SensorSize
from eventseg.labels.maps import merge_of
from eventseg.networks import Blueprint, InputSpec, TrainedNetwork, save_network
from eventseg.prediction.predictor import probabilities
from eventseg.pseudolabel import views
from eventseg.pseudolabel.loading import load_teacher
from eventseg.pseudolabel.test_time import TestTimeAugmentation, passes
from eventseg.pseudolabel.tiles import tile_size, tile_starts, tiled_probabilities
from eventseg.pseudolabel.views import plan_views, scales_for
from eventseg.pseudolabel.voting import TeacherVote, predict_labels

DAVIS = SensorSize(260, 346)
CHOICE = TestTimeAugmentation()


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], StubTeacher]:
    """Return a function that gives a teacher of so many operations for each pixel."""

    def costly(operations: float) -> StubTeacher:
        monkeypatch.setattr(views, "operations_per_pixel", lambda _: operations)
        return StubTeacher(by_gray)

    return costly


def test_operations_are_counted_by_pixel() -> None:
    weight = torch.ones(19, 3, 1, 1)
    teacher = StubTeacher(lambda pictures: functional.conv2d(pictures, weight).softmax(1))
    assert views.operations_per_pixel(teacher) == 2 * 3 * 19


@pytest.mark.parametrize(
    ("frame", "trained", "scales"),
    [
        (DAVIS, (1024, 2048), (2.0, 3.0, 4.0)),
        (SensorSize(480, 640), (1024, 2048), (1.25, 1.875, 2.5)),
        (SensorSize(720, 1280), (1024, 2048), (0.75, 1.125, 1.5)),
        (SensorSize(2160, 3840), (1024, 2048), (0.25, 0.375, 0.5)),
        (SensorSize(180, 240), (1024, 2048), (2.0, 3.0, 4.0)),
        (SensorSize(360, 480), (360, 480), (0.5, 0.75, 1.0)),
    ],
)
def test_scales_follow_from_frame_and_training_frames(frame, trained, scales):
    assert scales_for(frame, trained) == scales
    assert frame.height * frame.width * scales[-1] ** 2 <= math.prod(trained)


def test_every_view_of_a_modern_camera_is_bounded_by_the_training_frames():
    rows, columns = tile_size(StubTeacher(by_gray, multiple=32), (2880, 5120), most=None)
    assert (rows, columns) == (1024, 2048)

    class Small(StubTeacher):
        training_frame = (64, 128)

    teacher = Small(by_gray, multiple=32)
    for scales in ((4.0,), (1.0, 2.0)):
        pictures = torch.zeros(1, 3, 72, 128)
        views_of = TestTimeAugmentation(scales, flip=True)
        for view in passes(teacher, pictures, test_time=views_of):
            assert view.shape == (1, 19, 72, 128)
    assert all(h * w <= 64 * 128 for _, _, h, w in teacher.sizes)
    assert all(h % 32 == w % 32 == 0 for _, _, h, w in teacher.sizes)


@given(st.integers(1, 300), st.integers(1, 300))
def test_tiles_cover_evenly_and_overlap(length, side):
    side = min(side, length)
    starts = tile_starts(length, side)
    covered = np.zeros(length, int)
    for start in starts:
        covered[start : start + side] += 1
    assert (covered > 0).all()
    assert starts[0] == 0
    assert starts[-1] + side == length
    distances = np.diff(starts)
    assert len(distances) == 0 or distances.max() - distances.min() <= 1
    assert len(distances) == 0 or distances.max() <= max(1, math.ceil(0.75 * side))


@pytest.mark.parametrize("size", [(64, 96), (96, 64), (40, 200), (31, 47)])
@pytest.mark.parametrize("most", [None, 400, 1_000, 10_000])
def test_tiles_give_what_a_teacher_of_single_pixels_gives_whole(size, most):
    def by_value(pictures: Tensor) -> Tensor:
        return torch.cat([pictures[:, :1], 255 - pictures[:, :1]], 1) / 255

    two = replace(CITYSCAPES, names=CITYSCAPES.names[:2], colours=CITYSCAPES.colours[:2])
    teacher = StubTeacher(by_value, classes=two)
    pictures = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1)) * 255
    made = tiled_probabilities(teacher, pictures, most=most)
    torch.testing.assert_close(made, by_value(pictures), atol=1e-6, rtol=0)
    rows, columns = tile_size(teacher, size, most=most)
    assert rows * columns <= max(most or size[0] * size[1], 1)


@pytest.mark.parametrize(
    ("operations", "scales", "flip"),
    [
        (1_000, (2.0, 3.0, 4.0), True),
        (16_000, (2.0, 3.0, 4.0), False),
        (20_000, (3.0,), True),
        (52_000, (3.0,), False),
        (100_000, (2.0,), False),
        (10_000_000, (2.0,), False),
    ],
)
def test_a_cpu_gets_the_richest_views_that_fit_three_seconds(costs, operations, scales, flip):
    teacher = costs(operations)
    plan = plan_views([teacher], DAVIS, test_time=CHOICE)
    assert (plan.test_time.scales, plan.test_time.flip) == (scales, flip)
    assert plan.batch == 1
    cut = (scales, flip) != ((2.0, 3.0, 4.0), True)
    assert any("--scales 2,3,4 --flip takes" in line for line in plan.lines) == cut
    pixels = 260 * 346 * sum(scale**2 for scale in scales) * (1 + flip)
    if operations < 10_000_000:
        assert pixels * operations / views.CPU_FLOPS <= views.CPU_SECONDS


@pytest.mark.parametrize(
    ("operations", "scale"), [(1_000, 3.0), (52_000, 3.0), (100_000, 2.0), (10_000_000, 2.0)]
)
def test_faster_arithmetic_takes_one_view(costs, operations, scale):
    teacher = costs(operations)
    plan = plan_views([teacher], DAVIS, test_time=CHOICE, arithmetic="float32")
    assert plan.test_time == TestTimeAugmentation((scale,), flip=False)
    assert any("--scales 2,3,4 --flip takes" in line for line in plan.lines)
    flipped = TestTimeAugmentation(flip=True)
    flipped = plan_views([teacher], DAVIS, test_time=flipped, arithmetic="float32").test_time
    assert flipped.flip is True
    compared = plan_views(
        [teacher], DAVIS, test_time=CHOICE, arithmetic="float32", needs_agreement=True
    )
    assert compared.test_time.passes == 6


def test_what_is_given_is_kept(costs):
    teacher = costs(10_000_000)
    given_scales = TestTimeAugmentation((4.0,))
    assert plan_views([teacher], DAVIS, test_time=given_scales).test_time.flip is True
    compared = plan_views([teacher], DAVIS, test_time=CHOICE, needs_agreement=True)
    assert compared.test_time.passes == 6
    assert plan_views([teacher], DAVIS, test_time=CHOICE, batch=3).batch == 3
    no_flip = plan_views([costs(1_000)], DAVIS, test_time=TestTimeAugmentation(flip=False))
    assert no_flip.test_time == TestTimeAugmentation((2.0, 3.0, 4.0), flip=False)
    with pytest.raises(LabelError, match="batch of 1 or more, got 0"):
        plan_views([teacher], DAVIS, test_time=CHOICE, batch=0)


def test_teacher_of_fixed_size_gets_one_scale():
    class Fixed(StubTeacher):
        fixed_input = True

    plan = plan_views([Fixed(by_gray)], DAVIS, test_time=CHOICE)
    assert plan.test_time == TestTimeAugmentation((1.0,), flip=True)


@torch.inference_mode()
def test_teacher_of_fixed_size_sees_whole_pictures_as_predict_shows_them(tmp_path):
    torch.manual_seed(0)
    blueprint = Blueprint("fastscnn", 1, len(SIX))
    inputs = InputSpec("gray", 1, size=(24, 32))
    trained = TrainedNetwork(blueprint.build().eval(), blueprint, inputs, SIX)
    save_network(tmp_path / "half.pt", trained)
    teacher = load_teacher(str(tmp_path / "half.pt"), device=torch.device("cpu"))
    plan = plan_views([teacher], SensorSize(48, 64), test_time=CHOICE)
    assert "tiles" not in plan.lines[0]
    assert plan.lines[0].endswith("(trained on about 32x24)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(views, "free_memory", lambda _: 1)
        patch.setattr(views, "SMALLEST_TILE", 1)
        little = plan_views([teacher], SensorSize(48, 64), test_time=CHOICE)
    assert little.test_time == plan.test_time
    gray = torch.rand(1, 1, 48, 64)
    (view,) = passes(
        teacher, 255 * gray.expand(-1, 3, -1, -1), test_time=TestTimeAugmentation((1.0,), False)
    )
    expected = probabilities(trained, gray, size=(48, 64))
    torch.testing.assert_close(view, expected, atol=1e-4, rtol=1e-3)


def test_little_memory_gives_smaller_tiles_and_says_so(monkeypatch):
    given_scales = TestTimeAugmentation((4.0,), flip=False)
    monkeypatch.setattr(views, "free_memory", lambda _: 2 * 4_000 * 500_000)
    plan = plan_views([StubTeacher(by_gray)], DAVIS, test_time=given_scales)
    assert plan.test_time.tile_pixels is not None
    assert plan.test_time.tile_pixels <= 500_000
    assert plan.test_time.to_dict()["tile_pixels"] == plan.test_time.tile_pixels
    assert "is shown in tiles of 0.26 million pixels" in plan.lines[0]
    monkeypatch.setattr(views, "free_memory", lambda _: None)
    assert plan_views([StubTeacher(by_gray)], DAVIS, test_time=given_scales).test_time == (
        given_scales
    )


def test_labels_of_open_views_are_those_of_the_plan():
    teacher = StubTeacher(by_gray)
    frames = np.random.default_rng(1).integers(0, 256, (1, 26, 34), np.uint8)
    votes = [TeacherVote(teacher, merge_of(CITYSCAPES, SIX))]
    plan = plan_views([teacher], SensorSize(26, 34), test_time=CHOICE)
    open_views = predict_labels(votes, frames, classes=6, test_time=CHOICE)
    planned = predict_labels(votes, frames, classes=6, test_time=plan.test_time)
    np.testing.assert_array_equal(open_views.labels, planned.labels)
    with pytest.raises(LabelError, match="scales are not chosen"):
        CHOICE.to_dict()
