"""``eventseg train``: a network on a data set, into a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .progress import ProgressBar

if TYPE_CHECKING:
    pass

ENCODED = {
    "nowhere": "",
    "workers": ", events encoded by the workers",
    "device": ", events encoded on the device",
}
"""What is said of the place where live events are encoded."""


@click.command(
    "train",
    epilog="""\b
Examples:
  eventseg train drives.eventseg
  eventseg train drives.eventseg --network fastscnn --input both --window 10ms,50ms,250ms
  eventseg train drives.eventseg --labels segformer-b5 --epochs 60 --out runs/teacher
  eventseg train drives.eventseg --recipe evsegnet-code --fraction 0.25
  eventseg train drives.eventseg --network my_nets.py:Net --loss my_losses.py:loss
  eventseg train drives.eventseg --encode live --device cuda --set augmentation.drop=0.2
  eventseg train CamVid --recipe cgnet-camvid --set batch_size=4
  eventseg train drives.eventseg --out runs/teacher --resume
  torchrun --nproc-per-node 2 --no-python eventseg train drives.eventseg
  eventseg train --list-recipes
""",
)
@click.argument("data", required=False, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--recipe", help="Settings to begin with: a recipe by name, or a file ending in .toml."
)
@click.option(
    "--network",
    help="Network, such as fastscnn, or FILE.py:NAME of your own.  [default: evsegnet]",
)
@click.option(
    "--loss",
    metavar="TERM[=WEIGHT][,...]",
    help="Terms of the loss, such as cross_entropy,dice=0.5, or FILE.py:NAME of your own.  "
    "[default: cross_entropy]",
)
@click.option(
    "--input",
    "kind",
    type=click.Choice(["events", "gray", "rgb", "both"]),
    help="What it sees; both is gray and events.  [default: events]",
)
@click.option(
    "--fusion",
    type=click.Choice(["early", "late"]),
    help="Of both: one network, or two with averaged logits.  [default: early]",
)
@click.option(
    "--window",
    metavar="LENGTH[,LENGTH...]",
    help="Windows, one drawn for each sample.  [default: 50ms]",
)
@click.option(
    "--encode",
    type=click.Choice(["stored", "live"]),
    help="Tensors as stored where they are, or live from the recordings: on the GPU that trains, "
    "else by the workers.  [default: stored]",
)
@click.option("--labels", metavar="SET", help="Label set to learn.  [default: truth]")
@click.option("--classes", metavar="TABLE", help="Class table to merge the labels into.")
@click.option("--init", help="random, imagenet, or imagenet:PATH.  [default: random]")
@click.option("--epochs", type=click.IntRange(1), help="Passes over the data.  [default: 30]")
@click.option("--iterations", type=click.IntRange(1), help="Updates, in place of epochs.")
@click.option("--batch-size", type=click.IntRange(1), help="Samples of an update.  [default: 8]")
@click.option("--learning-rate", type=float, help="Before its schedule.  [default: 0.001]")
@click.option("--fraction", type=float, help="Share of the training samples.  [default: 1]")
@click.option(
    "--protocol",
    type=click.Choice(["clean", "paper"]),
    help="Whether the validation or, as published, the test part chooses.  [default: clean]",
)
@click.option("--amp", type=click.Choice(["off", "bf16", "fp16"]), help="Precision. [default: off]")
@click.option("--compile", is_flag=True, default=None, help="Compile the network with torch.")
@click.option("--workers", type=click.IntRange(0), help="Loading processes.  [default: 2]")
@click.option(
    "--bad-samples",
    type=click.Choice(["raise", "skip"]),
    help="What to do with samples that cannot be read: stop, or list them in skipped.csv and go on "
    "without.  [default: raise]",
)
@click.option("--seed", type=click.IntRange(0), help="Of everything random.  [default: 0]")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="PATH=VALUE",
    help="Any other setting, such as augmentation.flip=0; may be repeated.",
)
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1 or auto.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Run folder.  [default: runs/NETWORK-INPUT-WINDOWS]",
)
@click.option("--resume", is_flag=True, help="Go on with the run in the folder, with its settings.")
@click.option("--tensorboard", is_flag=True, help="Also write TensorBoard files (extra).")
@click.option("--list-recipes", is_flag=True, help="Show the recipes with their sources.")
@click.option("--print-config", is_flag=True, help="Print the settings and stop.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
def command(
    data: Path | None,
    recipe: str | None,
    kind: str | None,
    window: str | None,
    loss: str | None,
    encode: str | None,
    settings: tuple[str, ...],
    device: str,
    out: Path | None,
    resume: bool,
    tensorboard: bool,
    list_recipes: bool,
    print_config: bool,
    quiet: bool,
    **options: Any,
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
    live = None if encode is None else encode == "live"
    overrides = overrides_of({"input": kind, "window": window, "live": live, **options})
    if loss is not None:
        overrides["loss.terms"] = _terms(loss)
    overrides |= dict(map(configs.parse_override, settings))
    if resume and recipe is None and out is not None and (out / "config.toml").is_file():
        recipe = str(out / "config.toml")
    config = configs.load_config(recipe, overrides=overrides)
    if print_config:
        click.echo(configs.to_toml(config), nl=False)
        return
    if data is None:
        raise click.UsageError("Missing argument 'DATA'.")
    from eventseg.device import choose_device
    from eventseg.files import short_extension
    from eventseg.sources.source import open_source
    from eventseg.training.distributed import rank
    from eventseg.training.loading import encoded_where
    from eventseg.training.run import default_run_folder
    from eventseg.training.run_folder import SKIPPED, read_skipped, resume_notes
    from eventseg.training.trainer import train

    chosen = choose_device(device)
    root = out or default_run_folder(config)
    source = open_source(data, label_set=config.labels.set)
    # Of several processes the first one speaks.
    quiet = quiet or rank() > 0
    bar = ProgressBar(False if quiet else None)
    if not quiet:
        where = ENCODED[encoded_where(source, config, chosen)]
        click.echo(
            f"{short_extension(config.network.name)} on {chosen}{where}, run folder {root}",
            err=True,
        )
        if resume:
            for note in resume_notes(root, configs.with_absolute_paths(config), device=chosen):
                click.echo(f"resumed with another setting: {note}", err=True)
    try:
        trained = train(
            source,
            root,
            config=config,
            device=chosen,
            resume=resume,
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
        click.echo(
            f"went on without samples that cannot be read: {len(skipped)}, see "
            f"{trained.path / SKIPPED}",
            err=True,
        )
    best = trained.best
    click.echo(
        f"best epoch {best.epoch} of {len(trained.history)}: mIoU {best.selection_score:.2f} % "
        f"over the classes in the truth ({best.val_miou:.2f} % over those in truth or prediction, "
        f"{best.val_miou_all:.2f} % over all), accuracy {best.val_accuracy:.2f} % on the "
        f"{'validation' if config.protocol == 'clean' else 'test'} part"
    )
    click.echo(f"{root}/best.pt")


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
