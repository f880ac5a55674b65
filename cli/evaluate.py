"""``eventseg evaluate``: scores of a run on a data set, beside baselines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import click

from eventseg.evaluation.settings import ConditionName, EvaluationRequest
from eventseg.training.config.describe import describe_settings

from . import callbacks, options, printing
from .group import Decorator, TitledCommand, option_group
from .progress import Messages

if TYPE_CHECKING:
    from eventseg.dataset.jobs.shard import Shard
    from eventseg.evaluation.evaluation import Evaluation

SETTINGS = describe_settings(EvaluationRequest)


def _setting(name: str, *, path: str = "", **attributes: Any) -> Decorator[Any]:
    """Return the option of a field of the request, by default that of its name."""
    return options.setting_option(SETTINGS[path or name], name, **attributes)


def _scales(
    _ctx: click.Context, _param: click.Parameter, text: str | None
) -> tuple[float, ...] | None:
    """Return the numbers that ``0.75,1,1.5`` names."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} must be numbers, such as 0.75,1,1.5") from error


def _checked_network(text: str) -> str:
    """Return the text of a run folder, a file, a shipped network, or ``NETWORK:PATH``."""
    from eventseg.networks.shipped import SHIPPED, shipped_file

    if not Path(text).exists() and ":" not in text and shipped_file(text) is None:
        raise click.BadParameter(
            f"no folder or file {text!r}; a published checkpoint is NETWORK:PATH, such as "
            f"cgnet:PATH, and networks that ship are {', '.join(SHIPPED)}",
            param_hint="RUN",
        )
    return text


def _conditions(
    _ctx: click.Context, _param: click.Parameter, text: str | None
) -> tuple[str, ...] | None:
    """Return the conditions that ``speed,turn`` names."""
    if text is None:
        return None
    names, known = tuple(text.split(",")), get_args(ConditionName)
    for name in names:
        if name not in known:
            raise click.BadParameter(f"{name!r} is none of {', '.join(known)}")
    return names


@click.command(
    "evaluate",
    cls=TitledCommand,
    epilog="""\b
Examples:
  eventseg evaluate runs/evsegnet-events-50ms drives.eventseg
  eventseg evaluate runs/fastscnn drives.eventseg --window 10ms,50ms,250ms
  eventseg evaluate runs/fastscnn drives.eventseg --labels truth --teacher segformer-b5
  eventseg evaluate runs/evsegnet-code drives.eventseg --protocol paper
  eventseg evaluate runs/fastscnn drives.eventseg --by speed,light,rate
  eventseg evaluate runs/fastscnn drives.eventseg --stress drop,shot,shift,window
  eventseg evaluate runs/deeplab Cityscapes --split val --classes cityscapes10
  eventseg evaluate cgnet:model_camvid.pth CamVid
  eventseg evaluate runs/fastscnn drives.eventseg --split split.csv:val
  eventseg evaluate runs/fastscnn drives.eventseg --save-predictions
  eventseg evaluate drives.eventseg --predictions maps
  eventseg evaluate runs/fastscnn drives.eventseg --jobs 4
  eventseg evaluate runs/fastscnn drives.eventseg --shard 2/40
  eventseg evaluate runs/fastscnn drives.eventseg --json | jq '.rows[0].scores.miou_present'
""",
)
@click.argument("names", metavar="RUN DATA", nargs=-1, required=True)
@option_group(
    "Input",
    _setting("window", path="windows", callback=callbacks.durations, metavar="LENGTH[,LENGTH...]"),
    _setting("labels", metavar="SET"),
    _setting("classes", metavar="TABLE"),
    _setting(
        "split",
        metavar="SPLIT|FILE.csv[:SPLIT]",
        callback=callbacks.split,
        help="Part of the data, such as train, val or test; or a split file, of which the part "
        "test or the named one is scored. By default the split is that of the run where it was "
        f"trained with one of its own.  [default: {SETTINGS['split'].default_text}]",
    ),
    _setting("checkpoint", metavar="FILE"),
    _setting("network_classes", metavar="TABLE"),
    _setting("unsafe_pickle"),
)
@option_group(
    "Protocol",
    _setting("protocol"),
    _setting("scales", callback=_scales, metavar="S[,S...]"),
    click.option("--flip/--no-flip", default=None, help=SETTINGS["flip"].text),
    _setting("size", callback=callbacks.size, metavar="WIDTHxHEIGHT"),
    _setting("input_size", callback=callbacks.size, metavar="WIDTHxHEIGHT"),
)
@option_group(
    "Baselines",
    click.option(
        "--baselines/--no-baselines",
        default=None,
        help=f"{SETTINGS['baselines'].text}  [default: baselines]",
    ),
    _setting("teacher", metavar="SET"),
    _setting("adabn"),
)
@option_group(
    "Further measures",
    _setting("by", callback=_conditions, metavar="CONDITION[,CONDITION...]"),
    _setting("boundary", callback=callbacks.widths, metavar="PIXELS[,PIXELS...]"),
    _setting("calibration"),
    _setting("flicker"),
    _setting("stress", callback=callbacks.stress_axes, metavar="AXIS[,AXIS...]"),
    _setting("stress_samples"),
    _setting("seed"),
    _setting("time"),
)
@option_group(
    "Predictions",
    click.option(
        "--predictions",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        metavar="DIR",
        help="Score the label maps of a prediction folder, or PNG named by sample id, instead of a "
        "RUN.",
    ),
    click.option(
        "--save-predictions",
        is_flag=False,
        flag_value="",
        metavar="[DIR]",
        help="Write the scored label maps into a prediction folder.  [default of DIR: predictions "
        "in the folder of the report]",
    ),
)
@option_group(
    "Output",
    options.out_option(
        "Folder of the report. compare finds those in RUN.  "
        "[default: RUN/evaluation-DATA-LABELS-SPLIT-PROTOCOL and what differs from the usual]"
    ),
    options.json_option,
    options.message_options,
)
@option_group(
    "Machine",
    options.device_option(),
    options.threads_option(
        "the processors, less --workers, or shared among --jobs; 1 for each worker of a cluster"
    ),
    # A script's default is 0: there a process that is started needs a guarded main module.
    options.workers_option(
        f"{SETTINGS['workers'].text} Those of --jobs load for themselves.", default=1
    ),
    _setting("batch_size"),
    options.jobs_option("Processes that share the samples, each with the network."),
    options.scheduler_option,
    options.shard_option,
    options.tries_option,
)
def command(
    names: tuple[str, ...],
    predictions: Path | None,
    save_predictions: str | None,
    window: tuple[int, ...] | None,
    threads: int | None,
    jobs: int,
    scheduler: str | None,
    shard: Shard | None,
    tries: int,
    out: Path | None,
    as_json: bool,
    messages: Messages,
    **given: Any,
) -> None:
    """Score RUN on a part of DATA.

    RUN is a run folder, a checkpoint, street (the network that ships) or NETWORK:PATH.

    With --predictions DIR no RUN is given: label maps that are there are scored on DATA.

    NETWORK:PATH is a published checkpoint of another project, scored with the input that it was
    trained on: scaling, order of colours and size; its reports lie in runs/NETWORK-FILE.

    Writes report.html, scores.json, scores.csv, scores.md and scores.npz, the confusion matrix of
    every sample, and prints the tables, of categories and instances too where the data has them.
    Another request gets another folder. Beside the network stand the majority class, the position
    priors of the training part, the labels of the nearest training frame and the network with its
    clock 50 ms off; with --teacher also the labels of a frame teacher.
    """
    from eventseg.device import set_threads
    from eventseg.evaluation.evaluate_predictions import evaluate_predictions
    from eventseg.evaluation.run_evaluation import evaluate_run
    from eventseg.evaluation.shards import evaluate_shard
    from eventseg.windows import format_duration

    shared = jobs > 1 or scheduler is not None or shard is not None
    if predictions is not None and shared:
        raise click.UsageError(
            "--jobs, --scheduler and --shard share the work of a network: leave them out with "
            "--predictions"
        )
    if predictions is not None and save_predictions is not None:
        raise click.UsageError(
            "--save-predictions needs a network: with --predictions leave it out"
        )
    if shard is not None and scheduler is not None:
        raise click.UsageError("--shard and --scheduler exclude each other")

    chosen = {name: value for name, value in given.items() if value is not None}
    if window is not None:
        chosen["windows"] = tuple(map(format_duration, window))
    if "split" in chosen:
        chosen["split_file"], chosen["split"] = chosen["split"]
    run, data = _run_and_data(names, predictions)
    request = EvaluationRequest(**chosen)
    set_threads(threads, workers=request.workers)
    printing.note_left_out(data, messages)
    with messages.bar() as bar:
        if predictions is not None:
            found = evaluate_predictions(
                predictions, data, out=out, progress=bar.update, **_of_label_maps(chosen)
            )
        else:
            saved: str | Literal[True] | None = save_predictions
            if save_predictions == "":
                saved = True
            common: dict[str, Any] = {
                "request": request,
                "out": out,
                "predictions": saved,
                "jobs": jobs,
                "tries": tries,
                "threads": threads,
                "progress": bar.update,
            }
            if shard is not None:
                part = evaluate_shard(run, data, shard=shard, **common)
                printing.print_json(part.to_dict()) if as_json else click.echo(
                    "\n".join(part.lines())
                )
                return
            found = evaluate_run(run, data, scheduler=scheduler, **common)
    print_evaluation(found, as_json=as_json, messages=messages)


def print_evaluation(found: Evaluation, *, as_json: bool, messages: Messages) -> None:
    """Print the tables of an evaluation, or its report as JSON."""
    from eventseg.evaluation.report.tables import HEADER, class_tables, group_tables, summary_rows
    from eventseg.html import markdown

    for note in found.notes:
        messages.note(note)
    if as_json:
        printing.print_json(
            {"report": str(found.page), **printing.read_json(found.page.with_name("scores.json"))}
        )
        return
    click.echo(markdown(HEADER, summary_rows(found.rows)), nl=False)
    for title, header, lines in (class_tables(found.rows)[0], *group_tables(found.rows)):
        click.echo(f"\n{title}, %\n\n{markdown(header, lines)}", nl=False)
    for section in found.sections:
        click.echo(f"\n{section.title}\n\n{section.markdown()}")
    click.echo(f"{found.page}")


def _run_and_data(names: tuple[str, ...], predictions: Path | None) -> tuple[str, Path]:
    """Return RUN and DATA, or an empty RUN where label maps are scored."""
    needed = ("DATA",) if predictions is not None else ("RUN", "DATA")
    if len(names) != len(needed):
        raise click.UsageError(
            f"give {' and '.join(needed)}{' with --predictions' if predictions else ''}, not "
            f"{len(names)} names"
        )
    data = Path(names[-1])
    if not data.exists():
        raise click.BadParameter(f"no folder {names[-1]!r}", param_hint="DATA")
    return ("" if predictions is not None else _checked_network(names[0])), data


def _of_label_maps(chosen: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of :func:`evaluate_predictions`, where no others are given."""
    known = ("labels", "classes", "split", "split_file", "size", "network_classes", "baselines")
    plain = EvaluationRequest()
    neutral = ("device", "workers", "batch_size", "checkpoint")
    for name, value in chosen.items():
        option = "window" if name == "windows" else name
        if name not in (*known, *neutral) and value != getattr(plain, name):
            raise click.UsageError(
                f"--{option.replace('_', '-')} needs a network: with --predictions leave it out"
            )
    return {name: chosen[name] for name in known if name in chosen}
