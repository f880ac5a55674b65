"""Published rows of recipes, and our scores of the same data beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from eventseg.evaluation.compare.evaluations import pick_evaluation
from eventseg.evaluation.compare.published import DDD17, PUBLISHED_ON
from eventseg.evaluation.compare.runs import RunSummary
from eventseg.evaluation.compare.scores import by_length, spread
from eventseg.training.config.config import TrainConfig, load_config, recipe_names
from eventseg.training.config.recipes import Published, load_recipe

ALWAYS = "evsegnet-paper"
"""Recipe whose published rows stand beside every comparison."""

PUBLISHED_HEADER = (
    "published",
    "network",
    "setting",
    "split",
    "scores, %",
    "cost",
    "ours, mIoU %",
    "comparable",
)

WORDS = {
    "miou": "mIoU",
    "mean_accuracy": "mean class accuracy",
    "input.kind": "input",
    "size.resize": "size",
    "batch_size": "batch",
    "optimiser.learning_rate": "rate",
    "gpu_memory_mb": "GPU MB",
    "training_minutes": "minutes",
}
"""Short names of settings, scores and costs of published rows."""


def published_rows(runs: Sequence[RunSummary]) -> list[list[str]]:
    """Return the published rows of EV-SegNet and of the recipes of the runs' networks.

    Beside each stand our scores of the same network and input on the same data, classes and part.
    """
    networks = {run.config.network.name for run in runs}
    rows = []
    for name in recipe_names():
        config = load_config(name)
        network = config.network.name
        if name != ALWAYS and network not in networks:
            continue
        recipe = load_recipe(name)
        same = [
            run
            for run in runs
            if run.published_data and run.published_data == PUBLISHED_ON.get(name)
        ]
        for row in recipe.published:
            ours = [_ours(run, row) for run in same if _fits(run.config, row, published=config)]
            rows.append(
                [
                    recipe.title,
                    network,
                    _pairs(row.setting),
                    row.split,
                    _pairs(row.scores),
                    _pairs(row.costs),
                    "; ".join(text for text in ours if text) or "-",
                    _comparable(name, has_data=bool(same)),
                ]
            )
    return rows


def _comparable(recipe: str, *, has_data: bool) -> str:
    if not has_data:
        return "not comparable"
    of_teacher = PUBLISHED_ON[recipe] == DDD17
    return "same data, labels of another teacher" if of_teacher else "same data"


def _fits(config: TrainConfig, row: Published, *, published: TrainConfig) -> bool:
    """Return whether a run is of the network and the kind of input of a published row."""
    kind = row.setting.get("input.kind", published.input.kind)
    return config.network.name == published.network.name and config.input.kind == kind


def _ours(run: RunSummary, row: Published) -> str:
    """Return our mIoU on the part of a published row in words, empty where there is none."""
    # A run may have been scored on other data and in other classes too.
    own = replace(run, scored={one: run.scored[one] for one in run.own})
    chosen = pick_evaluation([own], split=row.split)
    if chosen is not None:
        values = run.scored[chosen]
        text = ", ".join(
            f"{window} {spread([score.miou for score in values[window]])}".removeprefix("- ")
            for window in sorted(values, key=by_length)
        )
    elif row.split == _judged(run.config):
        text = spread(run.val_miou)
    else:
        return ""
    setting = f"batch {run.config.batch_size}, rate {run.config.optimiser.learning_rate:g}"
    if run.published_data == DDD17 and run.config.protocol == "clean":
        setting += ", without the validation rows"
    return f"{run.name}: {text} ({setting})"


def _judged(config: TrainConfig) -> str:
    """Return the part that the validation scores are of; empty for a share held back of train."""
    if config.protocol == "paper":
        return "test"
    return "" if config.validation_share else "val"


def _pairs(values: object) -> str:
    if not isinstance(values, dict) or not values:
        return "-"
    pairs = []
    for key, value in values.items():
        name, _, window = key.partition("_") if key.endswith("ms") else (key, "", "")
        text = " ".join(filter(None, (WORDS.get(name, name.replace("_", " ")), window)))
        pairs.append(f"{text} {value:g}" if isinstance(value, float) else f"{text} {value}")
    return ", ".join(pairs)
