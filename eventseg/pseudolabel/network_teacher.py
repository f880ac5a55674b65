"""Teachers that are networks: of this project with a checkpoint, or of torchvision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from eventseg.errors import CheckpointError, known_names
from eventseg.labels.known_classes import table_by_number
from eventseg.labels.maps import ClassTable
from eventseg.networks.checkpoints import TrainedNetwork, restore_network
from eventseg.networks.inputs import IMAGENET, Scaling
from eventseg.networks.memory_format import channels_last_copy
from eventseg.networks.network import SegmentationNetwork
from eventseg.networks.published import load_named, load_state, published_inputs
from eventseg.networks.resizing import ResizeRule, resize_pictures
from eventseg.networks.weights import load_file, read_weights
from eventseg.pseudolabel.licences import UNKNOWN
from eventseg.pseudolabel.teacher import TeacherSource, scaled, weights_digest

OURS = f"{UNKNOWN}; that of the data it was trained on may bind you"
"""Licence of a checkpoint that this project wrote, which does not hold one."""


@dataclass(frozen=True, eq=False, slots=True)
class NetworkTeacher:
    """A network that sees gray or RGB pictures and gives logits at their size.

    Parameters
    ----------
    name, digest, classes, licence, device, multiple
        As :class:`eventseg.pseudolabel.teacher.Teacher` says.
    scaling : Scaling
        Scaling of pictures that it was trained with.
    in_channels : {1, 3}
        Channels of its input: gray or RGB.
    size : (int, int), optional
        Height and width that it was trained at; pictures are resized to it.
    source : TeacherSource, optional
        Arguments that it was loaded with.
    resize : {"centres", "evsegnet"}
        Rule by which pictures are resized, see :mod:`eventseg.networks.resizing`.
    """

    name: str
    digest: str
    classes: ClassTable
    licence: str
    device: torch.device
    scaling: Scaling
    in_channels: int = 3
    size: tuple[int, int] | None = None
    multiple: int = 1
    source: TeacherSource | None = None
    resize: ResizeRule = "centres"
    _network: nn.Module = field(kw_only=True, repr=False)

    @property
    def fixed_input(self) -> bool:
        """Whether pictures are resized to the size of training."""
        return self.size is not None

    @property
    def training_frame(self) -> tuple[int, int] | None:
        """Height and width that pictures are resized to, if any."""
        return self.size

    def probabilities(self, pictures: Tensor) -> Tensor:
        """Return class probabilities (N, C, H, W) of RGB pictures (N, 3, H, W), 0 to 255."""
        x = pictures
        if self.size is not None:
            x = resize_pictures(x, self.size, rule=self.resize)
        logits: Tensor = self._network(scaled(x, self.scaling, channels=self.in_channels))
        if logits.shape[2:] != pictures.shape[2:]:
            logits = functional.interpolate(logits, size=pictures.shape[2:], mode="bilinear")
        return logits.softmax(1)

    def fast_scores(self, bfloat16: bool) -> Callable[[Tensor], Tensor]:
        """Return a function from pictures to class scores at the size of the network's last map.

        Parameters
        ----------
        bfloat16 : bool
            Whether products are of numbers that are rounded to bfloat16.
        """
        # Convolutions in float32 are slower with channels last, in bfloat16 faster.
        network = channels_last_copy(self._network) if bfloat16 else self._network

        def scores(pictures: Tensor) -> Tensor:
            x = pictures
            if self.size is not None:
                x = resize_pictures(x, self.size, rule=self.resize)
            x = scaled(x, self.scaling, channels=self.in_channels)
            if bfloat16:
                x = x.contiguous(memory_format=torch.channels_last)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16):
                # Aligned corners are those of the input, not of a frame.
                if isinstance(network, SegmentationNetwork) and not network.align_corners:
                    return network.heads(x)[0].float()
                logits: Tensor = network(x)
                return logits.float()

        return scores


def load_own(path: Path, *, device: torch.device) -> NetworkTeacher:
    """Load a checkpoint that training wrote; it states classes and scaling.

    Raises
    ------
    CheckpointError
        No such file, one of another project, or a network that does not see pictures.
    """
    return _own(restore_network(load_file(path), path=path), path, device=device)


def load_foreign(
    network: str,
    path: Path,
    *,
    device: torch.device,
    class_table: ClassTable | None = None,
    unsafe_pickle: bool = False,
) -> NetworkTeacher:
    """Load a published checkpoint into the network of this project that it holds.

    Parameters
    ----------
    network : str
        Name of the network, such as ``pspnet101``.
    path : Path
        The checkpoint; one of our own is taken as such.
    device : torch.device
    class_table : ClassTable, optional
        Classes of the teacher; 19 without names are taken for those of Cityscapes. A file of
        ours states its own, and keeps them.
    unsafe_pickle : bool
        Also read a file that can run any code on loading.

    Raises
    ------
    CheckpointError
        No such file, or tensors that do not fit the network.
    NetworkError
        An unknown name.
    LabelError
        Classes of no known table, or of another number than the given table.
    """
    published = load_named(network, path, unsafe_pickle=unsafe_pickle)
    if isinstance(published, TrainedNetwork):
        return _own(published, path, device=device)
    name, channels = f"{network}:{path.name}", published.blueprint.in_channels
    _check_channels(name, published.scaling, channels)
    inputs = published_inputs(published, owner=f"teacher {name}")
    return _teacher(
        published.network,
        name=name,
        classes=table_by_number(
            published.blueprint.classes,
            owner=f"teacher {name}",
            class_table=class_table,
            void_first=published.void_first,
        ),
        licence=UNKNOWN,
        device=device,
        scaling=inputs.scaling,
        in_channels=inputs.channels,
        size=inputs.size,
        resize=inputs.resize,
        facts={"network": network, "options": repr(sorted(published.blueprint.options.items()))},
    )


def load_torchvision(
    architecture: str,
    path: Path,
    *,
    device: torch.device,
    class_table: ClassTable | None = None,
    unsafe_pickle: bool = False,
) -> NetworkTeacher:
    """Load the weights of one of torchvision's segmentation networks.

    Parameters
    ----------
    architecture : str
        Its name in torchvision, such as ``deeplabv3_resnet50``.
    path : Path
        File with its ``state_dict``, with an auxiliary head or without.
    device, class_table, unsafe_pickle
        As for :func:`load_foreign`.

    Raises
    ------
    CheckpointError
        As for :func:`load_foreign`, and an unknown architecture.
    LabelError
        As for :func:`load_foreign`.
    """
    from torchvision import models

    known = models.list_models(module=models.segmentation)
    if architecture not in known:
        raise CheckpointError(
            f"torchvision has no network {architecture!r}{known_names(architecture, known)}"
        )
    state = read_weights(path, unsafe_pickle=unsafe_pickle)
    last = [name for name in LAST if name in state]
    if not last:
        raise CheckpointError(
            f"{path} is no checkpoint of torchvision's {architecture}: it begins with "
            f"{', '.join(list(state)[:4])}"
        )
    count = int(state[last[0]].shape[0])
    auxiliary = any(name.startswith("aux_classifier.") for name in state)
    network = models.get_model(
        architecture,
        weights=None,
        weights_backbone=None,
        num_classes=count,
        **({"aux_loss": True} if auxiliary else {}),
    )
    report = load_state(network, state, layout="torchvision")
    if not report.whole:
        raise CheckpointError(f"{path} does not fit {architecture}: {'; '.join(report.lines())}")
    name = f"torchvision:{architecture}:{path.name}"
    return _teacher(
        _MainOutput(network.eval()),
        name=name,
        classes=table_by_number(count, owner=f"teacher {name}", class_table=class_table),
        licence=UNKNOWN,
        device=device,
        scaling=IMAGENET,
        in_channels=3,
        facts={"network": f"torchvision:{architecture}"},
    )


LAST = ("classifier.4.weight", "classifier.low_classifier.weight")
"""Last layers of torchvision's networks, which tell the number of classes."""


class _MainOutput(nn.Module):
    """A network of torchvision with its main output only."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, C, H, W)."""
        logits: Tensor = self.network(x)["out"]
        return logits


def _own(trained: TrainedNetwork, path: Path, *, device: torch.device) -> NetworkTeacher:
    inputs, blueprint = trained.inputs, trained.blueprint
    if inputs.kind not in ("gray", "rgb"):
        raise CheckpointError(
            f"{path} holds a network that sees {inputs.kind}: a teacher must see gray or rgb "
            "pictures"
        )
    return _teacher(
        trained.network,
        name=f"{blueprint.name}:{path.name}",
        classes=trained.classes,
        licence=OURS,
        device=device,
        scaling=inputs.scaling,
        in_channels=inputs.channels,
        size=inputs.size,
        resize=inputs.resize,
        facts={"blueprint": repr(sorted(asdict(blueprint).items()))},
    )


def _check_channels(name: str, scaling: Scaling, in_channels: int) -> None:
    """Raise a CheckpointError where pictures cannot be scaled to the channels of a network."""
    # One picture of nothing: a network of other channels is refused before any work.
    scaled(torch.zeros(1, 3, 1, 1), scaling, channels=in_channels)
    # Three means would make three channels of a gray picture.
    for values in (scaling.mean, scaling.std):
        if len(values) not in (1, in_channels):
            raise CheckpointError(
                f"{name} sees {in_channels} channels, and its scaling is known for {len(values)}: "
                "nothing says how its pictures are scaled"
            )


def _teacher(
    network: nn.Module,
    *,
    name: str,
    classes: ClassTable,
    licence: str,
    device: torch.device,
    scaling: Scaling,
    in_channels: int,
    facts: dict[str, object],
    size: tuple[int, int] | None = None,
    resize: ResizeRule = "centres",
) -> NetworkTeacher:
    _check_channels(name, scaling, in_channels)
    facts = {**facts, "scaling": repr(scaling), "size": repr(size)}
    if resize != "centres":  # digests from before rules were told stay as they are
        facts["resize"] = resize
    digest = weights_digest(network.state_dict(), facts=facts)
    return NetworkTeacher(
        name,
        digest,
        classes,
        licence,
        device,
        scaling,
        in_channels,
        size,
        resize=resize,
        _network=network.eval().to(device),
    )
