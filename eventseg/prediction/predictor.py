"""Predictor: a trained network on a device, and its class probabilities for one input."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from eventseg.device import choose_device
from eventseg.errors import NetworkError, TrainingError
from eventseg.labels.maps import Labels
from eventseg.networks import InputSpec, TrainedNetwork
from eventseg.networks.inputs import scaled
from eventseg.networks.resizing import ResizeRule, resize_inputs, resize_scores, resize_views
from eventseg.prediction.checkpoint_file import find_checkpoint
from eventseg.prediction.loading import load_trained
from eventseg.prediction.prediction import labels_of
from eventseg.sources.source import Source


@dataclass(frozen=True, slots=True)
class TestTimeAugmentation:
    """Views of an input whose probabilities are averaged.

    Parameters
    ----------
    scales : tuple of float
        Sizes as factors of the input's.
    flip : bool
        Whether the mirrored input is a view too, at each scale.
    resize : {"centres", "evsegnet"}
        Rule by which views and their scores are resized, see :mod:`eventseg.networks.resizing`.

    Raises
    ------
    TrainingError
        No scale, or one that is not above 0.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    resize: ResizeRule = "centres"

    def __post_init__(self) -> None:
        if not self.scales or not all(scale > 0 for scale in self.scales):
            raise TrainingError(f"scales must be one or more numbers above 0, got {self.scales}")

    def __str__(self) -> str:
        """Return a short description, such as ``single pass``."""
        if self.scales == (1.0,) and not self.flip:
            return "single pass"
        scales = f"scales {', '.join(f'{scale:g}' for scale in self.scales)}"
        flip = " and flip" if self.flip else ""
        return f"{scales}{flip}{', corners aligned' if self.resize == 'evsegnet' else ''}"


SINGLE = TestTimeAugmentation()
PUBLISHED = TestTimeAugmentation((1.0, 0.75, 1.5), flip=True, resize="evsegnet")
"""The six passes of EV-SegNet's final test, as its code has them."""


@dataclass(frozen=True, eq=False, slots=True)
class Predictor:
    """A trained network on a device, called with one input.

    Parameters
    ----------
    trained : TrainedNetwork
        In evaluation mode, on the device.
    device : torch.device
    test_time : TestTimeAugmentation
        Views of the input that are averaged.
    """

    trained: TrainedNetwork
    device: torch.device
    test_time: TestTimeAugmentation = SINGLE

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return class probabilities.

        Parameters
        ----------
        x : float32 (C, H, W)
            Input as the network was trained to see it: encoded and normalised events, a scaled
            frame, or the frame's channel followed by the events.

        Returns
        -------
        float32 (K, H, W)
            Probabilities that add up to 1 at each pixel.

        Raises
        ------
        NetworkError
            An input of another shape, or logits that are no numbers.
        """
        if x.ndim != 3 or len(x) != self.trained.inputs.channels:
            raise NetworkError(
                f"an input of shape {x.shape} for a network of {self.trained.inputs.channels} "
                f"channels; give ({self.trained.inputs.channels}, height, width)"
            )
        batch = torch.from_numpy(np.ascontiguousarray(x, np.float32))[None].to(self.device)
        size = (int(x.shape[1]), int(x.shape[2]))
        made = probabilities(self.trained, batch, size=size, test_time=self.test_time).cpu()
        check_numbers(made, self.trained)
        found: NDArray[np.float32] = made[0].numpy()
        return found

    def __repr__(self) -> str:
        """Return network, input and device on one line."""
        inputs = self.trained.inputs
        return (
            f"Predictor({self.trained.blueprint.name}, {inputs.channels} channels of "
            f"{inputs.kind}, {len(self.trained.classes)} classes, {self.test_time}, {self.device})"
        )


def predictor(
    network: str | Path | TrainedNetwork,
    *,
    test_time: TestTimeAugmentation = SINGLE,
    device: str = "auto",
) -> Predictor:
    """Return a trained network that is ready to predict one input after the other.

    Parameters
    ----------
    network : path or TrainedNetwork
        Run folder, checkpoint, exported ``.onnx`` file, name of a shipped network, ``NETWORK:PATH``
        for a published checkpoint, or the result of :func:`eventseg.load_network`.
    test_time : TestTimeAugmentation
        Views of the input that are averaged, by default the input itself.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises
    ------
    CheckpointError
        No such file, or none that holds a network.
    DeviceError
        A device that is not there.

    Examples
    --------
    >>> predict_one = predictor(run.path / "best.pt", device="cpu")
    >>> predict_one(data.tensor(0, "50ms")).shape
    (19, 48, 64)
    """
    trained = (
        network if isinstance(network, TrainedNetwork) else load_trained(find_checkpoint(network))
    )
    chosen = choose_device(device)
    trained.network.to(chosen).eval()
    return Predictor(trained, chosen, test_time)


def network_input(
    source: Source, i: int, *, inputs: InputSpec, window: str, shift_us: int = 0
) -> Tensor:
    """Return the input of a network for a sample, float32 (C, H, W), at the sample's own size.

    Parameters
    ----------
    source : Source
    i : int
        Index of the sample.
    inputs : InputSpec
        Input that the network was trained on.
    window : str
        Window of the events.
    shift_us : int
        Shift of the window to earlier times, for the baseline of a wrong clock.
    """
    parts = []
    if inputs.kind != "events":
        parts.append(scaled(source.image(i, colour=inputs.kind == "rgb"), inputs.scaling))
    if inputs.kind in ("events", "both"):
        move = None if shift_us == 0 else lambda span: (span[0] - shift_us, span[1] - shift_us)
        parts.append(source.events(i, window, normalise=inputs.normalise, change_window=move))
    return torch.from_numpy(np.ascontiguousarray(np.concatenate(parts)))


@torch.inference_mode()
def probabilities(
    trained: TrainedNetwork,
    x: Tensor,
    *,
    size: tuple[int, int],
    test_time: TestTimeAugmentation = SINGLE,
) -> Tensor:
    """Return class probabilities, averaged over the views.

    The input is brought to the size and by the rule of the network's training, then to the size
    of each view by the rule of `test_time`, by which its logits come back too.

    Parameters
    ----------
    trained : TrainedNetwork
    x : float32 (N, C, H, W)
        On the network's device.
    size : (int, int)
        Height and width of the result.
    test_time : TestTimeAugmentation

    Returns
    -------
    float32 (N, K, height, width)
        Of sum 1 over the classes.
    """
    inputs = trained.inputs
    if inputs.size is not None:
        x = resize_inputs(x, inputs.size, kind=inputs.kind, rule=inputs.resize)
    whole, rule = x.shape[-2:], test_time.resize
    total: Tensor | None = None
    for scale in test_time.scales:
        view_size = (round(whole[0] * scale), round(whole[1] * scale))
        seen = resize_views(x, view_size, kind=inputs.kind, rule=rule)
        for mirrored in (False, True)[: 1 + test_time.flip]:
            logits = trained.network(seen.flip(-1) if mirrored else seen)
            assert isinstance(logits, Tensor)  # in evaluation mode there are no auxiliary heads
            logits = logits.flip(-1) if mirrored else logits
            made = functional.softmax(resize_scores(logits.float(), size, rule=rule), dim=1)
            total = made if total is None else total + made
    assert total is not None
    return total / (len(test_time.scales) * (1 + test_time.flip))


def label_map(likelihood: Tensor) -> Labels:
    """Return the most likely class of each pixel, uint8 (H, W), of one sample (1, K, H, W).

    On a CPU by NumPy, whose argmax of planes takes a fifth of the time of torch's.
    """
    if likelihood.device.type == "cpu":
        return labels_of(likelihood[0].numpy())
    found: Labels = likelihood[0].argmax(0).to(torch.uint8).cpu().numpy()
    return found


def check_numbers(found: Tensor, trained: TrainedNetwork) -> None:
    """Raise a NetworkError where probabilities are NaN: the labels would be those of any class.

    Parameters
    ----------
    found : float32 (N, K, H, W)
        As :func:`probabilities` returns them: what is NaN in one class is so in all.
    trained : TrainedNetwork
    """
    if bool(found[:, 0].isnan().any()):
        of = f" of {trained.source}" if trained.source else ""
        raise NetworkError(
            f"the network {trained.blueprint.name}{of} returns logits that are no numbers (NaN or "
            "infinite): its weights are damaged or its training diverged; take an earlier "
            "checkpoint"
        )
