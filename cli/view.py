"""``eventseg view``: a moment of a recording, or samples of a folder, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from . import callbacks, options, printing
from .group import TitledCommand, option_group, title_of
from .paths import LEAGUE, PicturePath
from .progress import Messages

if TYPE_CHECKING:
    from eventseg.events import SensorSize
    from eventseg.recordings.choices import TimeUnit


RECORDING_TITLES = ("Recording", "Film of a recording")
"""Titles of the options that no folder takes."""

FOLDER_TITLES = ("Folder",)
"""Titles of the options that no recording takes."""

FILMS = (".mp4", ".gif")


@click.command(
    cls=TitledCommand,
    epilog="""\b
Examples:
  eventseg view rec1487339175.hdf5
  eventseg view rec1487339175.hdf5 --at 12.5s --window 10ms --out moment.png
  eventseg view rec1487339175.hdf5 --window 10ms,50ms,250ms
  eventseg view rec1487339175.hdf5 --interactive
  eventseg view rec1487339175.hdf5 --from 12s --until 20s --out film.mp4
  eventseg view drives.eventseg --labels truth --count 8
  eventseg view drives.eventseg --sample rec1487339175_f000012 --run runs/fastscnn
  eventseg view runs/fastscnn --out sheet.pdf
  eventseg view predictions/fastscnn-rec1487339175
  eventseg view predictions/fastscnn-rec1487339175 --out film.mp4
""",
)
@click.argument("path", type=click.Path(exists=True, path_type=Path), metavar="FILE|FOLDER")
@option_group(
    "Window",
    click.option(
        "--window",
        "windows_us",
        callback=callbacks.durations,
        metavar="LENGTH[,LENGTH...]",
        help="Length of the window; several lengths of a recording are drawn side by side.  "
        "[default: 50ms; of a folder the one of the network, or the first]",
    ),
)
@option_group(
    "Recording",
    click.option(
        "--at",
        "at_us",
        callback=callbacks.time_after_start,
        metavar="TIME",
        help="Time at which the window ends, counted from the first event, such as 12.5s.  "
        "[default: the middle]",
    ),
    click.option(
        "--interactive",
        is_flag=True,
        help="Open a window with sliders for time and window length, and the channels.",
    ),
    options.file_options,
    options.shift_frames_option,
    options.rotate180_option,
)
@option_group(
    "Film of a recording",
    click.option(
        "--every",
        callback=callbacks.duration,
        metavar="LENGTH",
        help="Distance of the pictures in time.  [default: its frames]",
    ),
    options.part_options(),
)
@option_group(
    "Folder",
    click.option(
        "--sample",
        "sample_ids",
        multiple=True,
        metavar="ID",
        help="Sample to show. The option can be given several times.",
    ),
    click.option(
        "--count",
        type=click.IntRange(1, 100),
        help="Number of samples, spread over all.  [default: 6]",
    ),
    click.option("--split", metavar="SPLIT", help="Part of a data set or run to choose from."),
    click.option(
        "--labels",
        metavar="SET",
        help="Label set of a data set.  [default: truth, or the only one]",
    ),
    click.option(
        "--run",
        metavar="RUN",
        help="Run folder, checkpoint or shipped network that predicts the samples of a data set.",
    ),
    options.device_option(),
)
@option_group(
    "Output",
    options.out_option(
        "Picture to write, .png, .pdf or .svg; of a recording or a prediction folder also a film, "
        ".mp4 (extra video) or .gif.  [default: the name of FILE or FOLDER with .png]",
        type=PicturePath(FILMS),
    ),
    options.json_option,
    options.message_options,
)
def command(
    path: Path,
    at_us: int | None,
    windows_us: tuple[int, ...] | None,
    every: int | None,
    begin_us: int | None,
    end_us: int | None,
    interactive: bool,
    sample_ids: tuple[str, ...],
    count: int | None,
    split: str | None,
    labels: str | None,
    run: str | None,
    out: Path | None,
    sensor: SensorSize | None,
    camera: str | None,
    time_unit: TimeUnit | None,
    shift_frames: int,
    rotate180: bool,
    device: str,
    as_json: bool,
    messages: Messages,
) -> None:
    """Draw a moment of a recording, or samples of a data set, run or prediction folder.

    Of a recording: the frame, events over it and the six channels; of several windows the events
    of each over the frame, and their counts. Of a folder: a contact sheet of samples with frame,
    events, labels, prediction and wrong pixels, as far as there are some.
    """
    context = click.get_current_context()
    is_recording = path.is_file() and path.suffix.lower() != LEAGUE
    wrong = FOLDER_TITLES if is_recording else RECORDING_TITLES
    for param in context.command.params:
        if title_of(param) in wrong and _is_given(context, param):
            kind = "a folder" if is_recording else "a recording"
            raise click.UsageError(f"{param.opts[0]} is for {kind}; {path} is none")
    if sample_ids and count is not None:
        raise click.UsageError("--count chooses samples by itself: leave it out with --sample")
    is_film = out is not None and out.suffix.lower() in FILMS
    if not is_film and (every is not None or begin_us is not None or end_us is not None):
        raise click.UsageError("--every, --from and --until are for films: --out FILE.mp4 or .gif")
    if interactive:
        if out is not None or as_json or (windows_us is not None and len(windows_us) > 1):
            raise click.UsageError("--interactive takes one --window, no --out and no --json")
        _explore(
            path,
            at_us,
            windows_us,
            sensor=sensor,
            rotate180=rotate180,
            camera=camera,
            time_unit=time_unit,
            shift_frames_us=shift_frames,
        )
        return
    if is_recording and is_film:
        from eventseg.prediction.recording_film import film_recording

        if at_us is not None or (windows_us is not None and len(windows_us) > 1):
            raise click.UsageError("a film takes one --window and no --at; see --from and --until")
        assert out is not None
        with messages.bar() as bar:
            film_recording(
                path,
                out,
                window=windows_us[0] if windows_us else 50_000,
                every=every,
                begin=begin_us or 0,
                end=end_us,
                sensor=sensor,
                rotate180=rotate180,
                camera=camera,
                time_unit=time_unit,
                shift_frames=shift_frames,
                progress=bar.update,
            )
        target = out
    elif is_recording:
        choices: dict[str, Any] = {
            "rotate180": rotate180,
            "camera": camera,
            "time_unit": time_unit,
            "shift_frames_us": shift_frames,
        }
        target = _draw_recording(path, at_us, windows_us, out, sensor=sensor, **choices)
    else:
        _check_predictions(context, path)
        target = _draw_folder(path, windows_us, sample_ids, count, split, labels, run, out, device)
    if as_json:
        from eventseg.windows import format_duration

        lengths = windows_us or ((50_000,) if is_recording else ())
        kind = "recording" if is_recording else "folder"
        windows = [format_duration(length_us) for length_us in lengths]
        printing.print_json({"picture": str(target), kind: str(path), "windows": windows})
        return
    click.echo(target)


def _is_given(context: click.Context, param: click.Parameter) -> bool:
    return context.get_parameter_source(str(param.name)) is not ParameterSource.DEFAULT


def _check_predictions(context: click.Context, path: Path) -> None:
    """Refuse options that choose what predicts where the predictions are there already."""
    from eventseg.prediction.layout import is_prediction_folder

    for param in context.command.params:
        chooses = param.name in ("windows_us", "run", "split", "device")
        if chooses and _is_given(context, param) and is_prediction_folder(path):
            raise click.UsageError(
                f"{path} holds predictions, which are shown as they were made: leave "
                f"{param.opts[0]} out"
            )


def _explore(
    path: Path, at_us: int | None, windows_us: tuple[int, ...] | None, **choices: Any
) -> None:
    from eventseg.plots.explorer import explore
    from eventseg.recordings import open_recording

    with open_recording(path, **choices) as recording:
        explore(recording, at=at_us, window=windows_us[0] if windows_us else 50_000).wait()


def _draw_recording(
    path: Path,
    at_us: int | None,
    windows_us: tuple[int, ...] | None,
    out: Path | None,
    **choices: Any,
) -> Path:
    from eventseg.plots.events import save_figure
    from eventseg.plots.moments import figure_moment, figure_windows
    from eventseg.recordings import open_recording

    lengths_us = windows_us or (50_000,)
    with open_recording(path, **choices) as recording:
        if len(lengths_us) == 1:
            figure = figure_moment(recording, at=at_us, window=lengths_us[0])
        else:
            figure = figure_windows(recording, at=at_us, windows=lengths_us)
    target = out or Path(path.with_suffix(".png").name)
    save_figure(figure, target)
    return target


def _draw_folder(
    path: Path,
    windows_us: tuple[int, ...] | None,
    sample_ids: tuple[str, ...],
    count: int | None,
    split: str | None,
    labels: str | None,
    run: str | None,
    out: Path | None,
    device: str,
) -> Path:
    from eventseg.plots.events import save_figure
    from eventseg.prediction.contact_sheet import SHOWN, contact_sheet
    from eventseg.prediction.film import film_predictions

    if windows_us is not None and len(windows_us) > 1:
        raise click.UsageError("several windows are for recordings; give one --window")
    target = out or Path(f"{path.resolve().name}.png")
    if target.suffix.lower() in FILMS:
        if sample_ids or count is not None or split is not None or run is not None:
            raise click.UsageError("a film shows all samples of a prediction folder")
        film_predictions(path, target, labels=labels)
        return target
    figure = contact_sheet(
        path,
        samples=sample_ids,
        count=count or SHOWN,
        split=split,
        labels=labels,
        run=run,
        window=None if windows_us is None else windows_us[0],
        device=device,
    )
    save_figure(figure, target)
    return target
