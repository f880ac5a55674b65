"""``eventseg info``: contents of a recording, data set, run, checkpoint or prediction folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options, printing
from .paths import LEAGUE

if TYPE_CHECKING:
    from eventseg.events import SensorSize
    from eventseg.recordings.choices import TimeUnit


@click.command()
@click.argument("path", metavar="FILE|FOLDER", type=click.Path(path_type=Path))
@options.file_options
@options.rotate180_option
@options.json_option
def command(
    path: Path,
    sensor: SensorSize | None,
    camera: str | None,
    time_unit: TimeUnit | None,
    rotate180: bool,
    as_json: bool,
) -> None:
    """Show the contents of a recording, data set, image folder, league, run or predictions.

    Of a folder of converted recordings it shows format, counts and losses.

    \b
    eventseg info rec1487339175.hdf5
    eventseg info rec1487339175.eventseg --json
    eventseg info CamVid
    eventseg info DDD17_ESS
    eventseg info as_raw
    eventseg info runs/fastscnn
    eventseg info predictions/fastscnn-rec1487339175
    """  # noqa: D301
    # Each kind loads what it needs and no more: torch alone takes seconds.
    from eventseg.networks.shipped import SHIPPED, shipped_file

    shipped = shipped_file(path)
    if shipped is None and not path.exists():
        raise click.UsageError(
            f"there is no file or folder {path}; networks that ship are {', '.join(SHIPPED)}"
        )
    is_folder = path.is_dir() or path.suffix.lower() == LEAGUE
    is_checkpoint = not is_folder and (shipped is not None or path.suffix == ".pt")
    choices: dict[str, Any] = {"sensor": sensor, "camera": camera, "time_unit": time_unit}
    is_given = rotate180 or any(choice is not None for choice in choices.values())
    if is_given and (is_folder or is_checkpoint):
        raise click.UsageError(
            "--sensor, --camera, --time-unit and --rotate180 are for recordings: leave them out "
            f"with {path}"
        )
    if is_folder:
        described = _folder(path)
    elif is_checkpoint:
        from eventseg.training.describe_run import describe_checkpoint, run_lines

        found = describe_checkpoint(shipped or path)
        described = [(found, run_lines(found))]
    else:
        from eventseg.recordings import open_recording
        from eventseg.recordings.describe import describe_recording, recording_lines

        with open_recording(path, rotate180=rotate180, **choices) as recording:
            info = describe_recording(recording)
            described = [(info, recording_lines(info, report=recording.report.lines()))]
    for info, lines in described:
        if as_json:
            printing.print_json(info)
        else:
            click.echo("\n".join(lines))


def _folder(path: Path) -> list[tuple[dict[str, Any], list[str]]]:
    """Return the descriptions of a folder: predictions, a run, conversions, pictures, data sets."""
    from eventseg.prediction.layout import MANIFEST, RUN, UNFINISHED

    if any((path / name).is_file() for name in (MANIFEST, UNFINISHED)):
        from eventseg.prediction.folder import open_predictions

        predicted = open_predictions(path)
        return [(predicted.summary(), predicted.lines())]
    if (path / RUN).is_file():
        from eventseg.training.describe_run import describe_run, run_lines

        found = describe_run(path)
        return [(found, run_lines(found))]
    from eventseg.dataset.conversion.records import is_conversion

    if is_conversion(path):
        from eventseg.dataset.conversion.describe import describe_conversion

        return [describe_conversion(path)]
    from eventseg.dataset.describe import dataset_lines, describe_dataset
    from eventseg.dataset.opening import dataset_folders, open_dataset
    from eventseg.sources.describe import describe_folder, folder_lines
    from eventseg.sources.layouts import open_layout
    from eventseg.training.layout import CONFIG

    folder = open_layout(path)
    if folder is not None:
        found = describe_folder(folder)
        return [(found, folder_lines(found))]
    described = []
    inside = dataset_folders(path)
    if not inside and (path / CONFIG).is_file():
        from eventseg.training.describe_run import describe_run, run_lines

        found = describe_run(path)
        return [(found, run_lines(found))]
    # A folder of data sets, one a window length, is shown as each of them.
    for each in inside or [path]:
        with open_dataset(each) as dataset:
            described.append((info := describe_dataset(dataset), dataset_lines(info)))
    return described
