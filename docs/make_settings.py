"""Writes ``docs/settings.md`` from the settings' dataclasses: ``uv run docs/make_settings.py``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from eventseg.evaluation.settings import EvaluationRequest
from eventseg.pseudolabel.recipes import LabelRecipe
from eventseg.training.config.config import TrainConfig
from eventseg.training.config.describe import Setting, describe_settings

PAGE = Path(__file__).with_name("settings.md")

HEAD = """\
# Settings

All settings of `train`, `pseudolabel` and `evaluate`, with types and defaults. The page is made
from the code by `uv run docs/make_settings.py`, as `--help` is.
"""

TRAINING = """\
In a TOML file (`--recipe FILE.toml`) a name with a dot is an entry of a table; on the command line
it is `--set PATH=VALUE`, and as a keyword of `eventseg.train` it goes by its path. Common ones have
an option of their own, see `eventseg train --help`. Recipes begin elsewhere than the defaults here:
`eventseg train --recipe NAME --print-config`.
"""

LABELLING = """\
Options of `eventseg pseudolabel` and entries of `LabelRecipe`; a preset may have other defaults.
The options are `--scales`, `--threshold` and so on.
"""

EVALUATION = """\
Options of `eventseg evaluate` and keywords of `eventseg.evaluate_run`. `--window` is `windows`
here; the command loads with one worker by default.
"""


def page() -> str:
    """Return the page as Markdown."""
    training = describe_settings(TrainConfig).values()
    tables: dict[str, list[Setting]] = {}
    for setting in training:
        tables.setdefault(setting.path.rpartition(".")[0], []).append(setting)
    parts = [HEAD, "## Training", TRAINING, _table(tables.pop(""))]
    for name, settings in tables.items():
        parts += [f"### `[{name}]`", _table(settings)]
    parts += ["## Labelling", LABELLING, _table(describe_settings(LabelRecipe).values())]
    parts += ["## Evaluation", EVALUATION, _table(describe_settings(EvaluationRequest).values())]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _table(settings: Iterable[Setting]) -> str:
    lines = ["| setting | type | default | meaning |", "|---|---|---|---|"]
    for setting in settings:
        default = f"`{setting.default_text}`" if setting.default_text else "-"
        cells = (f"`{setting.path}`", setting.type_text, default, setting.text)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
