"""Notes of a recipe besides its settings: source, published results, doubts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eventseg.errors import TrainingError
from eventseg.training.config.config import read_table
from eventseg.training.config.tables import from_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One row of a published table.

    Parameters
    ----------
    split : str
        Part that was scored: ``test``, ``val``.
    setting : mapping
        Settings that differ from the recipe's, by path: those of
        :func:`eventseg.training.config.config.load_config`'s overrides.
    scores : mapping
        In percent, by the names ``accuracy``, ``mean_accuracy`` (over classes), ``miou``,
        ``category_miou`` and others.
    costs : mapping
        Time and memory by name and unit.
    per_class : mapping
        IoU of classes in percent.
    note : str
    """

    split: str
    setting: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    per_class: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Origin of a recipe and the results published with it.

    Parameters
    ----------
    title, source : str
        Description, and the report or code it was taken from.
    doubts : tuple of str
        Settings that the source does not give, contradicts or that differ here; each begins with
        ``recalled``, ``inferred``, ``contradicts`` or ``differs``.
    published : tuple of Published
        Rows of its table; empty where none was published.
    """

    title: str
    source: str
    doubts: tuple[str, ...] = ()
    published: tuple[Published, ...] = ()


def load_recipe(name: str) -> Recipe:
    """Return the notes of a recipe besides its settings.

    Raises
    ------
    TrainingError
        No such recipe, or a file that is none.
    """
    table = read_table(name)
    if "recipe" not in table:
        raise TrainingError(f"{name} has no table [recipe]; it holds settings only")
    return from_table(Recipe, table["recipe"], where="recipe")
