"""Teachers that are networks of this project or of torchvision, and files that are no teachers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pseudolabel_teachers import CITYSCAPES, SIX
from torch import nn
from torchvision import models

from eventseg.device import choose_device
from eventseg.errors import CheckpointError, EventsegError, LabelError, NetworkError
from eventseg.labels.known_classes import table_by_names
from eventseg.labels.maps import ClassTable, load_class_table, merge_of
from eventseg.networks.build import build_network
from eventseg.networks.checkpoints import Blueprint, TrainedNetwork, save_network
from eventseg.networks.converters.known import LAYOUTS
from eventseg.networks.initial_weights import read_initial
from eventseg.networks.inputs import IMAGENET, InputSpec, Scaling
from eventseg.networks.named import NamedCheckpoint
from eventseg.networks.published import LoadReport, Published, published_inputs
from eventseg.networks.resizing import RESIZE_RULES, resize_pictures
from eventseg.prediction.checkpoint_file import CheckpointFile
from eventseg.prediction.loading import load_trained
from eventseg.prediction.predictor import probabilities
from eventseg.pseudolabel.licences import UNKNOWN
from eventseg.pseudolabel.loading import load_teacher
from eventseg.pseudolabel.network_teacher import OURS, NetworkTeacher
from eventseg.pseudolabel.teacher import scaled, weights_digest

CPU = torch.device("cpu")
PICTURES = torch.randint(0, 256, (2, 3, 40, 64), generator=torch.Generator().manual_seed(0)).float()
CAMERA = Scaling(1.0, (0.3,), (0.2,))


def load(words: object, **more: Any) -> NetworkTeacher:
    teacher = load_teacher(str(words), device=CPU, **more)
    assert isinstance(teacher, NetworkTeacher)
    return teacher


def save_own(path: Path, *, kind: str = "gray", channels: int = 1, **inputs: Any) -> TrainedNetwork:
    torch.manual_seed(0)
    blueprint = Blueprint("fastscnn", channels, 19)
    spec = InputSpec(kind, channels, CAMERA, **inputs)  # type: ignore[arg-type]
    trained = TrainedNetwork(blueprint.build().eval(), blueprint, spec, CITYSCAPES)
    save_network(path, trained)
    return trained


def save_state(path: Path, *, classes: int = 19, prefix: str = "") -> nn.Module:
    torch.manual_seed(0)
    network = build_network("fastscnn", in_channels=3, classes=classes).eval()
    state = {f"{prefix}{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"state_dict": state}, path)
    return network


@torch.inference_mode()
def test_own_checkpoint_sees_gray_as_it_was_trained(tmp_path: Path) -> None:
    trained = save_own(tmp_path / "best.pt")
    teacher = load(tmp_path / "best.pt")
    assert (teacher.name, teacher.licence) == ("fastscnn:best.pt", OURS)
    assert teacher.classes == CITYSCAPES
    gray = PICTURES[:, :1].expand(-1, 3, -1, -1)
    expected = trained.network((gray[:, :1] / 255 - 0.3) / 0.2)
    torch.testing.assert_close(
        teacher.probabilities(gray), expected.softmax(1), atol=1e-4, rtol=1e-3
    )
    # Named by its network too, a file of ours keeps its own scaling.
    assert load(f"fastscnn:{tmp_path / 'best.pt'}").digest == teacher.digest
    (tmp_path / "run.json").write_text('{"data": "gone"}')
    assert load(tmp_path).digest == teacher.digest  # a run folder
    (tmp_path / "other").mkdir()
    with pytest.raises(CheckpointError, match=r"other holds no teacher: neither run\.json"):
        load(tmp_path / "other")
    (tmp_path / "text.pt").write_text("hello\n")
    with pytest.raises(CheckpointError, match=r"text\.pt: it is no file that torch wrote"):
        load(tmp_path / "text.pt")


STATED = InputSpec("rgb", 3, Scaling(255.0, (9.0, 8.0, 7.0), (1.0, 2.0, 3.0), "bgr"), size=(48, 64))
MINE = ClassTable(tuple("abcdef"), tuple((k, k, k) for k in range(6)))


def save_stated(path: Path, network: str, spec: InputSpec = STATED) -> TrainedNetwork:
    blueprint = Blueprint(network, spec.channels, 6)
    trained = TrainedNetwork(blueprint.build(), blueprint, spec, MINE)
    save_network(path, trained)
    return trained


@pytest.mark.parametrize(
    "network",
    # The first has the tensor names of VainF's files, the others our own.
    ["deeplabv3plus_mobilenetv2", "cgnet", "enet", "fastscnn"],
)
def test_own_checkpoint_by_its_network_is_the_plain_file(network: str, tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    save_stated(path, network)
    named, plain = load(f"{network}:{path}"), load(path)
    assert (named.classes, named.scaling, named.size) == (MINE, STATED.scaling, (48, 64))
    assert (named.name, named.licence, named.digest) == (plain.name, OURS, plain.digest)


def test_own_checkpoint_by_its_network_states_inputs_and_classes(tmp_path: Path) -> None:
    name, path = "deeplabv3plus_mobilenetv2", tmp_path / "best.pt"
    spec = InputSpec("events", 6, windows=("50ms",))
    save_stated(path, name, spec)
    trained = load_trained(CheckpointFile(path, NamedCheckpoint(name, path)))
    assert (trained.inputs, trained.classes) == (spec, MINE)
    initial = read_initial(f"{name}:{path}", network="cgnet", options={})
    assert (initial.inputs, initial.classes, initial.network) == (spec, MINE.names, name)
    with pytest.raises(CheckpointError, match=rf"holds the network {name}, not cgnet"):
        load(f"cgnet:{path}")


def test_scaling_of_other_channels_is_refused(tmp_path: Path) -> None:
    network = build_network("deeplabv3plus_mobilenetv2", in_channels=1, classes=19)
    torch.save(network.state_dict(), tmp_path / "gray.pth")
    with pytest.raises(CheckpointError, match="sees 1 channels, and its scaling is known for 3"):
        load(f"deeplabv3plus_mobilenetv2:{tmp_path / 'gray.pth'}")


@torch.inference_mode()
def test_size_that_a_network_was_trained_at_is_kept(tmp_path: Path) -> None:
    trained = save_own(tmp_path / "best.pt", kind="rgb", channels=3, size=(64, 96))
    teacher = load(tmp_path / "best.pt")
    made = teacher.probabilities(PICTURES)
    assert made.shape == (2, 19, 40, 64)
    torch.testing.assert_close(made.sum(1), torch.ones(2, 40, 64))
    same = nn.functional.interpolate(PICTURES, size=(64, 96), mode="bilinear", antialias=True)
    logits = trained.network((same / 255 - 0.3) / 0.2)
    logits = nn.functional.interpolate(logits, size=(40, 64), mode="bilinear")
    torch.testing.assert_close(made, logits.softmax(1), atol=1e-4, rtol=1e-3)


@torch.inference_mode()
def test_a_published_network_sees_pictures_as_in_evaluations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    blueprint = Blueprint("evsegnet", 1, 6, options={"width": 0.125})
    scaling = Scaling(255.0, (0.0,), (1.0,))
    published = Published(blueprint.build().eval(), blueprint, scaling, LoadReport("evsegnet", ()))
    monkeypatch.setattr(
        "eventseg.pseudolabel.network_teacher.load_named", lambda *_a, **_k: published
    )
    (tmp_path / "a.pth").touch()
    teacher = load(f"evsegnet:{tmp_path / 'a.pth'}", class_table=SIX)
    inputs = published_inputs(published, owner="it")
    assert (teacher.size, teacher.resize) == (inputs.size, inputs.resize)
    assert (teacher.size, teacher.resize) == ((224, 352), "evsegnet")
    evaluated = TrainedNetwork(published.network, blueprint, inputs, SIX)
    x = scaled(PICTURES, scaling, channels=1)
    torch.testing.assert_close(
        teacher.probabilities(PICTURES),
        probabilities(evaluated, x, size=(40, 64)),
        atol=1e-4,
        rtol=1e-3,
    )


def test_classes_that_a_file_states_are_kept(tmp_path: Path) -> None:
    save_stated(tmp_path / "best.pt", "fastscnn")
    other = ClassTable(MINE.names[::-1], MINE.colours)
    for spec in (str(tmp_path / "best.pt"), f"fastscnn:{tmp_path / 'best.pt'}"):
        assert load(spec, class_table=other).classes == MINE
        assert load(spec, class_table=CITYSCAPES).classes == MINE  # beside a published teacher


@torch.inference_mode()
def test_pictures_are_resized_by_the_rule_of_training(tmp_path: Path) -> None:
    digests = set()
    for rule in RESIZE_RULES:
        path = tmp_path / f"{rule}.pt"
        trained = save_own(path, kind="rgb", channels=3, size=(24, 48), resize=rule)
        teacher = load(path)
        x = (PICTURES / 255 - 0.3) / 0.2
        torch.testing.assert_close(
            teacher.probabilities(PICTURES),
            probabilities(trained, x, size=(40, 64)),
            atol=1e-4,
            rtol=1e-3,
        )
        seen = resize_pictures(x, (24, 48), rule=rule)
        torch.testing.assert_close(
            teacher.fast_scores(False)(PICTURES),
            trained.network.heads(seen)[0],
            atol=1e-3,
            rtol=1e-3,
        )
        digests.add(teacher.digest)
    assert len(digests) == len(RESIZE_RULES)


@torch.inference_mode()
def test_bare_weights_are_loaded_by_the_name_of_their_network(tmp_path: Path) -> None:
    network = save_state(tmp_path / "net.pth", prefix="module.")
    teacher = load(f"fastscnn:{tmp_path / 'net.pth'}")
    assert (teacher.classes, teacher.scaling) == (CITYSCAPES, IMAGENET)
    x = scaled(PICTURES, IMAGENET, channels=3)
    torch.testing.assert_close(teacher.probabilities(PICTURES), network(x).softmax(1))


@pytest.mark.parametrize("auxiliary", [False, True])
def test_torchvision_checkpoint(tmp_path: Path, auxiliary: bool) -> None:
    from torchvision import models

    network = models.segmentation.lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=19
    )
    name = "lraspp_mobilenet_v3_large"
    if auxiliary:
        name = "deeplabv3_mobilenet_v3_large"
        network = models.get_model(
            name, weights=None, weights_backbone=None, num_classes=19, aux_loss=True
        )
    torch.save(network.state_dict(), tmp_path / "tv.pth")
    teacher = load(f"torchvision:{name}:{tmp_path / 'tv.pth'}")
    assert (teacher.name, teacher.licence) == (f"torchvision:{name}:tv.pth", UNKNOWN)
    with torch.inference_mode():
        expected = network.eval()(scaled(PICTURES, IMAGENET, channels=3))["out"].softmax(1)
        torch.testing.assert_close(teacher.probabilities(PICTURES), expected)
    with pytest.raises(CheckpointError, match=r"does not fit.* missing: .*unexpected: "):
        load(f"torchvision:fcn_resnet50:{tmp_path / 'tv.pth'}") if auxiliary else load(
            f"torchvision:lraspp_mobilenet_v3_large:{save_odd(tmp_path, network)}"
        )


def save_odd(folder: Path, network: nn.Module) -> Path:
    """Write the weights of a network with one tensor under another name."""
    state = dict(network.state_dict())
    state["odd"] = state.pop(next(iter(state)))
    torch.save(state, folder / "odd.pth")
    return folder / "odd.pth"


def test_what_is_no_teacher_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no teacher 'nowhere': it must be hf:ID"):
        load("nowhere")
    with pytest.raises(CheckpointError, match=r"no file of weights .*gone\.pth"):
        load(f"pspnet101:{tmp_path / 'gone.pth'}")
    with pytest.raises(CheckpointError, match="must be pspnet101:PATH"):
        load("pspnet101")
    with pytest.raises(CheckpointError, match="must be torchvision:ARCHITECTURE:PATH"):
        load("torchvision:fcn_resnet50")
    with pytest.raises(CheckpointError, match="torchvision has no network 'alexnet'"):
        load(f"torchvision:alexnet:{tmp_path}")
    save_state(tmp_path / "net.pth")
    with pytest.raises(NetworkError, match="Nothing"):
        load(f"smp:Nothing/resnet18:{tmp_path / 'net.pth'}")
    with pytest.raises(CheckpointError, match="was not written by eventseg"):
        load(tmp_path / "net.pth")
    save_own(tmp_path / "events.pt", kind="events", channels=6)
    with pytest.raises(CheckpointError, match="sees events: a teacher must see gray or rgb"):
        load(tmp_path / "events.pt")


def test_foreign_keys_are_listed(tmp_path: Path) -> None:
    network = save_state(tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=r"pspnet101.*begins with .*weight"):
        load(f"pspnet101:{tmp_path / 'net.pth'}")
    with pytest.raises(CheckpointError, match=r"(odd|begins with)"):
        load(f"fastscnn:{save_odd(tmp_path, network)}")


def test_pickle_that_is_more_than_weights_is_refused(tmp_path: Path) -> None:
    network = build_network("fastscnn", in_channels=3, classes=19)
    state = network.state_dict()
    torch.save({"state_dict": state, "hooks": [nn.Conv2d(1, 1, 1)]}, tmp_path / "net.pth")
    words = f"fastscnn:{tmp_path / 'net.pth'}"
    with pytest.raises(CheckpointError, match="--unsafe-pickle"):
        load(words)
    assert load(words, unsafe_pickle=True).classes == CITYSCAPES


def test_number_of_classes_must_be_that_of_the_table(tmp_path: Path) -> None:
    save_state(tmp_path / "six.pth", classes=6)
    save_state(tmp_path / "eleven.pth", classes=11)
    save_state(tmp_path / "seven.pth", classes=7)
    assert load(f"fastscnn:{tmp_path / 'six.pth'}").classes == SIX
    with pytest.raises(LabelError, match="has 6 classes, the given table has 19"):
        load(f"fastscnn:{tmp_path / 'six.pth'}", class_table=CITYSCAPES)
    with pytest.raises(LabelError, match="fits camvid11 and dsec11: say which"):
        load(f"fastscnn:{tmp_path / 'eleven.pth'}")
    with pytest.raises(LabelError, match="7 classes without names, which is none of"):
        load(f"fastscnn:{tmp_path / 'seven.pth'}")


def test_scaling_by_hand() -> None:
    picture = torch.tensor([255.0, 0.0, 51.0]).reshape(1, 3, 1, 1)
    bgr = scaled(picture, Scaling(255.0, (1.0, 2.0, 3.0), (1.0, 1.0, 2.0), "bgr"), channels=3)
    assert bgr.flatten().tolist() == [50.0, -2.0, 126.0]
    gray = scaled(picture, Scaling(1.0, (0.0,), (1.0,)), channels=1)
    assert gray.item() == pytest.approx(0.299 + 0.114 * 0.2)
    with pytest.raises(CheckpointError, match="6 input channels is no teacher"):
        scaled(picture, IMAGENET, channels=6)


def test_digest_tells_tensors_and_facts_apart() -> None:
    weight, facts = torch.arange(4.0), {"a": 1}
    digests = {
        weights_digest(state, facts=told)
        for state, told in [
            ({"w": weight}, facts),
            ({"w": weight}, {"a": 2}),
            ({"v": weight}, facts),
            ({"w": weight.reshape(2, 2)}, facts),
            ({"w": weight.double()}, facts),
            ({"w": weight.clone().index_fill_(0, torch.tensor([2]), 9.0)}, facts),
            ({"w": weight, "n": torch.tensor(3)}, facts),
        ]
    }
    assert len(digests) == 7
    strided = torch.arange(8.0)[::2] / 2
    assert weights_digest({"w": strided}, facts=facts) in digests


def test_device_by_name() -> None:
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(EventsegError, match="got 'tpu9'"):
        choose_device("tpu9")
    with pytest.raises(EventsegError, match=r"sees \d+ CUDA devices; use --device cpu"):
        choose_device("cuda:99")


def test_cgnet_published_for_camvid_is_a_teacher(shared_data: Path) -> None:
    words = f"cgnet:{shared_data / 'weights/cgnet_m3n21_camvid_trainval.pth'}"
    with pytest.raises(LabelError, match="fits camvid11 and dsec11"):
        load(words)
    teacher = load(words, class_table=load_class_table("camvid11"))
    with torch.inference_mode():
        made = teacher.probabilities(PICTURES)
    assert made.shape == (2, 11, 40, 64)
    assert teacher.licence == UNKNOWN


def test_licence_of_weights_is_unknown_unless_given(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = models.segmentation.deeplabv3_resnet50(
        weights=None, weights_backbone=None, num_classes=19
    )
    torch.save(network.state_dict(), tmp_path / "a.pth")
    save_own(tmp_path / "best.pt")
    # Names of a project's code tell nothing of who made the weights.
    for words in (
        f"torchvision:deeplabv3_resnet50:{tmp_path / 'a.pth'}",
        str(tmp_path / "best.pt"),
    ):
        unknown, given = load(words), load(words, licence="CC BY 4.0")
        assert unknown.licence.startswith("licence unknown")
        assert given.licence == "CC BY 4.0"
        assert given.digest == unknown.digest


def test_a_network_of_20_outputs_has_a_class_void(tmp_path: Path) -> None:
    save_state(tmp_path / "a.pth", classes=20)
    teacher = load(f"fastscnn:{tmp_path / 'a.pth'}")
    assert (teacher.classes.name, teacher.classes.names[19]) == ("cityscapes19+void", "void")
    six = load_class_table("evsegnet6")
    assert merge_of(teacher.classes, six) == (*merge_of("cityscapes19", six), 255)
    told = load(f"fastscnn:{tmp_path / 'a.pth'}", class_table=load_class_table("void+cityscapes19"))
    assert merge_of(told.classes, "cityscapes19") == (255, *range(19))
    # The project whose ENet has unlabelled pixels as class 0.
    assert [x.void_first for x in LAYOUTS if "enet" in x.networks] == [True]
    save_state(tmp_path / "b.pth", classes=12)
    with pytest.raises(LabelError, match=r"12 classes without names, .* or TABLE\+void"):
        load(f"fastscnn:{tmp_path / 'b.pth'}")
    with pytest.raises(LabelError, match="no class 'void' can be added"):
        load_class_table("cityscapes10+void")


def test_names_of_a_teachers_classes_count_in_any_order() -> None:
    names = ["Sky", *(n.replace(" ", "_") for n in CITYSCAPES.names if n != "sky"), "unlabeled"]
    table = table_by_names(names, teacher="t")
    assert table.names[:2] == ("sky", "road")
    expected = tuple(255 if n == "unlabeled" else CITYSCAPES.names.index(n)
                     for n in [*table.names[:-1], "unlabeled"])  # fmt: skip
    assert merge_of(table, CITYSCAPES) == expected
    # Told the table, the order is still the teacher's.
    assert table_by_names(names[:-1], teacher="t", class_table=CITYSCAPES).names == table.names[:-1]
