"""Label maps as indexed PNG, and the picture of a class table."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from eventseg.errors import LabelError
from eventseg.files import write_whole
from eventseg.labels.maps import IGNORED, ClassTable, Labels, unknown_labels

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KINDS = {0: "gray", 2: "RGB", 3: "indexed", 4: "gray with alpha", 6: "RGB with alpha"}

ROW, MARGIN, FONT = 22, 6, 13
"""Height of a line of a legend, space around its parts and size of its letters, in pixels."""


def write_labels(path: Path, labels: Labels, table: ClassTable) -> None:
    """Write labels as an indexed PNG: its values are the ids, its palette the colours.

    Parameters
    ----------
    path : Path
    labels : uint8 (H, W)
        Ids of the table, 255 where ignored, which is shown black.
    table : ClassTable

    Raises
    ------
    LabelError
        Labels of another shape or type, or outside the table.
    OutputError
        The file cannot be written.
    """
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise LabelError(f"labels are {labels.dtype} {labels.shape}; give uint8 (H, W)")
    _check(labels, table, what="labels")
    image = Image.fromarray(labels)
    # A palette of all 256 colours, so that the file has 8 bits a pixel whatever the table.
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(table)] = table.colours
    image.putpalette(palette.tobytes())
    write_whole(path, lambda file: image.save(file, format="PNG"))


def read_labels(path: Path, *, table: ClassTable | None = None) -> Labels:
    """Read labels from an indexed or an 8-bit gray PNG.

    Parameters
    ----------
    path : Path
    table : ClassTable, optional
        Checks the ids; those that mean ignored in its files become 255.

    Returns
    -------
    uint8 (H, W)
        The ids as stored, 255 for ignored.

    Raises
    ------
    LabelError
        The file is missing, damaged, no such PNG, or holds ids outside the table.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LabelError(f"cannot read labels {path}: {error.strerror}") from error
    if len(content) < 26 or not content.startswith(_SIGNATURE):
        raise LabelError(f"labels {path} are no PNG; give an indexed or an 8-bit gray PNG")
    bits, kind = content[24], content[25]
    # Pillow scales gray of fewer bits up to 255, which would change the ids.
    if kind != 3 and (bits, kind) != (8, 0):
        raise LabelError(
            f"labels {path} are {bits}-bit {_KINDS.get(kind, 'of an unknown kind')}, not indexed "
            "or 8-bit gray; ids must be stored as they are, not as colours"
        )
    try:
        # Reading alone does not look at the last checksum, so that ids could change unseen.
        Image.open(BytesIO(content), formats=("PNG",)).verify()
        with Image.open(BytesIO(content), formats=("PNG",)) as image:
            labels: Labels = np.array(image)
    # A damaged file raises errors of several modules.
    except Exception as error:
        raise LabelError(f"cannot read labels {path}: {error}") from error
    if table is not None:
        labels[np.isin(labels, table.ignored_ids)] = IGNORED
        _check(labels, table, what=f"labels {path}")
    return labels


def legend(table: ClassTable) -> NDArray[np.uint8]:
    """Return a picture that tells the colour, id and name of each class, and black for ignored.

    Returns
    -------
    uint8 (H, W, 3)
        Black letters on white, one line a class.
    """
    font = ImageFont.load_default(FONT)
    lines = [*zip(range(len(table)), table.names, table.colours, strict=True)]
    lines.append((IGNORED, "ignored", (0, 0, 0)))
    words = [f"{i}  {name}" for i, name, _ in lines]
    left = 2 * ROW + MARGIN
    width = left + max(int(font.getlength(word)) for word in words) + 2 * MARGIN
    picture = Image.new("RGB", (width, ROW * len(lines) + 2 * MARGIN), "white")
    draw = ImageDraw.Draw(picture)
    for line, (word, (_, _, colour)) in enumerate(zip(words, lines, strict=True)):
        top = MARGIN + ROW * line
        draw.rectangle((MARGIN, top + 2, left - MARGIN, top + ROW - 3), fill=colour)
        draw.text((left, top + ROW // 2), word, fill="black", font=font, anchor="lm")
    return np.array(picture)


def _check(labels: Labels, table: ClassTable, *, what: str) -> None:
    unknown = unknown_labels(labels, len(table))
    if unknown:
        raise LabelError(
            f"{what} hold {', '.join(map(str, unknown))}; {table.name or 'the class table'} has "
            f"0 to {len(table) - 1} and {IGNORED} for ignored"
        )
