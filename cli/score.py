"""``eventseg score``: the score of anyone's predictions, beside baselines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from eventseg.evaluation.scoring.settings import ScoreRequest
from eventseg.training.config.describe import describe_settings

from . import callbacks, options, printing
from .group import Decorator, TitledCommand, option_group
from .progress import Messages

SETTINGS = describe_settings(ScoreRequest)


def _setting(name: str, *, path: str = "", **attributes: Any) -> Decorator[Any]:
    """Return the option of a field of the request, by default that of its name."""
    return options.setting_option(SETTINGS[path or name], name, **attributes)


def _switch(name: str) -> Decorator[Any]:
    """Return ``--NAME/--no-NAME`` of a field that is on by default."""
    text = SETTINGS[name].text
    return click.option(f"--{name}/--no-{name}", default=None, help=f"{text}  [default: {name}]")


@click.command(
    "score",
    cls=TitledCommand,
    epilog="""\b
Examples:
  eventseg score maps drives.eventseg
  eventseg score logits DSEC --classes dsec11 --out scores/mine
  eventseg score python:my_net:predict drives.eventseg --window 50ms
  eventseg score runs/fastscnn drives.eventseg --boundary 1,2,4
  eventseg score python:my_net:predict drives.eventseg --stress drop,shot,shift
  eventseg score maps other-maps drives.eventseg
  eventseg score runs/a-0,runs/a-1,runs/a-2 runs/b-0,runs/b-1 drives.eventseg
  eventseg score maps pictures --split split.csv
  eventseg score maps drives.eventseg --json | jq .mistakes
""",
)
@click.argument("names", metavar="PREDICTIONS [PREDICTIONS] DATA", nargs=-1, required=True)
@option_group(
    "Input",
    _setting("labels", metavar="SET"),
    _setting("classes", metavar="TABLE"),
    _setting(
        "split",
        metavar="SPLIT|FILE.csv[:SPLIT]",
        callback=callbacks.split,
        help="Part of the data, such as train, val or test; or a split file, of which the part "
        "test or the named one is scored. By default the split is that of a run that was trained "
        f"with one of its own.  [default: {SETTINGS['split'].default_text}]",
    ),
    _setting("window", callback=callbacks.duration, metavar="LENGTH"),
    _setting("network_classes", metavar="TABLE"),
    _setting("values"),
    _setting("allow_missing"),
    _setting("checkpoint", metavar="FILE"),
    _setting("unsafe_pickle"),
)
@option_group(
    "Measures",
    _setting("boundary", callback=callbacks.widths, metavar="PIXELS[,PIXELS...]"),
    _switch("baselines"),
    _setting("teacher", metavar="SET"),
    _switch("diagnosis"),
    _setting("stress", callback=callbacks.stress_axes, metavar="AXIS[,AXIS...]"),
    _setting("stress_samples"),
    _setting("seed"),
)
@option_group(
    "Output",
    options.out_option(
        "Folder of the report.  [default: scores/NAME-DATA-LABELS-SPLIT and what differs from the "
        "usual]"
    ),
    options.json_option,
    options.message_options,
)
@option_group(
    "Machine",
    options.device_option(),
    options.threads_option(),
    options.workers_option(SETTINGS["workers"].text, default=2),
    _setting("batch_size"),
)
def command(
    names: tuple[str, ...],
    window: int | None,
    threads: int | None,
    out: Path | None,
    as_json: bool,
    messages: Messages,
    **given: Any,
) -> None:
    """Score PREDICTIONS on a part of DATA, and compare two of them.

    PREDICTIONS is a folder of label maps (.png) or of logits or probabilities (.npy), a prediction
    folder, a function python:MODULE:FUNCTION or FILE.py:FUNCTION, or a run folder, a checkpoint or
    NETWORK:PATH. Files are joined to samples by sample id, by recording and frame number, or by
    number; one that is missing, duplicate, of another size or of other classes is named. Label maps
    hold class ids or the colours of the class table. A function gets a sample with events(),
    tensor() and frame(), and returns class ids (height, width) or scores (classes, height, width).

    A,B,C are the same predictions by several seeds. Two PREDICTIONS are compared by a paired test
    over blocks of the drives and over seeds.

    Writes report.html with the worst and best samples, scores.json, scores.csv, scores.md,
    scores.tex, scores.npz and files.json, the SHA-256 of every file used, and prints the tables. A
    diagnosis names cheap mistakes that explain a low score: predictions of the frame before or
    after, class ids off by one, mirrored axes, rows that are not cropped and, where the input can
    be changed, swapped polarities and another normalisation.
    """
    from eventseg.device import set_threads
    from eventseg.evaluation.report.tables import HEADER, class_tables, group_tables, summary_rows
    from eventseg.evaluation.scoring.score import score_predictions
    from eventseg.html import markdown
    from eventseg.windows import format_duration

    if not 2 <= len(names) <= 3:
        raise click.UsageError(
            f"give PREDICTIONS and DATA, or two PREDICTIONS and DATA, not {len(names)} names"
        )
    data = Path(names[-1])
    if not data.exists():
        raise click.BadParameter(f"no folder {names[-1]!r}", param_hint="DATA")
    chosen = {name: value for name, value in given.items() if value is not None}
    if window is not None:
        chosen["window"] = format_duration(window)
    if "split" in chosen:
        chosen["split_file"], chosen["split"] = chosen["split"]
    request = ScoreRequest(**chosen)
    set_threads(threads, workers=request.workers)
    printing.note_left_out(data, messages)
    with messages.bar() as bar:
        found = score_predictions(
            names[0] if len(names) == 2 else list(names[:-1]),
            data,
            request=request,
            out=out,
            progress=bar.update,
        )
    for note in found.notes:
        messages.note(note)
    if as_json:
        stored = printing.read_json(found.page.with_name("scores.json"))
        printing.print_json({"report": str(found.page), "mistakes": found.mistakes, **stored})
        return
    click.echo(markdown(HEADER, summary_rows(found.rows)), nl=False)
    for title, header, lines in (class_tables(found.rows)[0], *group_tables(found.rows)):
        click.echo(f"\n{title}, %\n\n{markdown(header, lines)}", nl=False)
    for section in found.sections:
        click.echo(f"\n{section.title}\n\n{section.markdown()}")
    click.echo(f"{found.page}")
