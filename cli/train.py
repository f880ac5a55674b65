"""``eventseg train``: a network on a data set, into a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eventseg.training.config.config import TrainConfig
from eventseg.training.config.describe import describe_settings
from eventseg.training.config.options import SHORT_NAMES

from . import callbacks, options, printing, train_run
from .group import TitledCommand, option_group
from .progress import Messages

if TYPE_CHECKING:
    from .group import Decorator

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
  eventseg train drives.eventseg --network fastscnn --init runs/events --out runs/finetuned
  eventseg train CamVid --recipe cgnet-camvid --init model_cityscapes.pth
  eventseg train drives.eventseg --network my_nets.py:Net --loss my_losses.py:loss
  eventseg train drives.eventseg --encode live --device cuda --set augmentation.drop=0.2
  eventseg train CamVid --recipe cgnet-camvid --set batch_size=4
  eventseg train drives.eventseg --out runs/teacher --resume
  eventseg train drives.eventseg --seeds 3
  eventseg train drives.eventseg --split split.csv
  eventseg train drives.eventseg --val monday,tuesday
  eventseg train drives.eventseg --sweep fold=1/3,2/3,3/3 --out runs/folds
  eventseg train drives.eventseg --sweep lr=1e-3,5e-3 --seeds 3 --out runs/rates
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
    _setting("window", callback=callbacks.durations, metavar="LENGTH[,LENGTH...]"),
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
    "Split",
    _setting("split", metavar="FILE.csv"),
    _setting("val", metavar="RECORDING[,RECORDING...]"),
    _setting("fold", metavar="I/K"),
    _setting("hold_back"),
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
        callback=callbacks.any_duration,
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
        "--sweep",
        "sweeps",
        multiple=True,
        metavar="PATH=VALUE,VALUE[,...]",
        help="Train with each value, such as lr=1e-3,5e-4; several sweeps are combined. The run "
        "folders lie in --out, and runs that are done are skipped.",
    ),
    click.option(
        "--seeds", type=click.IntRange(1), metavar="N", help="Train with N seeds from --seed on."
    ),
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
    sweeps: tuple[str, ...],
    seeds: int | None,
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
    """Train a network on DATA: a data set, a league, or a folder of labelled pictures.

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
    several = bool(sweeps) or seeds is not None
    goes_on = resume and not several and out is not None and (out / "config.toml").is_file()
    if goes_on and recipe in (None, "auto"):
        recipe, automatic = f"{out}/config.toml", False
    config = configs.load_config(None if automatic else recipe, overrides=overrides)
    if print_config and not automatic:
        click.echo(configs.to_toml(config), nl=False)
        return
    if data is None:
        raise click.UsageError("Missing argument 'DATA'.")
    from eventseg.device import choose_device, set_threads
    from eventseg.sources.source import open_source
    from eventseg.training.distributed import rank
    from eventseg.training.run import default_run_folder
    from eventseg.training.sweep import sweep_runs

    runs = sweep_runs(sweeps, seeds=seeds or 1, first_seed=config.seed) if several else []
    # Settings that a run of the sweep cannot have are refused before the first is trained.
    configs_of_runs = {
        run.name: configs.load_config(
            None if automatic else recipe, overrides={**overrides, **run.overrides}
        )
        for run in runs
    }
    chosen = choose_device(device)
    threads = set_threads(threads, workers=config.workers)
    if rank() > 0:  # of several processes the first one speaks
        messages = Messages(quiet=True)
    with train_run.one_voice(chosen):
        labels = config.labels.set
        source = open_source(data, label_set=labels)
        printing.note_left_out(data, messages, source)
        try:
            if automatic:
                from eventseg.training.budget import USUAL_BUDGET_US, fit_to_budget

                if several:
                    raise click.UsageError(
                        "--recipe auto plans one run: give its settings to a sweep."
                    )
                plan = fit_to_budget(
                    source,
                    config,
                    budget_us=budget or USUAL_BUDGET_US,
                    device=chosen,
                    given=overrides,
                )
                config = plan.config
                messages.note(f"recipe auto: {plan}")
                if print_config:
                    click.echo(configs.to_toml(config), nl=False)
                    return
            usual = default_run_folder(config)
            base = out or (usual.with_name(f"{usual.name}-sweep") if several else usual)
            found = []
            for name, each in configs_of_runs.items() if several else [("", config)]:
                root = base / name
                if labels != each.labels.set:
                    source.close()
                    labels = each.labels.set
                    source = open_source(data, label_set=labels)
                trained = train_run.train_run(
                    source,
                    root,
                    each,
                    device=chosen,
                    threads=threads,
                    resume=resume or (several and (root / "config.toml").is_file()),
                    tensorboard=tensorboard,
                    messages=messages,
                    again="the same command" if several else f"--resume --out {root}",
                )
                found.append((root, trained))
        finally:
            source.close()
    if rank() > 0:
        return
    if as_json:
        described = [train_run.described(root, trained) for root, trained in found]
        printing.print_json({"runs": described} if several else described[0])
        return
    for root, trained in found:
        train_run.print_best(root, trained)
    if several:
        from eventseg.evaluation.compare.report import compare_runs

        page, words = compare_runs([root for root, _ in found], out=base / "comparison")
        click.echo(f"\n{words}{page}")


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
