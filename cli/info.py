"""``eventseg info``: what a recording, data set, run, checkpoint or prediction folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options

if TYPE_CHECKING:
    from eventseg.events import SensorSize


@click.command(short_help="Show what a file or folder holds.")
@click.argument("path", metavar="FILE|FOLDER", type=click.Path(path_type=Path))
@options.sensor_option
@options.rotate180_option
@options.json_option
def command(path: Path, sensor: SensorSize | None, rotate180: bool, as_json: bool) -> None:
    """Show what a recording, data set, image folder, league, run, checkpoint or predictions hold.

    \b
    eventseg info rec1487339175.hdf5
    eventseg info rec1487339175.eventseg --json
    eventseg info CamVid
    eventseg info DDD17_ESS
    eventseg info runs/fastscnn
    eventseg info predictions/fastscnn-rec1487339175
    """  # noqa: D301
    from eventseg.dataset.describe import (
        dataset_lines,
        describe_dataset,
        describe_recording,
        recording_lines,
    )
    from eventseg.dataset.reader import dataset_folders, open_dataset
    from eventseg.networks.shipped import SHIPPED, shipped_file
    from eventseg.prediction.folder import open_predictions
    from eventseg.prediction.layout import MANIFEST, RUN, UNFINISHED
    from eventseg.recordings import open_recording
    from eventseg.sources.describe import describe_folder, folder_lines
    from eventseg.sources.layouts import open_layout
    from eventseg.training.describe_run import describe_checkpoint, describe_run, run_lines

    shipped = shipped_file(path)
    if shipped is None and not path.exists():
        raise click.UsageError(
            f"there is no file or folder {path}; networks that ship are {', '.join(SHIPPED)}"
        )
    described: list[tuple[dict[str, Any], list[str]]] = []
    folder = open_layout(path)
    if folder is not None:
        described.append((found := describe_folder(folder), folder_lines(found)))
    elif any((path / name).is_file() for name in (MANIFEST, UNFINISHED)):
        predicted = open_predictions(path)
        described.append((predicted.summary(), predicted.lines()))
    elif (path / RUN).is_file():
        described.append((found := describe_run(path), run_lines(found)))
    elif shipped is not None or path.suffix == ".pt":
        found = describe_checkpoint(shipped or path)
        described.append((found, run_lines(found)))
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
