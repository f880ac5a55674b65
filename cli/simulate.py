"""``eventseg simulate``: recordings with exact labels, and how like a real one their events are."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from . import options
from .group import SuggestingGroup, TitledCommand, option_group
from .paths import PicturePath, RecordingPath
from .progress import Messages
from .simulate_seeds import parse_seeds, simulate_seeds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventseg.dataset.jobs.shard import Shard
    from eventseg.events import SensorSize
    from eventseg.recordings.choices import TimeUnit
    from eventseg.recordings.ddd17.writer import PacketOrder
    from eventseg.simulate.files import Summary

SCENARIOS = (
    "day",
    "night",
    "glare",
    "standstill",
    "fast-turn",
    "crossing",
    "faulty-pixels",
    "clock-reset",
    "wrap",
    "voltmeter",
    "random",
)
"""Names for the help, which loads no simulator; a test holds them equal to the simulator's."""

packets_option = click.option(
    "--packets",
    type=click.Choice(["sorted", "containers"]),
    default="sorted",
    show_default=True,
    help="Order of the packets in the file: by time, or as the camera software sends them, in "
    "containers of 10 ms with the events before the frames.",
)
output_options = option_group(
    "Output",
    packets_option,
    click.option("--overwrite", is_flag=True, help="Replace recordings that are there already."),
    options.json_option,
    options.message_options,
)
machine_options = option_group("Machine", options.threads_option("the processors, at most 16"))
sensor_option = click.option(
    "--sensor",
    callback=options.size,
    default="346x260",
    show_default=True,
    metavar="WIDTHxHEIGHT",
    help="Size of the simulated sensor.",
)


@click.group(cls=SuggestingGroup)
def command() -> None:
    """Make recordings in the layout of DDD17 whose every label is known.

    Beside OUT.hdf5 lies OUT.truth.h5 with the class of every pixel and event; encode finds it
    there and imports it.

    \b
    eventseg simulate street drive.hdf5 --duration 10s --seed 7
    eventseg simulate images CamVid camvid-events --layout camvid
    eventseg simulate fit real.aedat4
    """  # noqa: D301


@command.command(cls=TitledCommand, short_help="Drive through a street.")
@click.argument("out", metavar="OUT.hdf5", type=click.Path(path_type=Path))
@option_group(
    "Street",
    click.option(
        "--duration",
        "duration_us",
        callback=options.time_after_start,
        default="10s",
        show_default=True,
        metavar="LENGTH",
        help="How long the drive lasts.",
    ),
    click.option(
        "--seed",
        type=int,
        default=0,
        show_default=True,
        help="Street, drive and noise follow from it.",
    ),
    click.option(
        "--seeds",
        callback=parse_seeds,
        metavar="A:B|N,N,...",
        help="A street for each seed from A to before B, or of a list: OUT is then a folder, which "
        "gets street-SEED.hdf5.",
    ),
    click.option(
        "--scenario",
        default="day",
        show_default=True,
        metavar="NAME",
        help=f"One of {', '.join(SCENARIOS)}; the last draws one from the seed.",
    ),
    click.option(
        "--version",
        type=click.IntRange(1, 2),
        default=2,
        show_default=True,
        help="2: sensor, camera and look differ from seed to seed, with few strong edges, thin "
        "things and vibration. 1: the street of the first releases.",
    ),
    click.option(
        "--mounting",
        type=click.Choice(["windscreen", "roof"]),
        default="windscreen",
        show_default=True,
        help="Where the camera sits; of version 2.",
    ),
    click.option(
        "--set",
        "settings",
        multiple=True,
        callback=options.key_value,
        metavar="NAME=VALUE",
        help="Fix a setting that version 2 draws, such as threshold_on=0.3; may be repeated.",
    ),
    click.option("--no-rare", is_flag=True, help="Do not place all 19 classes along the street."),
    sensor_option,
)
@option_group(
    "Renders",
    click.option(
        "--step",
        "step_us",
        callback=options.duration,
        default="2ms",
        show_default=True,
        metavar="LENGTH",
        help="Time between two renders, 50us to 10ms; with --tolerance, the shortest.",
    ),
    click.option(
        "--tolerance",
        type=float,
        metavar="LOG",
        help="Render each part of the picture only as often as its brightness bends by more than "
        "this, in natural log units, such as 0.1.  [default: all of it at every step]",
    ),
)
@output_options
@option_group(
    "Machine",
    options.threads_option("the processors, at most 16 for a street, shared among --jobs"),
    options.jobs_option("Processes that share the --seeds."),
    options.scheduler_option,
    options.shard_option,
    options.tries_option,
)
@click.pass_context
def street(
    ctx: click.Context,
    out: Path,
    duration_us: int,
    seed: int,
    seeds: tuple[int, ...] | None,
    scenario: str,
    no_rare: bool,
    version: int,
    mounting: str,
    settings: dict[str, Any],
    step_us: int,
    tolerance: float | None,
    packets: PacketOrder,
    sensor: SensorSize,
    threads: int | None,
    jobs: int,
    scheduler: str | None,
    shard: Shard | None,
    tries: int,
    overwrite: bool,
    as_json: bool,
    messages: Messages,
) -> None:
    """Drive through a street made from a seed, with traffic and pedestrians.

    The same seed gives the same bytes, on any number of threads and processes. With --seeds a run
    that was stopped goes on where it was when it is started again.

    \b
    eventseg simulate street drive.hdf5 --duration 10s --seed 7
    eventseg simulate street night.hdf5 --duration 5s --scenario night --threads 2
    eventseg simulate street small.hdf5 --duration 2s --sensor 240x180
    eventseg simulate street any.hdf5 --scenario random --seed 8 --mounting roof
    eventseg simulate street coarse.hdf5 --set threshold_on=0.4 --set threshold_off=0.4
    eventseg simulate street old.hdf5 --version 1
    eventseg simulate street quick.hdf5 --step 4ms --tolerance 0.1
    eventseg simulate street streets --seeds 0:100 --scenario random --jobs 8
    eventseg simulate street streets --seeds 0:10000 --shard 2/40
    """  # noqa: D301
    from eventseg.recordings.truth import truth_path
    from eventseg.simulate.street import simulate_street

    setting: dict[str, Any] = {
        "duration_us": duration_us,
        "scenario": scenario,
        "sensor": sensor,
        "threads": threads,
        "rare": not no_rare,
        "step_us": step_us,
        "tolerance": tolerance,
        "packets": packets,
        "version": version,
        "mounting": mounting,
        "settings": settings,
    }
    if seeds is not None:
        if ctx.get_parameter_source("seed") is not ParameterSource.DEFAULT:
            raise click.UsageError("--seed and --seeds exclude each other")
        setting |= {"jobs": jobs, "tries": tries}
        simulate_seeds(
            out,
            seeds,
            scheduler=scheduler,
            shard=shard,
            overwrite=overwrite,
            as_json=as_json,
            messages=messages,
            setting=setting,
        )
        return
    if jobs > 1 or scheduler is not None or shard is not None:
        raise click.UsageError(
            "--jobs, --scheduler and --shard share several streets: give --seeds"
        )
    if out.suffix.lower() not in (".hdf5", ".h5"):
        raise click.BadParameter(f"{out} must end in .hdf5", param_hint="OUT.hdf5")
    _refuse_existing([out, truth_path(out)], overwrite=overwrite)
    with messages.bar() as bar:
        summary = simulate_street(out, seed=seed, progress=bar.update, **setting)
    _print([summary], as_json=as_json)


@command.command(cls=TitledCommand, short_help="Compare recordings with streets, propose settings.")
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
    if plot is not None:
        from eventseg.plots.events import save_figure
        from eventseg.plots.statistics import figure_statistics

        save_figure(figure_statistics(**report.panels()), plot)
    if as_json:
        options.print_json(report.table())
    else:
        click.echo("\n".join(report.lines()))


@command.command(cls=TitledCommand, short_help="Move a camera in front of labelled images.")
@click.argument(
    "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="FOLDER"
)
@click.argument("out", type=click.Path(path_type=Path), metavar="OUT")
@option_group(
    "Images",
    click.option(
        "--layout",
        type=click.Choice(["auto", "own", "camvid", "cityscapes", "pairs"]),
        default="auto",
        show_default=True,
        help="How FOLDER is laid out. own: images/[train|val|test/]NAME.*, labels/... and "
        "classes.toml; pairs: images/NAME.* and labels/NAME.png; auto: the first that it has.",
    ),
    click.option(
        "--classes",
        metavar="TABLE",
        help="Classes of the labels of own and pairs: a class table by name or a .toml file.  "
        "[default: FOLDER/classes.toml; without it the classes of pairs are numbered]",
    ),
    click.option("--limit", type=click.IntRange(min=1), help="Take so many images of each part."),
)
@option_group(
    "Camera",
    click.option("--seed", type=int, default=0, show_default=True, help="Seeds motion and sensor."),
    click.option(
        "--shot",
        "shot_us",
        callback=options.duration,
        default="120ms",
        show_default=True,
        metavar="LENGTH",
        help="How long each image is looked at.",
    ),
    click.option(
        "--strength",
        type=float,
        default=1.0,
        show_default=True,
        help="Size of the motion, up to 3.",
    ),
    click.option(
        "--depth",
        is_flag=True,
        help="Drive through the scene where FOLDER has disparities and cameras (own, cityscapes, "
        "pairs): near things move more than far ones, and instances on their own.",
    ),
    sensor_option,
)
@output_options
@machine_options
def images(
    folder: Path,
    out: Path,
    layout: str,
    classes: str | None,
    overwrite: bool,
    as_json: bool,
    messages: Messages,
    **settings: Any,
) -> None:
    """Turn labelled images into recordings: a camera pans, zooms, turns and shakes before each.

    OUT gets one recording for each part of FOLDER, such as train.hdf5 and test.hdf5.

    \b
    eventseg simulate images CamVid camvid-events --layout camvid
    eventseg simulate images mine events --shot 300ms --limit 20
    eventseg simulate images pairs events --classes my.toml
    eventseg simulate images cityscapes events --layout cityscapes --depth
    """  # noqa: D301
    from eventseg.labels.image_folders import left_out_note
    from eventseg.labels.tables import PAGE, load_class_table
    from eventseg.recordings.truth import truth_path
    from eventseg.simulate.image_layouts import find_images
    from eventseg.simulate.images import simulate_images

    table = None if classes is None else load_class_table(classes)
    images = find_images(folder, layout, classes=table)
    recordings = [out / f"{part}.hdf5" for part in images.parts]
    targets = [path for rec in recordings for path in (rec, truth_path(rec))]
    _refuse_existing(targets, overwrite=overwrite)
    for note in left_out_note(images.left_out):
        messages.note(f"{folder}: {note}")
    if not images.named:
        messages.warn(
            f"the {len(images.classes)} classes of {folder} have no names: give --classes TABLE, "
            f"or write {folder}/classes.toml ({PAGE})"
        )
    with messages.bar() as bar:
        summaries = simulate_images(
            folder, out, layout=images.layout, classes=table, progress=bar.update, **settings
        )
    _print(summaries, as_json=as_json)


def _print(summaries: Sequence[Summary], *, as_json: bool) -> None:
    for summary in summaries:
        if as_json:
            options.print_json(asdict(summary))
        else:
            click.echo("\n".join(summary.lines()))


def _refuse_existing(targets: list[Path], *, overwrite: bool) -> None:
    from eventseg.errors import OutputError

    existing = [path for path in targets if path.is_file()]
    if existing and not overwrite:
        raise OutputError(f"{existing[0]} is there already; give another name or --overwrite")
