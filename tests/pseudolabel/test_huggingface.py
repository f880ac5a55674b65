"""Teachers from local Hugging Face folders, without any network."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pseudolabel_teachers import CITYSCAPES, SIX, labels_of, save_mask2former, save_segformer, swin
from recording_fixtures import write_recording
from torch.nn import functional

from eventseg.dataset.check import check_dataset
from eventseg.dataset.opening import open_dataset
from eventseg.dataset.writer import encode_dataset
from eventseg.errors import CheckpointError, LabelError, MissingExtraError
from eventseg.events import SensorSize
from eventseg.labels.maps import load_class_table
from eventseg.networks.inputs import IMAGENET
from eventseg.pseudolabel.confidence import LabelFilters
from eventseg.pseudolabel.huggingface import HuggingFaceTeacher, _licence, load_huggingface
from eventseg.pseudolabel.label_set import label_dataset
from eventseg.pseudolabel.licences import NVIDIA, UNKNOWN, known_licence, licence_in_card
from eventseg.pseudolabel.loading import default_teacher, load_teacher
from eventseg.pseudolabel.mask_classification import normalised, query_scores, windowed
from eventseg.pseudolabel.recipes import LabelRecipe
from eventseg.pseudolabel.test_time import TestTimeAugmentation

CPU = torch.device("cpu")
PICTURES = torch.randint(0, 256, (2, 3, 64, 96), generator=torch.Generator().manual_seed(0)).float()


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # The variable is read once, by whoever imports the hub first.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hf")
    save_segformer(folder / "segformer")
    save_mask2former(folder / "mask2former")
    return folder


def load(folder: Path) -> HuggingFaceTeacher:
    return load_huggingface(str(folder), device=CPU)


def check_probabilities(teacher: HuggingFaceTeacher, pictures: torch.Tensor = PICTURES) -> None:
    with torch.inference_mode():
        made = teacher.probabilities(pictures)
    assert made.shape == (len(pictures), len(teacher.classes), *pictures.shape[2:])
    assert made.dtype == torch.float32
    torch.testing.assert_close(made.sum(1), torch.ones_like(made[:, 0]))
    assert made.min() >= 0


@pytest.mark.parametrize("kind", ["segformer", "mask2former"])
def test_folder_labels_a_davis_recording_offline(folders: Path, tmp_path: Path, kind: str) -> None:
    sensor = SensorSize(260, 346)
    recording = write_recording(tmp_path / "rec.hdf5", frames=2, sensor=sensor)
    encode_dataset([recording], tmp_path / "data", store="none")
    teacher = load_teacher(f"hf:{folders / kind}", device=CPU)
    assert (teacher.name, teacher.classes) == (f"hf:{kind}", CITYSCAPES)
    recipe = LabelRecipe(TestTimeAugmentation((1.0,)), filters=LabelFilters())
    label_dataset(tmp_path / "data", [teacher], name=kind, classes=SIX, recipe=recipe, batch=2)
    assert check_dataset(tmp_path / "data") == []
    with open_dataset(tmp_path / "data") as dataset:
        assert dataset.labels(1, kind).shape == sensor
        assert dataset.labels(1, kind).max() < 6
        # The likeliest of six merged classes is never below the mean.
        assert dataset.confidence(1, kind).min() >= 255 // 6
        written = dataset.manifest.label_settings[kind]["teachers"][0]
    assert written["sha256"] == teacher.digest
    assert written["licence"] == {"segformer": UNKNOWN, "mask2former": "cc-by-4.0"}[kind]


def test_segformer_equals_its_own_logits(folders: Path) -> None:
    from transformers import SegformerForSemanticSegmentation

    teacher = load(folders / "segformer")
    assert teacher.scaling == IMAGENET
    check_probabilities(teacher)
    model = SegformerForSemanticSegmentation.from_pretrained(folders / "segformer").eval()
    mean = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)
    with torch.inference_mode():
        logits = model((PICTURES / 255 - mean) / std).logits
        expected = functional.interpolate(logits, size=(64, 96), mode="bilinear").softmax(1)
        torch.testing.assert_close(teacher.probabilities(PICTURES), expected)


def test_mask2former_equals_its_own_post_processing(folders: Path) -> None:
    from transformers import Mask2FormerForUniversalSegmentation, Mask2FormerImageProcessorPil

    teacher = load(folders / "mask2former")
    assert teacher.scaling.mean == (0.5, 0.4, 0.3)
    check_probabilities(teacher)
    model = Mask2FormerForUniversalSegmentation.from_pretrained(folders / "mask2former").eval()
    x = (PICTURES / 255 - torch.tensor([0.5, 0.4, 0.3]).reshape(3, 1, 1)) / 0.2
    with torch.inference_mode():
        made = model(pixel_values=x)
        labels = Mask2FormerImageProcessorPil().post_process_semantic_segmentation(
            made, target_sizes=[(64, 96)] * 2
        )
        own = teacher.probabilities(PICTURES).argmax(1)
    # Theirs resizes masks to 384x384 first, so that borders may differ.
    assert (own == torch.stack(list(labels))).float().mean() > 0.98


def test_query_scores_by_hand() -> None:
    # Query 0: surely class 0, everywhere; query 1: half class 1, half no object, right pixel only.
    classes = torch.log(torch.tensor([[[1.0, 1e-9, 1e-9], [1e-9, 0.5, 0.5]]]))
    masks = torch.tensor([[[[0.0, 0.0]], [[-50.0, 50.0]]]])
    scores = query_scores(classes, masks)
    torch.testing.assert_close(scores[0, :, 0], torch.tensor([[0.5, 0.5], [0.0, 0.5]]))
    expected = torch.tensor([[1.0, 0.5], [0.0, 0.5]])
    torch.testing.assert_close(normalised(scores)[0, :, 0], expected)
    nothing = normalised(torch.zeros(1, 4, 1, 1))
    assert (nothing == 0.25).all()


@pytest.mark.parametrize("size", [(32, 80), (80, 32), (32, 32), (48, 100)])
def test_windows_cover_the_picture_in_place(size: tuple[int, int]) -> None:
    seen = []

    def scores(squares: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(squares.shape[2:]))
        return squares[:, :2]

    rows = torch.linspace(0, 1, size[0]).reshape(1, 1, -1, 1).expand(1, 1, *size)
    columns = torch.linspace(0, 1, size[1]).reshape(1, 1, 1, -1).expand(1, 1, *size)
    pictures = torch.cat([rows, columns, rows], dim=1)
    made = windowed(scores, pictures, side=32)
    assert set(seen) == {(32, 32)}
    assert len(seen) == -(-max(size) * 32 // (min(size) * 32))
    torch.testing.assert_close(made, pictures[:, :2], atol=0.02, rtol=0)


def save_eomt(folder: Path) -> None:
    from transformers import EomtConfig, EomtForUniversalSegmentation

    config = EomtConfig(
        image_size=32, patch_size=8, hidden_size=16, num_hidden_layers=3, num_attention_heads=2,
        num_blocks=1, num_queries=4, num_upscale_blocks=1, num_register_tokens=1, **labels_of(),
    )  # fmt: skip
    EomtForUniversalSegmentation(config).save_pretrained(folder)


def save_oneformer(folder: Path) -> None:
    from transformers import CLIPTokenizer, OneFormerConfig, OneFormerForUniversalSegmentation

    config = OneFormerConfig(
        backbone_config=swin(), num_queries=5, hidden_dim=32, mask_dim=32, conv_dim=32,
        encoder_feedforward_dim=16, encoder_layers=1, decoder_layers=2, dim_feedforward=16,
        num_attention_heads=2, text_encoder_width=32, text_encoder_num_layers=1,
        text_encoder_vocab_size=600, text_encoder_context_length=16, task_seq_len=16,
        text_encoder_proj_layers=1, query_dec_layers=1, is_training=False, **labels_of(),
    )  # fmt: skip
    OneFormerForUniversalSegmentation(config).save_pretrained(folder)
    words = [*"abcdefghijklmnopqrstuvwxyz", *(f"{c}</w>" for c in "abcdefghijklmnopqrstuvwxyz")]
    vocabulary = {word: i for i, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)


def save_maskformer(folder: Path) -> None:
    from transformers import DetrConfig, MaskFormerConfig, MaskFormerForInstanceSegmentation

    decoder = DetrConfig(
        d_model=32, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=16, decoder_ffn_dim=16,
        encoder_attention_heads=2, decoder_attention_heads=2, num_queries=4,
    )  # fmt: skip
    config = MaskFormerConfig(
        backbone_config=swin(), decoder_config=decoder, fpn_feature_size=32, mask_feature_size=32,
        **labels_of(),
    )  # fmt: skip
    MaskFormerForInstanceSegmentation(config).save_pretrained(folder)


def save_upernet(folder: Path) -> None:
    from transformers import UperNetConfig, UperNetForSemanticSegmentation

    config = UperNetConfig(
        backbone_config=swin(), hidden_size=16, auxiliary_in_channels=32, auxiliary_channels=8,
        pool_scales=[1, 2], **labels_of(),
    )  # fmt: skip
    UperNetForSemanticSegmentation(config).save_pretrained(folder)


def save_mobilenet(folder: Path) -> None:
    from transformers import MobileNetV2Config, MobileNetV2ForSemanticSegmentation

    config = MobileNetV2Config(depth_multiplier=0.1, output_stride=8, **labels_of())
    MobileNetV2ForSemanticSegmentation(config).save_pretrained(folder)


SAVE = {
    "eomt": save_eomt,
    "oneformer": save_oneformer,
    "maskformer": save_maskformer,
    "upernet": save_upernet,
    "mobilenet_v2": save_mobilenet,
}


@pytest.mark.parametrize("kind", SAVE)
def test_other_kinds_give_probabilities(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(2)
    SAVE[kind](tmp_path / kind)
    check_probabilities(load(tmp_path / kind))


def test_oneformer_is_told_its_task_as_by_its_own_processor(tmp_path: Path) -> None:
    from types import SimpleNamespace

    from transformers import AutoTokenizer, OneFormerProcessor

    save_oneformer(tmp_path / "oneformer")
    own = SimpleNamespace(tokenizer=AutoTokenizer.from_pretrained(tmp_path / "oneformer"))
    expected = OneFormerProcessor._preprocess_text(own, ["the task is semantic"], max_length=16)
    task = load(tmp_path / "oneformer").task
    assert task is not None
    torch.testing.assert_close(task, expected)


def test_digest_is_of_the_weights_and_the_scaling(folders: Path, tmp_path: Path) -> None:
    digest = load(folders / "segformer").digest
    copy = tmp_path / "copy"
    shutil.copytree(folders / "segformer", copy)
    assert load(copy).digest == digest
    (copy / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5]}')
    scaled = load(copy)
    assert scaled.scaling.mean == (0.5, 0.5, 0.5)
    assert scaled.scaling.std == IMAGENET.std
    other = load(save_segformer(tmp_path / "other", seed=5))
    assert len({digest, scaled.digest, other.digest}) == 3


@pytest.fixture
def broken(folders: Path, tmp_path: Path) -> Path:
    shutil.copytree(folders / "segformer", tmp_path / "broken")
    return tmp_path / "broken"


def test_weights_that_leave_a_part_random_are_refused(broken: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(broken / "model.safetensors")
    first, second = sorted(weights)[:2]
    kept = {name: tensor for name, tensor in weights.items() if name not in (first, second)}
    save_file(kept, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=rf"2 missing: {first}, {second}"):
        load(broken)


def test_weights_of_another_shape_or_missing_are_refused(broken: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(broken / "model.safetensors")
    name = "decode_head.classifier.weight"
    save_file(
        {**weights, name: weights[name][:7].clone()},
        broken / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(CheckpointError, match="broken"):
        load(broken)
    (broken / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"must hold config\.json and model\.safetensors"):
        load(broken)
    (broken / "config.json").unlink()
    with pytest.raises(CheckpointError, match="cannot load teacher"):
        load(broken)


def test_classes_must_be_of_a_known_table(tmp_path: Path) -> None:
    three = load_class_table("evsegnet6")
    names = tuple(f"thing {i}" for i in range(6))
    table = type(three)(names, three.colours)
    folder = save_segformer(tmp_path / "things", classes=table)
    with pytest.raises(LabelError, match=r"6 classes of teacher hf:things \(thing 0, .*--teacher"):
        load(folder)
    with pytest.raises(LabelError, match="has 6 classes, the given table has 19"):
        load_huggingface(str(folder), device=CPU, class_table=CITYSCAPES)
    assert load_huggingface(str(folder), device=CPU, class_table=SIX).classes == SIX
    spelt = type(three)(
        tuple(name.title().replace(" ", "_") for name in CITYSCAPES.names), CITYSCAPES.colours
    )
    assert load(save_segformer(tmp_path / "spelt", classes=spelt)).classes == CITYSCAPES


def test_other_models_and_ids_that_cannot_be_fetched_are_refused(tmp_path: Path) -> None:
    (tmp_path / "vit").mkdir()
    (tmp_path / "vit/config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(CheckpointError, match="is a vit, allowed are segformer"):
        load(tmp_path / "vit")
    with pytest.raises(
        CheckpointError, match=r"fetched from the hub \(.*\); connect once, or pass a"
    ):
        load_huggingface("eventseg-nobody/nothing", device=CPU)


def test_the_cache_is_asked_first_and_the_hub_once_and_briefly(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked: list[float] = []

    def silent(_self: object, _source: str, *, timeout: float) -> None:
        asked.append(timeout)
        raise TimeoutError("timed out\nand more")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", silent)
    words = r"not in the cache .* fetched from the hub \(timed out\); connect once, or pass a local"
    with pytest.raises(CheckpointError, match=words):
        load_huggingface("some-one/tiny", device=CPU)
    assert len(asked) == 1
    assert asked[0] <= 5
    # A repository as the hub's own client keeps it.
    cache = tmp_path / "cache"
    snapshot = cache / "models--some-one--tiny/snapshots/0123"
    shutil.copytree(folders / "segformer", snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs/main").write_text("0123")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    held = load_huggingface("some-one/tiny", device=CPU)
    assert held.digest == load(folders / "segformer").digest
    assert len(asked) == 1


def test_without_the_extra_one_error_says_what_to_install(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_teacher(CPU) == "hf:nvidia/segformer-b0-finetuned-cityscapes-1024-1024"
    assert "segformer-b5" in default_teacher(torch.device("cuda"))
    monkeypatch.setitem(sys.modules, "transformers", None)
    words = r"uv sync --extra hf.*pspnet101:PATH"
    with pytest.raises(MissingExtraError, match=words):
        load(folders / "segformer")
    monkeypatch.setattr("eventseg.pseudolabel.loading.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=words):
        default_teacher(CPU)


def test_licences_are_known_or_read_from_the_card() -> None:
    assert known_licence("nvidia/segformer-b5-finetuned-cityscapes-1024-1024") == NVIDIA
    assert known_licence("someone/net") is None
    card = "---\nlicense: other\nlicense_name: nv\nlicense_link: LICENSE\n---\nlicense: no\n"
    assert licence_in_card(card) == "nv LICENSE"
    assert licence_in_card("---\ntags: x\n---\n") is None
    assert licence_in_card("# license: mit") is None


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        (b"\xef\xbb\xbf---\r\nlicense: mit\r\n---\r\n", "mit"),
        ("---\nlicense: mit\n---\n".encode("utf-16"), "mit"),
        (b"---\nlicense: caf\xe9\n---\n", UNKNOWN),
    ],
)
def test_cards_saved_by_other_editors(tmp_path: Path, card: bytes, licence: str) -> None:
    (tmp_path / "README.md").write_bytes(card)
    assert _licence(str(tmp_path), folder=True, local=True) == licence


def test_gray_frames_are_shown_as_gray_pictures(folders: Path) -> None:
    from eventseg.pseudolabel.test_time import to_pictures

    frames = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    pictures = to_pictures(frames, device=CPU)
    assert pictures.shape == (1, 3, 3, 4)
    for channel in range(3):
        np.testing.assert_array_equal(pictures[0, channel].numpy(), frames[0])
    colour = np.random.default_rng(0).integers(0, 256, (1, 3, 4, 3), np.uint8)
    np.testing.assert_array_equal(
        to_pictures(colour, device=CPU).numpy(), colour.transpose(0, 3, 1, 2)
    )
