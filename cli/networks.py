"""``eventseg networks``: networks to build, their costs and published scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .callbacks import key_value, size
from .options import json_option
from .printing import print_json

if TYPE_CHECKING:
    from eventseg.events import SensorSize
    from eventseg.networks.zoo import Size


DEFAULT_SIZE = "352x256"
"""Size that the committed costs of networks hold for."""

HEADER = ("name", "parameters", "GMAC", "stride", "source", "published mIoU %")


@click.command(
    "networks",
    epilog="""\b
Examples:
  eventseg networks
  eventseg networks --channels 3 --classes 19 --size 1024x512
  eventseg networks fastscnn --summary
  eventseg networks deeplabv3_resnet50 --option output_stride=16
  eventseg networks smp:Unet/resnet34
""",
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--channels", default=6, show_default=True, help="Channels of the input.")
@click.option("--classes", default=6, show_default=True, help="Classes of the logits.")
@click.option(
    "--size",
    default=DEFAULT_SIZE,
    show_default=True,
    callback=size,
    metavar="WIDTHxHEIGHT",
    help="Size of the input that GMAC are counted at.",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    callback=key_value,
    metavar="KEY=VALUE",
    help="Option of the network, such as output_stride=16; may be repeated.",
)
@click.option("--summary", is_flag=True, help="Also list every layer with shape and parameters.")
@json_option
def command(
    names: tuple[str, ...],
    channels: int,
    classes: int,
    size: SensorSize,
    options: dict[str, Any],
    summary: bool,
    as_json: bool,
) -> None:
    """Show networks: parameters, GMAC at a size, output stride, source, published results.

    Without NAME all of them. Nothing is computed or fetched: sizes follow from shapes.
    """
    from eventseg.networks import ARCHITECTURES, architecture

    selected = {name: architecture(name) for name in names or ARCHITECTURES}
    known = (channels, classes, f"{size.width}x{size.height}") == (6, 6, DEFAULT_SIZE)
    rows: list[tuple[str, ...]] = [HEADER]
    details: list[str] = []
    described: list[dict[str, Any]] = []
    for name, entry in selected.items():
        figures = entry.size
        if summary or options or not known or figures is None:
            figures, lines = _computed(
                name, channels=channels, classes=classes, size=size, options=options
            )
            if summary:
                details += [
                    "",
                    f"{name}: layers of an input 1x{channels}x{size.height}x{size.width}",
                ]
                details += lines
        described.append(
            {
                "name": name,
                **figures._asdict(),
                "source": entry.source,
                "published": entry.published,
                **({"layers": lines} if summary else {}),
            }
        )
        rows.append(
            (
                name,
                f"{figures.parameters:,}",
                f"{figures.gmac:.2f}",
                f"{figures.stride}",
                entry.source,
                entry.published,
            )
        )
    if as_json:
        print_json(
            {
                "channels": channels,
                "classes": classes,
                "size": f"{size.width}x{size.height}",
                "networks": described,
            }
        )
        return
    click.echo(f"{channels} channels, {classes} classes, GMAC at {size.width}x{size.height}")
    for line in [*_aligned(rows), *details]:
        click.echo(line)


def _computed(
    name: str, *, channels: int, classes: int, size: SensorSize, options: dict[str, Any]
) -> tuple[Size, list[str]]:
    """Return the size of a network and one line a layer, from shapes alone."""
    import torch

    from eventseg.networks import build_network, cost
    from eventseg.networks.cost import layers, smallest_stride
    from eventseg.networks.zoo import Size

    with torch.device("meta"):
        network = build_network(name, in_channels=channels, classes=classes, **options)
    parameters, gmac = cost(network, height=size.height, width=size.width)
    lines = layers(network, height=size.height, width=size.width)
    return Size(parameters, gmac, smallest_stride(network)), lines


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    numbers = {1, 2, 3}
    return [
        "  ".join(
            cell.rjust(width) if i in numbers else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
