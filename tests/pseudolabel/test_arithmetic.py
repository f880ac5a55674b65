"""Faster arithmetic of teachers: the same probabilities but for rounding, and who gets it."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from pseudolabel_teachers import CITYSCAPES, SIX, StubTeacher, by_gray, save_mask2former
from recording_fixtures import write_recording

from eventseg.dataset.manifest import Manifest
from eventseg.dataset.writer import encode_dataset
from eventseg.errors import DatasetError
from eventseg.networks import build_network
from eventseg.networks.inputs import IMAGENET
from eventseg.pseudolabel.arithmetic import FasterTeacher, with_arithmetic
from eventseg.pseudolabel.huggingface import load_huggingface
from eventseg.pseudolabel.label_set import label_dataset
from eventseg.pseudolabel.network_teacher import NetworkTeacher
from eventseg.pseudolabel.recipes import PRESETS, LabelRecipe
from eventseg.pseudolabel.segformer_head import folded_head, trunk_levels
from eventseg.pseudolabel.test_time import TestTimeAugmentation, passes

CPU = torch.device("cpu")
PICTURES = torch.randint(0, 256, (2, 3, 64, 96), generator=torch.Generator().manual_seed(0)).float()
ONE_VIEW = TestTimeAugmentation((1.0,), flip=False)
arithmetic_module = import_module("eventseg.pseudolabel.arithmetic")


def random_segformer(levels: int):
    """Return a SegFormer whose batch norm has seen something."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    torch.manual_seed(levels)
    config = SegformerConfig(
        num_encoder_blocks=levels, depths=[1] * levels, sr_ratios=[2] * levels,
        hidden_sizes=[8, 16, 24, 32][:levels], patch_sizes=[7, 3, 3, 3][:levels],
        strides=[4, 2, 2, 2][:levels], num_attention_heads=[1, 2, 2, 4][:levels],
        mlp_ratios=[2] * levels, decoder_hidden_size=24, num_labels=5,
    )  # fmt: skip
    model = SegformerForSemanticSegmentation(config).eval()
    with torch.no_grad():
        for module in model.decode_head.modules():
            for tensor in [*module.parameters(recurse=False), *module.buffers(recurse=False)]:
                if tensor.is_floating_point():
                    tensor.copy_(torch.rand(tensor.shape) - 0.4)
        model.decode_head.batch_norm.running_var.abs_()
    return model


@pytest.mark.parametrize("levels", [2, 4])
def test_the_folded_head_is_the_head(levels):
    model = random_segformer(levels)
    with torch.inference_mode():
        folded = folded_head(model)
        assert folded is not None
        found = trunk_levels(model, PICTURES / 255)
        expected = model.decode_head(found)
        close = 1e-5 * float(expected.abs().max())
        torch.testing.assert_close(folded(found), expected, atol=close, rtol=0)


def test_a_head_that_is_something_else_is_left_as_it_is():
    model = random_segformer(2)
    model.decode_head.activation = torch.nn.Sigmoid()
    with torch.inference_mode():
        assert folded_head(model) is None
        del model.decode_head.linear_fuse
        assert folded_head(model) is None


def teacher_of(kind: str, folder: Path):
    if kind == "segformer":
        model = random_segformer(4)
        names = CITYSCAPES.names[:5]
        model.config.id2label = dict(enumerate(names))
        model.save_pretrained(folder)
        table = replace(CITYSCAPES, names=names, colours=CITYSCAPES.colours[:5], name="five",
                        instances=(), merges=())  # fmt: skip
        return load_huggingface(str(folder), device=CPU, class_table=table)
    torch.manual_seed(0)
    network = build_network(kind, in_channels=3, classes=19).eval()
    return NetworkTeacher(kind, "0", CITYSCAPES, "none", CPU, IMAGENET, _network=network)


@pytest.mark.parametrize("kind", ["segformer", "enet", "fastscnn"])
def test_float32_differs_by_rounding_and_bfloat16_by_little(kind, tmp_path):
    teacher = teacher_of(kind, tmp_path)
    with torch.inference_mode():
        exact = teacher.probabilities(PICTURES)
        for arithmetic, most in (("float32", 1e-4), ("bfloat16", 0.02)):
            (faster,), made = with_arithmetic((teacher,), arithmetic)
            assert made == arithmetic
            assert isinstance(faster, FasterTeacher)
            assert (faster.name, faster.digest) == (teacher.name, teacher.digest)
            probabilities = faster.probabilities(PICTURES)
            assert probabilities.dtype == torch.float32
            difference = (probabilities - exact).abs()
            assert float(difference.mean() if arithmetic == "bfloat16" else difference.max()) < most
            assert arithmetic == "float32" or float(difference.max()) > 1e-5
            (view,) = passes(faster, PICTURES, test_time=ONE_VIEW)
            assert view.shape == exact.shape
            torch.testing.assert_close(view.sum(1), torch.ones_like(view[:, 0]))


def test_scores_are_brought_to_the_frame_before_the_softmax(tmp_path):
    teacher = teacher_of("fastscnn", tmp_path)
    (faster,), _ = with_arithmetic((teacher,), "float32")
    with torch.inference_mode():
        (view,) = passes(faster, PICTURES, test_time=TestTimeAugmentation((2.0,), flip=False))
        (exact,) = passes(teacher, PICTURES, test_time=TestTimeAugmentation((2.0,), flip=False))
    assert view.shape == exact.shape == (2, 19, 64, 96)
    same = view.argmax(1) == exact.argmax(1)
    assert float(same.float().mean()) > 0.9
    assert not torch.equal(view, exact)


def test_the_choice_follows_from_processor_and_teacher(tmp_path, monkeypatch):
    teacher = teacher_of("enet", tmp_path)
    for units, chosen in ((("AMX",), "bfloat16"), ((), "float32")):
        monkeypatch.setattr(arithmetic_module, "bfloat16_units", lambda units=units: units)
        assert with_arithmetic((teacher,), None)[1] == chosen
    stub = StubTeacher(by_gray)
    assert with_arithmetic((stub,), "bfloat16") == ((stub,), "exact")
    masks = load_huggingface(str(save_mask2former(tmp_path / "masks")), device=CPU)
    assert with_arithmetic((masks,), "bfloat16")[1] == "exact"
    mixed, made = with_arithmetic((stub, teacher), "float32")
    assert (mixed[0], made) == (stub, "float32")
    elsewhere = replace(stub, device=torch.device("meta"))
    assert with_arithmetic((elsewhere, teacher), None)[1] == "exact"


def test_the_manifest_says_how_labels_were_computed(tmp_path):
    recording = write_recording(tmp_path / "rec.hdf5", frames=2)
    encode_dataset([recording], tmp_path / "data", store="none")
    teacher = teacher_of("enet", tmp_path)

    def label(name, arithmetic):
        recipe = LabelRecipe(ONE_VIEW, arithmetic=arithmetic)
        label_dataset(tmp_path / "data", [teacher], name=name, classes=SIX, recipe=recipe)
        return Manifest.read(tmp_path / "data/manifest.toml").label_settings[name]

    assert label("fast", "float32")["arithmetic"] == "float32"
    assert "arithmetic" not in label("exact", "exact")  # as sets of earlier releases
    with pytest.raises(DatasetError, match="arithmetic was float32, now exact"):
        label("fast", "exact")
    with pytest.raises(DatasetError, match="arithmetic was exact, now bfloat16"):
        label("exact", "bfloat16")
    assert all(PRESETS[name].arithmetic == "exact" for name in PRESETS if name != "default")


def test_exact_labels_do_not_depend_on_the_rest(tmp_path):
    """The option gives what the teacher itself gives, averaged and merged."""
    teacher = teacher_of("enet", tmp_path)
    (same,), made = with_arithmetic((teacher,), "exact")
    assert (same, made) == (teacher, "exact")
    with torch.inference_mode():
        (view,) = passes(same, PICTURES, test_time=ONE_VIEW)
        np.testing.assert_array_equal(view, teacher.probabilities(PICTURES))
