"""Settings of network, input, labels and size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from eventseg.errors import TrainingError
from eventseg.events import SensorSize
from eventseg.networks.inputs import Scaling
from eventseg.windows import parse_duration

if TYPE_CHECKING:
    from eventseg.encoding.settings import Encoding, Normalisation


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """The network, as :func:`eventseg.networks.build_network` takes it.

    Parameters
    ----------
    name : str
        Network, such as ``evsegnet``, ``smp:ARCHITECTURE/ENCODER``, or ``FILE.py:NAME`` of your
        own.
    init : str
        Initial weights: ``random``; ``imagenet`` or ``imagenet:PATH`` for the trunk; or those of a
        run folder, of a checkpoint, of a published one as ``PATH`` or ``NETWORK:PATH``, or of the
        shipped network ``street-fastscnn``, for short ``street``. The first convolution is
        inflated to the input's channels, heads of other classes stay random.
    unsafe_pickle : bool
        Whether a published file of initial weights that holds more than plain values is read: it
        can run any code on loading.
    frozen_batch_norm : bool
        Whether batch norms keep their statistics, scales and shifts.
    frozen : tuple of str
        Parts that keep their weights and the statistics of their batch norms, by the beginnings of
        their parameters' names, such as ``backbone.``.
    options : mapping
        Options of the network's constructor, such as ``output_stride = 8``.
    """

    name: str = "evsegnet"
    init: str = "random"
    unsafe_pickle: bool = False
    frozen_batch_norm: bool = False
    frozen: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSettings:
    """Input of the network.

    Parameters
    ----------
    kind : {"events", "gray", "rgb", "both"}
        Input of the network; ``both`` is gray followed by the channels of the events.
    fusion : {"early", "late"}
        Fusion of the input ``both``: one network on all its channels, or two networks whose logits
        are averaged.
    windows : tuple of str
        Window lengths such as ``50ms``; one is drawn for each sample, and in validation they take
        turns.
    normalise : {"auto", "sqrt", "evsegnet", "raw"}
        Normalisation of the event tensor: ``sqrt`` takes square roots of the counts, ``evsegnet``
        has the ranges of EV-SegNet's files. ``auto`` is ``sqrt`` where the six channels of mean-std
        are stored raw, else as they are stored.
    live : bool
        Whether events are encoded from the recordings even where tensors are stored.
    encode : {"auto", "workers", "device"}
        Where live events are encoded: by the processes that load them, or batch by batch on the
        device of the network. ``auto`` takes a CUDA device, else the workers. Both give the same
        tensors.
    scaling : Scaling
        Scaling of the image: the value of 255, then mean and deviation.

    Raises
    ------
    TrainingError
        No window, late fusion of one input, or stored tensors to be encoded on the device.
    WindowError
        A window that is no duration.
    """

    kind: Literal["events", "gray", "rgb", "both"] = "events"
    fusion: Literal["early", "late"] = "early"
    windows: tuple[str, ...] = ("50ms",)
    normalise: Literal["auto", "sqrt", "evsegnet", "raw"] = "auto"
    live: bool = False
    encode: Literal["auto", "workers", "device"] = "auto"
    scaling: Scaling = field(default_factory=lambda: Scaling(mean=(0.0,), std=(1.0,)))

    def __post_init__(self) -> None:
        if not self.windows:
            raise TrainingError("windows must name at least one length, such as 50ms")
        for window in self.windows:
            parse_duration(window)
        if self.fusion == "late" and self.kind != "both":
            raise TrainingError(f"late fusion needs the input both, not {self.kind}")
        if self.encode == "device" and not self.live:
            raise TrainingError("encode device is for live encoding: set input.live=true too")
        scaling = self.scaling
        if len(scaling.mean) != len(scaling.std) or not all(one > 0 for one in scaling.std):
            raise TrainingError("scaling needs as many deviations as means, all above 0")

    def normalisation(self, encoding: Encoding | None) -> Normalisation:
        """Return the normalisation of the event tensors that a source stores so.

        Raises
        ------
        TrainingError
            A normalisation asked of another representation than ``mean-std``, or of tensors that
            are stored in another one.
        """
        # Loaded here, so that a configuration is read without representations.
        from eventseg.encoding.representation import MEAN_STD

        if encoding is None:
            return "sqrt" if self.normalise == "auto" else self.normalise
        representation, stored = encoding.representation, encoding.normalise
        if self.normalise == "auto":
            return "sqrt" if representation == MEAN_STD and stored == "raw" else stored
        if self.normalise != "raw" and representation != MEAN_STD:
            raise TrainingError(
                f"the {self.normalise} normalisation is defined for the six channels of "
                f"{MEAN_STD}; this data set holds {representation}: set input.normalise=raw or auto"
            )
        if stored not in ("raw", self.normalise):
            raise TrainingError(
                f"this data set holds {stored} tensors, which cannot be turned to "
                f"{self.normalise}: set input.normalise={stored}, or encode with --normalise raw"
            )
        return self.normalise


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSettings:
    """Labels that the network learns.

    Parameters
    ----------
    set : str
        Label set to learn: ``truth``, or the name of a set that ``eventseg pseudolabel`` or
        ``eventseg labels import`` made.
    classes : str
        Class table to merge the labels into, by name or file; by default that of the label set.
    """

    set: str = "truth"
    classes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeSettings:
    """Sizes of pictures in training and validation; by default those of the data set.

    Parameters
    ----------
    resize : SensorSize, optional
        Size that all pictures are brought to, in training and in validation; by default their own.
    rescale : float
        Factor that sizes of all pictures are multiplied by, in place of a size.
    crop : SensorSize, optional
        Size of training samples, cut out or padded after augmentation's enlargement; by default
        that of the pictures.
    rule : {"centres", "evsegnet"}
        How pixels are chosen where pictures are resized: nearest centres for events and labels
        and a low-pass for frames that shrink, or as EV-SegNet's code does it; see
        :mod:`eventseg.networks.resizing`.
    validation_crop : SensorSize, optional
        Size of the part about the centre that validation during training sees; by default all.

    Raises
    ------
    TrainingError
        Both a size and a factor, or a factor that is not above 0.
    """

    resize: SensorSize | None = None
    rescale: float = 1.0
    rule: Literal["centres", "evsegnet"] = "centres"
    crop: SensorSize | None = None
    validation_crop: SensorSize | None = None

    def __post_init__(self) -> None:
        if not self.rescale > 0 or (self.resize is not None and self.rescale != 1):
            raise TrainingError(
                f"give resize or a rescale above 0, not resize {self.resize} with rescale "
                f"{self.rescale}"
            )

    def resized(self, size: SensorSize) -> SensorSize:
        """Return the size that pictures of a size are brought to."""
        if self.resize is not None:
            return self.resize
        return SensorSize(round(size.height * self.rescale), round(size.width * self.rescale))
