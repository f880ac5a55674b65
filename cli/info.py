"""``eventseg info``: what a recording or a data set holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options

if TYPE_CHECKING:
    from eventseg.events import SensorSize


@click.command(short_help="Show what a recording or a data set holds.")
@click.argument("path", metavar="FILE|DATA", type=click.Path(exists=True, path_type=Path))
@options.sensor_option
@options.rotate180_option
@options.json_option
def command(path: Path, sensor: SensorSize | None, rotate180: bool, as_json: bool) -> None:
    """Show what a recording holds, or settings, counts and class shares of a data set.

    \b
    eventseg info rec1487339175.hdf5
    eventseg info rec1487339175.eventseg --json
    eventseg info CamVid
    """  # noqa: D301
    from eventseg.dataset.describe import (
        dataset_lines,
        describe_dataset,
        describe_recording,
        recording_lines,
    )
    from eventseg.dataset.reader import dataset_folders, open_dataset
    from eventseg.recordings import open_recording
    from eventseg.sources.describe import describe_folder, folder_lines
    from eventseg.sources.image_folders import open_folder

    described = []
    folder = open_folder(path) if path.is_dir() else None
    if folder is not None:
        described.append((found := describe_folder(folder), folder_lines(found)))
    elif path.is_dir():
        # A folder of data sets, one a window length, is shown as each of them.
        for each in dataset_folders(path) or [path]:
            with open_dataset(each) as dataset:
                described.append((info := describe_dataset(dataset), dataset_lines(info)))
    else:
        with open_recording(path, sensor=sensor, rotate180=rotate180) as recording:
            info = describe_recording(recording)
            lines = recording_lines(info, report=recording.report.lines())
            described.append((info, lines))
    for info, lines in described:
        if as_json:
            options.print_json(info)
        else:
            click.echo("\n".join(lines))
