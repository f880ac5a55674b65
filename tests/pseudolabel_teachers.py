"""Teachers for tests: one whose probabilities are known, and tiny Hugging Face folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from eventseg.labels.maps import ClassTable, load_class_table

CITYSCAPES = load_class_table("cityscapes19")
SIX = load_class_table("evsegnet6")


@dataclass(frozen=True, eq=False, slots=True)
class StubTeacher:
    """Gives what a function of the pictures gives, and counts what it has seen."""

    answer: Callable[[Tensor], Tensor]
    classes: ClassTable = CITYSCAPES
    name: str = "hf:stub"
    digest: str = "0" * 64
    licence: str = "none"
    multiple: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    sizes: list[tuple[int, ...]] = field(default_factory=list)

    def probabilities(self, pictures: Tensor) -> Tensor:
        self.sizes.append(tuple(pictures.shape))
        return self.answer(pictures)


def by_gray(pictures: Tensor) -> Tensor:
    """Return 19 probabilities of each pixel that follow from its gray value and column."""
    gray = pictures[:, :1] / 255
    column = torch.linspace(0, 1, pictures.shape[3]).expand_as(gray)
    steps = torch.arange(19).reshape(1, 19, 1, 1) / 18
    return torch.softmax(-((gray + 0.2 * column - steps).abs()) * 30, dim=1)


def constant(values: list[float]) -> Callable[[Tensor], Tensor]:
    """Return a function that gives every pixel the same probabilities."""

    def answer(pictures: Tensor) -> Tensor:
        shape = (len(pictures), len(values), *pictures.shape[2:])
        return torch.tensor(values).reshape(1, -1, 1, 1).expand(shape).clone()

    return answer


def labels_of(classes: ClassTable = CITYSCAPES) -> dict[str, object]:
    return {
        "id2label": dict(enumerate(classes.names)),
        "label2id": {name: i for i, name in enumerate(classes.names)},
    }


def save_segformer(folder: Path, *, classes: ClassTable = CITYSCAPES, seed: int = 0) -> Path:
    """Write a tiny random SegFormer."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    torch.manual_seed(seed)
    config = SegformerConfig(
        num_encoder_blocks=2,
        depths=[1, 1],
        sr_ratios=[4, 2],
        hidden_sizes=[8, 16],
        patch_sizes=[7, 3],
        strides=[4, 2],
        num_attention_heads=[1, 2],
        mlp_ratios=[2, 2],
        decoder_hidden_size=16,
        **labels_of(classes),
    )
    SegformerForSemanticSegmentation(config).save_pretrained(folder)
    return folder


def swin() -> object:
    from transformers import SwinConfig

    return SwinConfig(
        image_size=32,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 2, 2, 2],
        window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )


def save_mask2former(folder: Path) -> Path:
    """Write a tiny random Mask2Former with a statement of its preprocessing and licence."""
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation

    torch.manual_seed(1)
    config = Mask2FormerConfig(
        backbone_config=swin(),
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=16,
        dim_feedforward=16,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        num_queries=5,
        **labels_of(),
    )
    Mask2FormerForUniversalSegmentation(config).save_pretrained(folder)
    scaling = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.2], "do_normalize": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(scaling))
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\ntags:\n- x\n---\n# Tiny\n")
    return folder
