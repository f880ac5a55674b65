"""``eventseg networks``: what can be built, what it costs, what was published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .options import key_value, size

if TYPE_CHECKING:
    from eventseg.events import SensorSize


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
    default="352x256",
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
def command(
    names: tuple[str, ...],
    channels: int,
    classes: int,
    size: SensorSize,
    options: dict[str, Any],
    summary: bool,
) -> None:
    """Show networks: parameters, GMAC at a size, output stride, source, published results.

    Without NAME all of them. Nothing is computed or fetched: sizes follow from shapes.
    """
    import torch

    from eventseg.networks import ARCHITECTURES, architecture, build_network, cost
    from eventseg.networks.cost import layers, smallest_stride

    height, width = size
    rows: list[tuple[str, ...]] = [HEADER]
    details: list[str] = []
    for name in names or ARCHITECTURES:
        made = architecture(name)
        with torch.device("meta"):
            network = build_network(name, in_channels=channels, classes=classes, **options)
        parameters, gmac = cost(network, height=height, width=width)
        rows.append(
            (name, f"{parameters:,}", f"{gmac:.2f}", f"{smallest_stride(network)}", made.source,
             made.published)
        )  # fmt: skip
        if summary:
            details += ["", f"{name}: layers of an input 1x{channels}x{height}x{width}"]
            details += layers(network, height=height, width=width)
    click.echo(f"{channels} channels, {classes} classes, GMAC at {width}x{height}")
    for line in _aligned(rows):
        click.echo(line)
    for line in details:
        click.echo(line)


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
