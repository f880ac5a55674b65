"""``eventseg simulate fit``: events of recordings beside those of streets, with settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import options, printing
from ..group import TitledCommand, option_group
from ..paths import PicturePath, RecordingPath
from ..progress import Messages
from .options import machine_options

if TYPE_CHECKING:
    from eventseg.events import SensorSize
    from eventseg.recordings.choices import TimeUnit


@click.command(
    "fit", cls=TitledCommand, short_help="Compare recordings with streets, propose settings."
)
@click.argument(
    "recordings",
    metavar="RECORDING...",
    nargs=-1,
    required=True,
    type=RecordingPath(),
)
@option_group(
    "Fit",
    click.option(
        "--drives",
        type=click.IntRange(min=0),
        default=48,
        show_default=True,
        help="Simulated drives to fit with, half a second each, at least 24. 0 only measures the "
        "recordings.",
    ),
    click.option("--seed", type=int, default=0, show_default=True, help="Seed of these drives."),
    options.file_options,
)
@option_group(
    "Output",
    click.option(
        "--plot",
        type=PicturePath(),
        metavar="FILE",
        help="Picture of the statistics to write, .png, .pdf or .svg.",
    ),
    options.json_option,
    options.message_options,
)
@machine_options
def fit(
    recordings: tuple[Path, ...],
    drives: int,
    seed: int,
    sensor: SensorSize | None,
    camera: str | None,
    time_unit: TimeUnit | None,
    plot: Path | None,
    threads: int | None,
    as_json: bool,
    messages: Messages,
) -> None:
    """Measure the events of recordings, compare streets with them and propose settings.

    Measures silent pixels, bursts, polarities, lone events, noise, rates and intervals of each
    RECORDING, real or simulated, without its labels. Then simulates drives with settings drawn
    from wide ranges and proposes those whose events have the same statistics. Each proposal comes
    with its error on drives that were left out. That takes a few minutes on two cores.

    \b
    eventseg simulate fit real.aedat4
    eventseg simulate fit real.aedat4 --drives 96 --plot fit.png
    eventseg simulate fit real.aedat4 street.hdf5 --drives 0 --json
    """  # noqa: D301
    from eventseg.recordings.choices import FileChoices
    from eventseg.simulate.report import report_statistics

    with messages.bar() as bar:
        report = report_statistics(
            recordings,
            drives=drives,
            seed=seed,
            sensor=sensor,
            choices=FileChoices.of(camera, time_unit),
            threads=threads,
            progress=bar.update,
        )
    if as_json:
        printing.print_json(report.table())
    else:
        click.echo("\n".join(report.lines()))
    if plot is not None:
        from eventseg.plots.events import save_figure
        from eventseg.plots.statistics import figure_statistics

        save_figure(figure_statistics(**report.panels()), plot)
