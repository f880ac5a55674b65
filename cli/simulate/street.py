"""``eventseg simulate street``: drives down streets that follow from a seed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from .. import callbacks, options
from ..group import TitledCommand, option_group
from ..progress import Messages
from .options import output_options, print_summaries, refuse_existing, sensor_option
from .seeds import parse_seeds, simulate_seeds

if TYPE_CHECKING:
    from eventseg.dataset.jobs.shard import Shard
    from eventseg.events import SensorSize
    from eventseg.recordings.ddd17.writer import PacketOrder

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


@click.command("street", cls=TitledCommand, short_help="Drive through a street.")
@click.argument("out", metavar="OUT.hdf5", type=click.Path(path_type=Path))
@option_group(
    "Street",
    click.option(
        "--duration",
        "duration_us",
        callback=callbacks.time_after_start,
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
        callback=callbacks.key_value,
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
        callback=callbacks.duration,
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
    refuse_existing([out, truth_path(out)], overwrite=overwrite)
    with messages.bar() as bar:
        summary = simulate_street(out, seed=seed, progress=bar.update, **setting)
    print_summaries([summary], as_json=as_json)
