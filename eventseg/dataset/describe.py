"""Description of a data set, as a plain dict and as lines of text."""

from __future__ import annotations

from typing import Any

import numpy as np

from eventseg.dataset.describe_labels import MOST_MAPS, describe_labels, label_lines
from eventseg.dataset.reader import EventDataset
from eventseg.files.texts import counted
from eventseg.recordings.choices import FileChoices


def describe_dataset(dataset: EventDataset, *, most_maps: int | None = MOST_MAPS) -> dict[str, Any]:
    """Return the settings of a data set and its numbers by split, window and class.

    Parameters
    ----------
    dataset : EventDataset
    most_maps : int, optional
        Label maps of a set to count at most, spread evenly; None for all.

    Returns
    -------
    dict
        Ready for JSON. ``splits`` has for each split the samples, frames and, by window, the
        events and the samples not fully covered; ``labels`` is that of
        :func:`eventseg.dataset.describe_labels.describe_labels`.
    """
    samples, settings = dataset.samples, dataset.manifest.settings
    split = np.array(samples.split, dtype=object)
    splits: dict[str, Any] = {}
    for name in sorted(set(samples.split)):
        mine = split == name
        splits[name] = {
            "samples": int(mine.sum()),
            "frames": int((samples.frame[mine] >= 0).sum()),
            "windows": {
                window: {
                    "events": int(samples.events[mine, w].sum()),
                    "events_mean": float(samples.events[mine, w].mean()),
                    "not_covered": int((samples.covered[mine, w] < 1).sum()),
                }
                for w, window in enumerate(settings.windows)
            },
        }
    return {
        "path": str(dataset.path),
        "version": dataset.manifest.version,
        "settings": settings.to_dict(),
        "shape": list(settings.encoding.shape),
        "recordings": [entry.to_dict() for entry in dataset.manifest.recordings],
        "samples": len(samples),
        "splits": splits,
        "labels": describe_labels(dataset, most_maps=most_maps),
    }


def dataset_lines(info: dict[str, Any]) -> list[str]:
    """Return a description of a data set as lines for people."""
    settings = info["settings"]
    sensor, (row0, row1) = settings["sensor"], settings["rows"]
    lines = [
        f"{info['path']}  {counted(info['samples'], 'sample')}, made by eventseg {info['version']}",
        f"anchor    {settings['anchor']}",
        f"windows   {', '.join(settings['windows'])}",
        f"tensors   {' x '.join(map(str, info['shape']))}, "
        f"{settings.get('representation', 'count, mean and std')}, rows {row0}-{row1 - 1} of "
        f"{sensor['width']}x{sensor['height']}, {settings['normalise']}, ddof {settings['ddof']}, "
        f"store {settings['store']}",
    ]
    if "filters" in settings:
        lines.append(f"filters   {','.join(settings['filters'])}")
    choices = FileChoices.from_dict(settings).to_dict()
    if choices:
        lines.append(f"read with {', '.join(f'{key} {value}' for key, value in choices.items())}")
    lines.append(f"recordings {len(info['recordings'])}")
    lines += [
        f"  {entry['name']:<32} {entry['events']:>13,} events, {entry['frames']:>7,} frames, "
        f"{(entry['t_last_us'] - entry['t_first_us']) / 1e6:.3f} s"
        + "".join(f", {n:,} {name} dropped" for name, n in entry.get("dropped", {}).items())
        for entry in info["recordings"]
    ]
    lines.append("splits")
    for name, split in info["splits"].items():
        lines.append(
            f"  {name:<6} {split['samples']:>9,} samples, {counted(split['frames'], 'frame')}"
        )
        lines += [
            f"    {window:<8} {numbers['events']:>13,} events, {numbers['events_mean']:,.0f} "
            f"a sample, {counted(numbers['not_covered'], 'sample')} not fully covered"
            for window, numbers in split["windows"].items()
        ]
    for name, labels in info["labels"].items():
        lines += label_lines(name, labels)
    return lines
