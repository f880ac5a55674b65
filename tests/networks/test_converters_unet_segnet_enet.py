"""Published checkpoints of U-Net, SegNet and ENet give what their own networks give."""

import pytest
import torch
from naive_unet_segnet_enet import Weights, enet_port, segnet, unet

from eventseg.networks.converters.enet import DAVIDTVS
from eventseg.networks.converters.layout import Layout
from eventseg.networks.converters.segnet import MEETSHAH1995
from eventseg.networks.converters.unet import MILESIAL
from eventseg.networks.enet import ENet
from eventseg.networks.segnet import SegNet
from eventseg.networks.unet import UNet

LAYOUTS = (DAVIDTVS, MEETSHAH1995, MILESIAL)


def loaded(made, layout: Layout, weights: Weights, *, classes: int):
    """Return our network with foreign weights, in evaluation mode."""
    assert [other for other in LAYOUTS if other.recognise(frozenset(weights.state))] == [layout]
    options = dict(layout.options)
    if layout.options_of:
        options |= layout.options_of(weights.state)
    network = made(3, classes, **options)
    # Strict: nothing is missing, nothing left over.
    network.load_state_dict(layout.convert(weights.state))
    return network.eval()


@torch.no_grad()
@pytest.mark.parametrize(
    ("bilinear", "size"), [(False, (32, 48)), (False, (45, 61)), (True, (32, 48))]
)
def test_unet_of_milesial(bilinear: bool, size: tuple[int, int]) -> None:
    weights, x = Weights(), torch.randn(2, 3, *size)
    expected = unet(weights, x, 4, base=6, bilinear=bilinear)
    network = loaded(UNet, MILESIAL, weights, classes=4)
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-4)
    assert network.transposed is not bilinear


@torch.no_grad()
@pytest.mark.parametrize("size", [(32, 64), (45, 61)])
def test_segnet_of_meetshah1995(size: tuple[int, int]) -> None:
    weights, x = Weights(), torch.randn(1, 3, *size)
    expected = segnet(weights, x, 5)
    network = loaded(SegNet, MEETSHAH1995, weights, classes=5)
    torch.testing.assert_close(network(x), expected, rtol=1e-3, atol=1e-3)
    assert expected.std() > 0.05


@torch.no_grad()
@pytest.mark.parametrize("size", [(64, 96), (65, 97), (50, 58), (71, 83)])
def test_enet_of_davidtvs(size: tuple[int, int]) -> None:
    weights, x = Weights(), torch.randn(2, 3, *size)
    expected = enet_port(weights, x, 20)
    network = loaded(ENet, DAVIDTVS, weights, classes=20)
    torch.testing.assert_close(network(x), expected, rtol=1e-3, atol=1e-3)
    assert expected.std() > 0.05


def test_enet_of_older_versions_is_not_taken_for_the_newer_network() -> None:
    weights = Weights()
    enet_port(weights, torch.randn(1, 3, 32, 32), 20)
    older = {name.replace("out_activation", "out_prelu") for name in weights.state}
    assert not DAVIDTVS.recognise(frozenset(older))


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_unknown_tensors_are_kept_and_so_reported(layout: Layout) -> None:
    extra = torch.zeros(1)
    assert layout.convert({"extra.weight": extra})["extra.weight"] is extra
