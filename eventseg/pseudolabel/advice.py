"""Warning of label sets in which nearly every pixel is ignored."""

from __future__ import annotations

from eventseg.pseudolabel.confidence import LabelFilters

NEARLY_ALL = 0.99
"""Share of ignored pixels from which labels are of no use."""


def warning_of(ignored: float, filters: LabelFilters, *, teachers: int) -> str:
    """Return a warning with the options to change, or "" where enough pixels have labels.

    Parameters
    ----------
    ignored : float
        Share of all pixels that are ignored.
    filters : LabelFilters
        Filters that the labels had to pass.
    teachers : int
        Number of teachers that had to agree.
    """
    if ignored < NEARLY_ALL:
        return ""
    ways = []
    if filters.threshold > 0:
        ways.append(f"lower --threshold (it is {filters.threshold:g})")
    if filters.agreement > 0:
        ways.append(f"lower --agreement (it is {filters.agreement:g})")
    if filters.quantile > 0:
        ways.append(f"lower --quantile (it is {filters.quantile:g})")
    if filters.temporal is not None:
        ways.append(f"raise --temporal (it is {filters.temporal}) or leave it out")
    if filters.ego is not None:
        ways.append("make --ego smaller")
    if teachers > 1:
        ways.append(f"ask fewer than {teachers} teachers")
    ways.append("use a teacher that knows such pictures and these classes")
    return (
        f"{100 * ignored:.1f} % of the pixels are ignored: a network can learn next to nothing "
        f"from these labels; {', or '.join(ways)}"
    )
