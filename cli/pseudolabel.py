"""``eventseg pseudolabel``: labels of frames by a teacher network."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eventseg.files.texts import counted
from eventseg.pseudolabel.recipes import LabelRecipe
from eventseg.training.config.describe import describe_settings

from . import options, printing
from .group import Decorator, TitledCommand, option_group
from .paths import LEAGUE
from .progress import Messages

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventseg.dataset.jobs.shard import Shard
    from eventseg.labels.maps import ClassTable
    from eventseg.pseudolabel import Teacher


SETTINGS = describe_settings(LabelRecipe)


def _setting(name: str, *, path: str = "", **attributes: Any) -> Decorator[Any]:
    """Return the option of a setting of the recipe; a preset may have another default."""
    return options.setting_option(SETTINGS[path or name], name, preset=True, **attributes)


def _scales(
    _ctx: click.Context, _param: click.Parameter, text: str | None
) -> tuple[float, ...] | None:
    """Return the factors that ``2,3,4`` names."""
    try:
        return None if text is None else tuple(map(float, text.split(",")))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} must be factors such as 2,3,4") from error


@click.command(
    cls=TitledCommand,
    epilog="""\b
Examples:
  eventseg pseudolabel rec1487339175.eventseg
  eventseg pseudolabel ddd17 --teacher pspnet101:train_epoch_200.pth --labels pspnet
  eventseg pseudolabel ddd17 --teacher hf:./segformer --threshold 0.7 --quantile 0.2
  eventseg pseudolabel ddd17 --teacher hf:./segformer --teacher hf:./mask2former --labels both
  eventseg pseudolabel ddd17 --preset evsegnet-labels --teacher gray.pt
  eventseg pseudolabel ddd17 --teacher hf:./segformer --jobs 4
  eventseg pseudolabel ddd17 --teacher hf:./segformer --scheduler tcp://node1:8786
  eventseg pseudolabel ddd17 --teacher hf:./segformer --shard 2/40
  eventseg pseudolabel CamVid --teacher hf:./segformer --labels segformer
  eventseg pseudolabel DDD17_ESS --teacher hf:./segformer --labels segformer
  eventseg pseudolabel drive.mp4 --out labelled.mp4 --side-by-side --scales 1
""",
)
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@option_group(
    "Teacher",
    click.option(
        "--teacher",
        "specs",
        multiple=True,
        metavar="TEACHER",
        help="hf:ID, hf:FOLDER, NETWORK:PATH, torchvision:ARCHITECTURE:PATH, or a run folder or "
        "checkpoint that eventseg wrote. Given more than once: pixels count where all agree.  "
        "[default: SegFormer-B5 of the hub on a GPU, B0 on a CPU]",
    ),
    click.option(
        "--teacher-classes",
        metavar="TABLE",
        help="Classes of the teacher, where its file does not name them.",
    ),
    click.option(
        "--teacher-licence",
        multiple=True,
        metavar="TEXT",
        help="Licence of the teacher's weights, kept in the manifest; once for each --teacher.  "
        "[default: what a model card states, otherwise unknown]",
    ),
    click.option(
        "--unsafe-pickle",
        is_flag=True,
        help="Also load weights that are no plain tensors. Such a file can run any code: only "
        "where you trust who made it.",
    ),
)
@option_group(
    "Labels",
    click.option(
        "--labels", "name", metavar="NAME", help="Name of the label set.  [default: teacher's]"
    ),
    click.option("--set", "old_name", hidden=True),
    click.option(
        "--classes",
        "table",
        default="evsegnet6",
        show_default=True,
        metavar="TABLE",
        help="Classes to label in: a class table by name or a .toml file.",
    ),
    click.option(
        "--preset",
        default="default",
        show_default=True,
        type=click.Choice(["default", "evsegnet-labels", "delft-labels"]),
        help="Where the options below begin: ours, or how labels of DDD17 were made in 2018 and "
        "2022.",
    ),
)
@option_group(
    "Views",
    _setting("scales", path="test_time.scales", callback=_scales, metavar="F[,F...]"),
    click.option("--flip/--no-flip", default=None, help=SETTINGS["test_time.flip"].text),
    _setting("merge"),
    _setting("arithmetic"),
)
@option_group(
    "Filters",
    _setting("threshold", path="filters.threshold"),
    _setting("quantile", path="filters.quantile"),
    _setting("agreement", path="filters.agreement"),
    _setting("temporal", path="filters.temporal", type=int, metavar="PIXELS"),
    _setting("ego", path="filters.ego", metavar="ROW0:ROW1|PNG"),
)
@option_group(
    "Output",
    options.out_option(
        "For a video or a folder of pictures: the MP4, GIF or folder of PNG to make."
    ),
    click.option(
        "--side-by-side", is_flag=True, help="With --out: the picture itself on the left."
    ),
    click.option("--fps", type=click.FloatRange(min=0.1), help="With --out: pictures a second."),
    click.option("--overwrite", is_flag=True, help="Replace a label set that was made otherwise."),
    options.json_option,
    options.message_options,
)
@option_group(
    "Machine",
    options.device_option(),
    options.threads_option("the processors, shared among --jobs; 1 for each worker of a cluster"),
    click.option(
        "--batch",
        type=click.IntRange(min=1),
        help="Frames at once.  [default: up to 8 on a GPU, as memory allows; 1 on a CPU]",
    ),
    options.jobs_option(
        "Processes; each loads the teachers and labels a share of the frames, on a GPU of its own "
        "where there are GPUs."
    ),
    options.scheduler_option,
    options.shard_option,
    options.tries_option,
)
def command(
    data: Path,
    specs: tuple[str, ...],
    name: str | None,
    old_name: str | None,
    table: str,
    teacher_classes: str | None,
    teacher_licence: tuple[str, ...],
    device: str,
    threads: int | None,
    batch: int | None,
    jobs: int,
    scheduler: str | None,
    shard: Shard | None,
    tries: int,
    overwrite: bool,
    unsafe_pickle: bool,
    out: Path | None,
    side_by_side: bool,
    fps: float | None,
    as_json: bool,
    messages: Messages,
    **recipe: Any,
) -> None:
    """Label the frames of a data set by a teacher network, or show its labels over a film.

    A data set gets the label set labels/NAME beside others, with how sure the teacher is in
    confidence/NAME; a folder of labelled pictures gets them in label_sets/. A run that was stopped
    goes on where it was when it is started again, and ends with the same bytes. The licence of the
    teacher's weights is printed.
    """
    if old_name is not None:
        messages.warn("--set is now called --labels; the old name goes with the next release")
        name = name or old_name
    if out is None and not data.is_dir() and data.suffix.lower() != LEAGUE:
        from eventseg.dataset.mistaken import refusal

        raise click.UsageError(f"{refusal(data)}; a video needs --out FILE")
    if out is None and (side_by_side or fps is not None):
        raise click.UsageError("--side-by-side and --fps need --out")
    if out is not None and (data / "manifest.toml").exists():
        raise click.UsageError(
            f"{data} is a data set and gets a label set: leave --out out, or give {data}/frames"
        )
    if out is not None and (name is not None or overwrite):
        raise click.UsageError("--labels and --overwrite are for data sets, --out for films")
    if shard is not None and (out is not None or overwrite):
        raise click.UsageError("--shard is for new label sets: leave out --out and --overwrite")
    if shard is not None and scheduler is not None:
        raise click.UsageError("--shard and --scheduler exclude each other")
    if out is not None and (jobs > 1 or scheduler is not None):
        raise click.UsageError("--jobs and --scheduler are for label sets: leave out --out")
    if scheduler is not None and not specs:
        raise click.UsageError(
            "the default teacher follows from this machine, not from a cluster: give --teacher"
        )
    if teacher_licence and len(teacher_licence) != max(1, len(specs)):
        raise click.UsageError("give --teacher-licence once for each --teacher, or not at all")

    from eventseg.device import choose_device, set_threads
    from eventseg.labels.maps import load_class_table

    classes = load_class_table(table)
    made = _recipe(**recipe)
    # The devices of a cluster are not those of this machine, which only takes a digest.
    here = choose_device(device if scheduler is None else "cpu")
    set_threads(threads)
    say = messages.note
    teachers = _teachers(
        specs,
        preset=recipe["preset"],
        device=here,
        place=str(here) if scheduler is None else f"workers of {scheduler}",
        class_table=None if teacher_classes is None else load_class_table(teacher_classes),
        unsafe_pickle=unsafe_pickle,
        licences=teacher_licence,
        say=say,
    )
    with messages.bar() as bar:
        if out is not None:
            from fractions import Fraction

            from eventseg.pseudolabel import label_film

            film = label_film(
                data,
                out,
                teachers,
                classes=classes,
                recipe=made,
                batch=batch,
                side_by_side=side_by_side,
                fps=None if fps is None else Fraction(fps).limit_denominator(1001),
                progress=bar.update,
                say=say,
            )
            if film.warning:
                messages.warn(film.warning)
            if as_json:
                printing.print_json(asdict(film))
            else:
                click.echo(
                    f"{film.path}: {counted(film.pictures, 'picture')}, {film.ignored:.1%} ignored"
                )
            return
        from eventseg.pseudolabel import label_dataset
        from eventseg.pseudolabel.label_set_folder import set_name_of
        from eventseg.pseudolabel.shards import label_shard

        if name is None:
            named = recipe["preset"] != "default"
            name = recipe["preset"] if named else set_name_of([t.name for t in teachers])
        common: dict[str, Any] = {
            "name": name,
            "classes": classes,
            "recipe": made,
            "batch": batch,
            "jobs": jobs,
            "tries": tries,
            "threads": threads,
            "device": device,
            "progress": bar.update,
            "say": say,
        }
        with bar.resumable(name):
            if shard is not None:
                part = label_shard(data, teachers, shard=shard, **common)
                printing.print_summary(part, as_json=as_json)
                return
            summary = label_dataset(
                data, teachers, overwrite=overwrite, scheduler=scheduler, **common
            )
    if summary.warning:
        messages.warn(summary.warning)
    printing.print_summary(summary, as_json=as_json)


def _recipe(
    preset: str,
    scales: tuple[float, ...] | None,
    flip: bool | None,
    merge: Any,
    arithmetic: Any,
    ego: str | None,
    **filters: float | None,
) -> LabelRecipe:
    """Return the recipe of a preset, changed by the given options."""
    from eventseg.pseudolabel import PRESETS, parse_ego

    base = PRESETS[preset]
    given: dict[str, Any] = {key: value for key, value in filters.items() if value is not None}
    if ego is not None:
        given["ego"] = parse_ego(ego)
    return replace(
        base,
        test_time=replace(
            base.test_time,
            scales=base.test_time.scales if scales is None else scales,
            flip=base.test_time.flip if flip is None else flip,
        ),
        merge=merge or base.merge,
        arithmetic=arithmetic or base.arithmetic,
        filters=replace(base.filters, **given),
    )


def _teachers(
    specs: Sequence[str],
    *,
    preset: str,
    device: Any,
    place: str,
    class_table: ClassTable | None,
    unsafe_pickle: bool,
    licences: Sequence[str],
    say: Callable[[str], object],
) -> list[Teacher]:
    """Load the teachers and print their names and licences."""
    from eventseg.pseudolabel import PRESETS, default_teacher, load_teacher
    from eventseg.pseudolabel.recipes import PRESET_TEACHER

    if not specs and preset in PRESET_TEACHER:
        needed = PRESET_TEACHER[preset]
        raise click.UsageError(f"preset {preset} is of {needed}: give --teacher {needed}:PATH")
    teachers = []
    for limit in PRESETS[preset].limits:
        say(f"preset {preset}: {limit}")
    chosen = specs or (default_teacher(device),)
    given: Sequence[str | None] = licences or (None,) * len(chosen)
    for spec, licence in zip(chosen, given, strict=True):
        teacher = load_teacher(
            spec,
            device=device,
            class_table=class_table,
            unsafe_pickle=unsafe_pickle,
            licence=licence,
        )
        say(
            f"teacher {teacher.name}: {len(teacher.classes)} classes, "
            f"sha256 {teacher.digest[:16]}, on {place}"
        )
        if teacher.classes.name:
            say(f"  classes: {teacher.classes.name}")
        if class_table is not None:
            given_names = list(class_table.names)
            if [n for n in teacher.classes.names if n in class_table.names] != given_names:
                say("  --teacher-classes has no effect on it: its file names its classes")
        say(f"  weights: {teacher.licence}")
        teachers.append(teacher)
    return teachers
