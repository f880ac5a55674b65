"""Frames of a DDD17 file: four time stamps made sane, pixels read when asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.events import SensorSize
from eventseg.recordings.contents import Frames
from eventseg.recordings.ddd17.layout import FRAME_DTYPE, WRAP_US
from eventseg.recordings.ddd17.packets import channels_of
from eventseg.recordings.ddd17.source import PacketSource
from eventseg.recordings.report import Tally

Times = NDArray[np.int64]

LUMA_PER_MILLE = (299, 587, 114)

LONGEST_US = 10_000_000
"""No exposure and no read-out takes longer; a stamp further away is damaged."""


FEWEST_ALIKE = 8
"""Frames that tell how long a camera's read-out takes."""

ALIKE_US = 1_000
"""Difference of read-outs, or exposures, of one length."""


def open_frames(
    stored: NDArray[np.void],
    *,
    file: PacketSource,
    sensor: SensorSize,
    rotate180: bool,
    tally: Tally,
) -> Frames:
    """Return the frames that fit on the sensor, sorted by the end of their exposure.

    Parameters
    ----------
    stored : structured array (F,)
        STORED_FRAME_DTYPE of :mod:`eventseg.recordings.ddd17.packets`, in file order.
    file : PacketSource
        Where the pixels are.
    sensor : SensorSize
    rotate180 : bool
        Turn pictures and regions of interest by 180 degrees.
    tally : Tally
        Receives the counts of skipped and repaired frames.
    """
    inside = (stored["row"].astype(np.int64) + stored["height"] <= sensor.height) & (
        stored["col"].astype(np.int64) + stored["width"] <= sensor.width
    )
    tally.skip("frames", f"outside the sensor {sensor}", int((~inside).sum()))
    stored = stored[inside]
    start, end, exposure_start, exposure_end = (
        stamps + stored["base"] for stamps in _sane_stamps(stored, tally)
    )
    tally.repair(
        "frames out of order, sorted by end of exposure",
        int((exposure_end[1:] < exposure_end[:-1]).sum()),
    )
    order = np.argsort(exposure_end, kind="stable")
    # Two frames of one time would be two samples of one time.
    again = np.flatnonzero(np.diff(exposure_end[order]) == 0) + 1
    tally.skip("frames", "same time as the frame before", len(again))
    order = np.delete(order, again)
    stored = stored[order]
    channels = channels_of(stored)
    rois = np.stack([stored[name] for name in ("row", "col", "height", "width")], axis=1)
    placed = rois.astype(np.int64)
    if rotate180:
        placed[:, 0] = sensor.height - placed[:, 0] - placed[:, 2]
        placed[:, 1] = sensor.width - placed[:, 1] - placed[:, 3]

    def read(i: int) -> NDArray[np.uint16]:
        frame = stored[i]
        shape = int(frame["height"]), int(frame["width"])
        first = int(frame["offset"]) + FRAME_DTYPE.itemsize
        stop = first + 2 * shape[0] * shape[1] * int(channels[i])
        pixels = file.frame_of(int(frame["at"]), first, stop)
        picture = luma(pixels.view("<u2").reshape(*shape, int(channels[i])))
        return picture[::-1, ::-1] if rotate180 else picture

    return Frames(
        start[order],
        end[order],
        exposure_start[order],
        exposure_end[order],
        placed,
        sensor,
        read,
        stored["packet_row"].astype(np.int64),
    )


def luma(pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return the brightness of pixels (H, W, 1, 3 or 4) as gray, uint16 (H, W).

    Of red, green and blue it is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), rounded.
    """
    if pixels.shape[2] == 1:
        return pixels[:, :, 0]
    weighted = pixels[:, :, :3].astype(np.uint32) @ np.array(LUMA_PER_MILLE, np.uint32)
    return ((weighted + 500) // 1000).astype(np.uint16)


def _usual_stamps(first: Times, last: Times, end: Times, tally: Tally) -> None:
    """Put right, in place, end stamps and ends of exposure that the other frames contradict.

    A camera's read-out, from the end of the exposure to the end of the frame, takes the same time
    for every frame. Where nine in ten agree to a millisecond, a frame that departs has a damaged
    stamp: its end if the exposure is as long as others are, else the end of its exposure.
    """
    known = (first != 0) & (last != 0) & (end > 0)  # zero is an absent stamp
    if known.sum() < FEWEST_ALIKE:
        return
    usual_us = int(np.median((end - last)[known]))
    alike = known & (abs(end - last - usual_us) <= ALIKE_US)
    if alike.sum() < 0.9 * known.sum():
        return
    shortest_us = int((last - first)[alike].min()) - ALIKE_US
    longest_us = int((last - first)[alike].max()) + ALIKE_US

    def exposed(ends: Times) -> NDArray[np.bool_]:
        usual: NDArray[np.bool_] = (ends - first >= shortest_us) & (ends - first <= longest_us)
        return usual

    wrong_end = known & ~alike & exposed(last)
    wrong_last = known & ~alike & ~exposed(last) & exposed(end - usual_us)
    end[wrong_end] = last[wrong_end] + usual_us
    last[wrong_last] = end[wrong_last] - usual_us
    tally.repair("frames with an unusual end stamp, put right", int(wrong_end.sum()))
    tally.repair("frames with an unusual end of exposure, put right", int(wrong_last.sum()))


def _sane_stamps(
    stored: NDArray[np.void], tally: Tally
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return start, end, exposure start and exposure end as 31-bit times in a sane order."""
    names = ("t_start", "t_end", "exposure_start", "exposure_end")
    start, end, first, last = (stored[name].astype(np.int64) for name in names)
    no_end = end <= 0
    tally.repair("frames without an end stamp, end of exposure taken", int(no_end.sum()))
    end[no_end] = last[no_end]
    for stamps in (start, first, last):
        # The packet's overflow belongs to the end of the frame.
        stamps[stamps - end > WRAP_US // 2] -= WRAP_US

    _usual_stamps(first, last, end, tally)

    # Zero is a time too, in the first moments of a clock, but not for the end of an exposure.
    no_exposure = (last == 0) & (end > 0)
    first_absent = no_exposure & (first == 0)

    def replace(
        stamps: NDArray[np.int64], latest: NDArray[np.int64], absent: NDArray[np.bool_]
    ) -> int:
        wrong = absent | (stamps > latest) | (latest - stamps > LONGEST_US)
        stamps[wrong] = latest[wrong]
        return int(wrong.sum())

    for what, stamps, latest, absent in (
        ("exposure end, end of frame taken", last, end, no_exposure),
        ("exposure start, end of exposure taken", first, last, first_absent),
        ("start, start of exposure taken", start, first, np.zeros_like(no_exposure)),
    ):
        tally.repair(f"frames without a sane {what}", replace(stamps, latest, absent))
    return start, end, first, last
