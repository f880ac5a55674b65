"""Description of an image folder or a league: samples by split, and the share of each class."""

from __future__ import annotations

from typing import Any

from eventseg.files.texts import counted
from eventseg.labels.maps import IGNORED
from eventseg.labels.shares import LabelCounts, label_warnings
from eventseg.sources.image_folders import Folder
from eventseg.sources.leagues.league import League


def describe_folder(folder: Folder | League) -> dict[str, Any]:
    """Return the samples and pixels of an image folder or a league by split.

    Returns
    -------
    dict
        Ready for JSON. ``splits`` has for each split the samples, the sequences and, by class and
        for ``ignored``, the pixels of the labels.
    """
    names = [*folder.classes.names]
    labelled_mask = folder.labelled
    splits: dict[str, Any] = {}
    counts: dict[str, LabelCounts] = {}
    for split in sorted(set(folder.splits)):
        mine = [i for i, of in enumerate(folder.splits) if of == split]
        total = counts.setdefault(split, LabelCounts())
        labelled = [i for i in mine if labelled_mask[i]]
        for i in labelled:
            total.add(folder.labels(i))
        pixels = {name: int(total.pixels[k]) for k, name in enumerate(names)}
        splits[split] = {
            "samples": len(mine),
            "labelled": len(labelled),
            "sequences": len({folder.sequences[i] for i in mine}),
            "pixels": {**pixels, "ignored": int(total.pixels[IGNORED])},
        }
    return {
        "path": str(folder.path),
        "size": str(folder.size),
        "samples": len(folder.ids),
        "classes": names,
        "splits": splits,
        "label_sets": list(folder.label_sets),
        "left_out": dict(folder.left_out),
        "warnings": label_warnings(counts, folder.classes),
        **({"notes": folder.notes()} if isinstance(folder, League) else {}),
    }


def folder_lines(info: dict[str, Any]) -> list[str]:
    """Return a description of an image folder as lines for people: shares of pixels in percent."""
    splits = info["splits"]
    lines = [
        f"{info['path']}  {counted(info['samples'], 'sample')} of {info['size']}, "
        f"{len(info['classes'])} classes",
        *(
            f"  {name:<6} {of['samples']:>9,} samples of {of['sequences']:,} sequences, "
            f"{of['labelled']:,} with labels"
            for name, of in splits.items()
        ),
        f"{'pixels, %':<17}" + "".join(f"{name:>9}" for name in splits),
    ]
    for name in (*info["classes"], "ignored"):
        shares = (of["pixels"][name] / max(1, sum(of["pixels"].values())) for of in splits.values())
        lines.append(f"  {name:<15}" + "".join(f"{100 * share:9.3f}" for share in shares))
    lines.append(f"label sets: {', '.join(info['label_sets'])}")
    if "notes" in info:
        return [*lines, *info["notes"]]
    lines += [f"left out: {count:,} {why}" for why, count in info["left_out"].items()]
    return lines + [f"warning: {text}" for text in info["warnings"]]
