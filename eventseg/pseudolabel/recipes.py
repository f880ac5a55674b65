"""Label recipes: test-time augmentation, merge and filters, and presets of published labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from eventseg.dataset.layout import LIMITS
from eventseg.pseudolabel.confidence import LabelFilters
from eventseg.pseudolabel.settings import EXACT, Arithmetic, Merge, TestTimeAugmentation

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class LabelRecipe:
    """Settings of labelling apart from frames, teachers and the class table.

    Parameters
    ----------
    test_time : TestTimeAugmentation
        Views of each frame; those that are not given are chosen for frame and device.
    merge : {"probabilities", "labels"}
        Quantity that is merged into the classes of the table: probabilities, before the likeliest
        class is taken, or labels, after.
    filters : LabelFilters
        Filters that labels must pass.
    limits : tuple of str
        Sentences on what the labels do not repeat of those that the recipe is named after. They
        stand in the manifest and change no label.
    arithmetic : {"exact", "float32", "bfloat16"}, optional
        Arithmetic of teachers. exact: as their library computes, with the views that earlier
        releases chose, for their labels to the bit. float32: scores are resized instead of
        probabilities, and work that changes them by rounding alone is left out. bfloat16: that, and
        products of rounded numbers. On a CPU the last two choose one view. By default exact on a
        GPU; on a CPU bfloat16 where its processor has units for it, else float32.
    """

    test_time: TestTimeAugmentation = field(default_factory=TestTimeAugmentation)
    merge: Merge = "probabilities"
    filters: LabelFilters = field(default_factory=lambda: LabelFilters(threshold=DEFAULT_THRESHOLD))
    limits: tuple[str, ...] = ()
    arithmetic: Arithmetic | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as a TOML table."""
        return {
            **self.test_time.to_dict(),
            "merge": self.merge,
            # Sets of earlier releases are exact and do not say so.
            **({} if self.arithmetic in (None, EXACT) else {"arithmetic": self.arithmetic}),
            **self.filters.to_dict(),
            **({LIMITS: list(self.limits)} if self.limits else {}),
        }


PRESETS: dict[str, LabelRecipe] = {
    "default": LabelRecipe(),
    "evsegnet-labels": LabelRecipe(
        TestTimeAugmentation((0.75, 1.0, 1.5), flip=True),
        "labels",
        LabelFilters(),
        limits=(
            "the labels of EV-SegNet's authors are not repeated, only their scales, flip, argmax "
            "and merge: their teacher was the larger Segception, trained on gray Cityscapes, whose "
            "weights were never published",
            "their teacher saw x / 127.5 - 1; yours sees what it was trained on",
            "they enlarged with aligned corners; here pixels keep their centres",
        ),
        arithmetic=EXACT,
    ),
    "delft-labels": LabelRecipe(
        TestTimeAugmentation((1.0,), flip=False),
        "labels",
        LabelFilters(),
        limits=("the scale of the relabelling of 2022 is not recorded; 1 is a guess",),
        arithmetic=EXACT,
    ),
}
"""Recipes by name.

``evsegnet-labels``: scales, flip, argmax and merge of EV-SegNet's labels of DDD17 (whole frame at
its own size; the crop is the data set's). ``delft-labels``: the later relabelling with PSPNet-101,
one look at the frame's own size, hard labels merged. Their limits say what either cannot
repeat.
"""

PRESET_TEACHER: dict[str, str] = {"delft-labels": "pspnet101"}
"""Network that a preset stands for, where it needs one."""
