"""How labels are made: test time, merge and filters together, and presets that repeat history."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from eventseg.pseudolabel.confidence import Filters
from eventseg.pseudolabel.test_time import TestTime
from eventseg.pseudolabel.voting import Merge

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class LabelRecipe:
    """Everything that decides labels beside frames, teachers and the class table.

    Parameters
    ----------
    test_time : TestTime
        Scales and flip.
    merge : {"probabilities", "labels"}
        What is merged into the classes asked for: probabilities before the largest is taken, or
        labels after.
    filters : Filters
        What labels must pass.
    """

    test_time: TestTime = field(default_factory=TestTime)
    merge: Merge = "probabilities"
    filters: Filters = field(default_factory=lambda: Filters(threshold=DEFAULT_THRESHOLD))

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as TOML holds it."""
        return {
            "scales": list(self.test_time.scales),
            "flip": self.test_time.flip,
            "merge": self.merge,
            **self.filters.to_dict(),
        }


PRESETS: dict[str, LabelRecipe] = {
    "default": LabelRecipe(),
    "evsegnet-labels": LabelRecipe(TestTime((0.75, 1.0, 1.5), flip=True), "labels", Filters()),
    "delft-labels": LabelRecipe(TestTime((1.0,), flip=False), "labels", Filters()),
}
"""Recipes by name.

``evsegnet-labels``: how EV-SegNet's labels of DDD17 were made (whole frame at its own size, three
scales and a flip, argmax, then merged; the crop is the data set's). ``delft-labels``: the later
relabelling with PSPNet-101, one look at the frame's own size, hard labels merged.
"""

PRESET_TEACHER: dict[str, str] = {"delft-labels": "pspnet101"}
"""Network that a preset stands for, where it needs one."""
