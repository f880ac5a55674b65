"""Late fusion: one network for the frame, one for the events, their logits averaged."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from eventseg.errors import NetworkError
from eventseg.networks.network import SegmentationNetwork, resize


class LateFusion(SegmentationNetwork):
    """Two networks side by side over the channels ``(frame, events)``.

    Parameters
    ----------
    of_frame, of_events : SegmentationNetwork
        Networks of the first and of the other channels, with equal classes and as many
        auxiliary heads.

    Raises
    ------
    NetworkError
        The two have different classes.
    """

    def __init__(self, of_frame: SegmentationNetwork, of_events: SegmentationNetwork) -> None:
        if of_frame.classes != of_events.classes:
            raise NetworkError(
                f"late fusion needs equal classes, got {of_frame.classes} and {of_events.classes}"
            )
        super().__init__(
            of_frame.in_channels + of_events.in_channels,
            of_frame.classes,
            align_corners=of_frame.align_corners,
        )
        self.of_frame = of_frame
        self.of_events = of_events

    def heads(self, x: Tensor) -> Sequence[Tensor]:
        """Return the mean logits, head by head, at the input's size."""
        channels = self.of_frame.in_channels
        frame, events = x[:, :channels], x[:, channels:]
        pairs = zip(self.of_frame.heads(frame), self.of_events.heads(events), strict=True)
        return [
            (
                resize(a, x, align_corners=self.align_corners)
                + resize(b, x, align_corners=self.align_corners)
            )
            / 2
            for a, b in pairs
        ]
