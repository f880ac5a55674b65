"""``eventseg train``: a network on a data set, into a run folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eventseg.training.config.config import TrainConfig
from eventseg.training.config.describe import describe_settings
from eventseg.training.config.options import SHORT_NAMES

from . import options
from .group import TitledCommand, option_group
from .progress import Messages

if TYPE_CHECKING:
    from .group import Decorator

ENCODED = {
    "nowhere": "",
    "workers": ", events encoded by the workers",
    "device": ", events encoded on the device",
}
"""What is said of the place where live events are encoded."""

ENCODE = {False: "stored", True: "live"}
"""Values of ``--encode`` by the setting ``input.live``."""

SETTINGS = describe_settings(TrainConfig)


def _setting(name: str, *, path: str = "", **attributes: Any) -> Decorator[Any]:
    """Return the option of a setting, by default that of its name."""
    setting = SETTINGS[path or SHORT_NAMES.get(name, name)]
    return options.setting_option(setting, name, **attributes)


@click.command(
    "train",
    cls=TitledCommand,
    epilog="""\b
Examples:
  eventseg train drives.eventseg
  eventseg train drives.eventseg --network fastscnn --input both --window 10ms,50ms,250ms
  eventseg train drives.eventseg --labels segformer-b5 --epochs 60 --out runs/teacher
  eventseg train drives.eventseg --recipe auto --budget 30min --network fastscnn
  eventseg train drives.eventseg --recipe evsegnet-code --fraction 0.25
  eventseg train drives.eventseg --init runs/fastscnn-events-50ms --out runs/finetuned
  eventseg train CamVid --recipe cgnet-camvid --init model_cityscapes.pth
  eventseg train drives.eventseg --network my_nets.py:Net --loss my_losses.py:loss
  eventseg train drives.eventseg --encode live --device cuda --set augmentation.drop=0.2
  eventseg train CamVid --recipe cgnet-camvid --set batch_size=4
  eventseg train drives.eventseg --out runs/teacher --resume
  for s in 0 1 2; do eventseg train drives.eventseg --seed $s; done
  torchrun --nproc-per-node 2 --no-python eventseg train drives.eventseg
  eventseg train --list-recipes

All settings: docs/settings.md
""",
)
@click.argument("data", required=False, type=click.Path(path_type=Path, exists=True))
@option_group(
    "Input",
    _setting("input"),
    _setting("fusion"),
    _setting("window", callback=options.durations, metavar="LENGTH[,LENGTH...]"),
    click.option(
        "--encode",
        type=click.Choice(list(ENCODE.values())),
        help="Tensors as stored where they are, or live from the recordings: on the GPU that "
        f"trains, else by the workers.  [default: {ENCODE[SETTINGS['input.live'].default]}]",
    ),
    _setting("labels", metavar="SET"),
    _setting("classes", metavar="TABLE"),
    _setting("fraction"),
    _setting("bad_samples"),
)
@option_group(
    "Network",
    click.option(
        "--recipe",
        help="Settings to begin with: a recipe by name, a file ending in .toml, or auto: batch, "
        "crop and length fitted to --budget.",
    ),
    click.option(
        "--budget",
        callback=options.any_duration,
        metavar="LENGTH",
        help="Time that --recipe auto plans for.  [default: 10min]",
    ),
    _setting("network"),
    _setting("init", metavar="INIT"),
    _setting("unsafe_pickle"),
)
@option_group(
    "Optimisation",
    _setting("loss", path="loss.terms", metavar="TERM[=WEIGHT][,...]"),
    _setting("epochs"),
    _setting("iterations"),
    _setting("batch_size"),
    _setting("learning_rate"),
    _setting("protocol"),
    _setting("seed"),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="PATH=VALUE",
        help="Any other setting, such as augmentation.flip=0; may be repeated.",
    ),
)
@option_group(
    "Output",
    options.out_option(
        "Run folder.  [default: runs/NETWORK-INPUT-WINDOWS, and -seedN for a seed other than 0]"
    ),
    click.option(
        "--resume", is_flag=True, help="Go on with the run in the folder, with its settings."
    ),
    click.option("--tensorboard", is_flag=True, help="Also write TensorBoard files (extra)."),
    click.option("--list-recipes", is_flag=True, help="Show the recipes with their sources."),
    click.option("--print-config", is_flag=True, help="Print the settings and stop."),
    options.json_option,
    options.message_options,
)
@option_group(
    "Machine",
    options.device_option(),
    options.threads_option(),
    _setting("workers"),
    _setting("amp"),
    _setting("compile"),
)
def command(
    data: Path | None,
    recipe: str | None,
    budget: int | None,
    window: tuple[int, ...] | None,
    loss: str | None,
    encode: str | None,
    settings: tuple[str, ...],
    device: str,
    threads: int | None,
    out: Path | None,
    resume: bool,
    tensorboard: bool,
    list_recipes: bool,
    print_config: bool,
    as_json: bool,
    messages: Messages,
    **given: Any,
) -> None:
    """Train a network on DATA: a data set folder, or a folder like Cityscapes or CamVid.

    The run folder holds settings, metrics.csv, learning curves, predictions and the best and the
    last checkpoint. Options override the recipe's settings.
    """
    from eventseg.training.config import config as configs
    from eventseg.training.config.options import overrides_of

    if list_recipes:
        _list_recipes()
        return
    live = None if encode is None else encode == ENCODE[True]
    overrides = overrides_of({"window": window, "live": live, **given})
    if loss is not None:
        overrides["loss.terms"] = _terms(loss)
    overrides |= dict(map(configs.parse_override, settings))
    automatic = recipe == "auto"
    if budget is not None and not automatic:
        raise click.UsageError("--budget is for --recipe auto.")
    if resume and recipe in (None, "auto") and out is not None and (out / "config.toml").is_file():
        recipe, automatic = str(out / "config.toml"), False
    config = configs.load_config(None if automatic else recipe, overrides=overrides)
    if print_config and not automatic:
        click.echo(configs.to_toml(config), nl=False)
        return
    if data is None:
        raise click.UsageError("Missing argument 'DATA'.")
    from eventseg.device import choose_device, set_threads
    from eventseg.files import short_extension
    from eventseg.sources.source import open_source
    from eventseg.training.arithmetic import Arithmetic
    from eventseg.training.distributed import rank
    from eventseg.training.loading import encoded_where
    from eventseg.training.run import default_run_folder
    from eventseg.training.run_folder import (
        SKIPPED,
        held_arithmetic,
        read_skipped,
        resume_notes,
    )
    from eventseg.training.trainer import train

    chosen = choose_device(device)
    count = set_threads(threads, workers=config.workers)
    root = out or default_run_folder(config)
    source = open_source(data, label_set=config.labels.set)
    if rank() > 0:  # of several processes the first one speaks
        messages = Messages(quiet=True)
    if automatic:
        from eventseg.training.budget import USUAL_BUDGET_US, fit_to_budget

        plan = fit_to_budget(
            source, config, budget_us=budget or USUAL_BUDGET_US, device=chosen, given=overrides
        )
        config = plan.config
        messages.note(f"recipe auto: {plan}")
        if print_config:
            click.echo(configs.to_toml(config), nl=False)
            return
    notes = resume_notes(root, configs.with_absolute_paths(config), device=chosen) if resume else ()

    def started() -> None:
        where = ENCODED[encoded_where(source, config, chosen)]
        beside = f", {count} thread{'s' * (count > 1)}" if chosen.type == "cpu" else ""
        name = short_extension(config.network.name)
        options.note_left_out(data, messages)
        messages.note(f"{name} on {chosen}{beside}{where}, run folder {root}")
        if held := held_arithmetic(root):
            messages.note(f"arithmetic: {Arithmetic(**held)}")
        if not resume:
            _note_init(root, messages)
        for note in notes:
            messages.note(f"resumed with another setting: {note}")

    bar = messages.bar()
    try:
        trained = train(
            source,
            root,
            config=config,
            device=chosen,
            resume=resume,
            started=started,
            progress=bar.update,
            tensorboard=tensorboard,
        )
    except KeyboardInterrupt:
        bar.close()
        click.echo(f"interrupted; go on with --resume --out {root}", err=True)
        raise click.exceptions.Exit(130) from None
    finally:
        bar.close()
        source.close()
    if rank() > 0:
        return
    skipped = read_skipped(trained.path)
    if skipped:
        messages.warn(
            f"went on without samples that cannot be read: {len(skipped)}, see "
            f"{trained.path / SKIPPED}"
        )
    best = trained.best
    if as_json:
        options.print_json(
            {
                "run": str(root),
                "checkpoint": f"{root}/best.pt",
                "best": asdict(best),
                "epochs": len(trained.history),
                "stop_reason": trained.stop_reason,
                "skipped": len(skipped),
            }
        )
        return
    click.echo(
        f"best epoch {best.epoch} of {len(trained.history)}: mIoU {best.selection_score:.2f} % "
        f"over the classes in the truth ({best.val_miou:.2f} % over those in truth or prediction, "
        f"{best.val_miou_all:.2f} % over all), accuracy {best.val_accuracy:.2f} % on the "
        f"{'validation' if config.protocol == 'clean' else 'test'} part"
    )
    click.echo(f"{root}/best.pt")


def _note_init(root: Path, messages: Messages) -> None:
    """Print which tensors a run that begins has from where; its folder lists all of them."""
    from eventseg.training.run_folder import INIT, RUN, read_run

    init = read_run(root / RUN).get("init")
    if not init:
        return
    counts = ", ".join(f"{count} {outcome}" for outcome, count in init["tensors"].items())
    messages.note(
        f"initial weights: {init['source']}, {init['share']:.0%} of the parameters; tensors: "
        f"{counts}; see {root / INIT}"
    )
    for note in init["notes"]:
        messages.warn(f"initial weights: {note}")


def _terms(text: str) -> dict[str, float]:
    """Return the terms of a loss and their weights, as in ``cross_entropy,dice=0.5``."""
    terms: dict[str, float] = {}
    for part in text.split(","):
        name, equals, weight = part.strip().partition("=")
        try:
            terms[name] = float(weight) if equals else 1.0
        except ValueError as error:
            raise click.BadParameter(
                f"{part!r} must be TERM or TERM=WEIGHT, such as dice=0.5", param_hint="--loss"
            ) from error
    return terms


def _list_recipes() -> None:
    from eventseg.training.config.config import recipe_names
    from eventseg.training.config.recipes import load_recipe

    for name in recipe_names():
        recipe = load_recipe(name)
        click.echo(f"{name}\n  {recipe.title}\n  source: {recipe.source}")
        for row in recipe.published:
            shown = ", ".join(f"{key} {value:g}" for key, value in row.scores.items())
            setting = ", ".join(f"{key} {value}" for key, value in row.setting.items())
            click.echo(f"  published ({row.split}{'; ' + setting if setting else ''}): {shown}")
