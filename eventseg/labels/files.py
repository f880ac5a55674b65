"""Label maps as indexed PNG, and the picture of a class table."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from eventseg.errors import DatasetError, LabelError
from eventseg.files.whole import write_whole
from eventseg.images import GRAY, INDEXED, SIGNATURE, open_png
from eventseg.labels.maps import (
    IGNORED,
    ClassTable,
    Labels,
    paint_labels,
    shown_ids,
    unknown_labels,
)
from eventseg.labels.tables import described

Values = Literal["auto", "ids", "colours"]
"""Meaning of the values of a label map."""

_KINDS = {0: "gray", 2: "RGB", 3: "indexed", 4: "gray with alpha", 6: "RGB with alpha"}
CURE = "give ids as an indexed or an 8-bit gray PNG"
"""Remedy of files that are no label maps."""

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
    content = encoded_labels(labels, table)
    write_whole(path, lambda file: file.write(content))


def encoded_labels(labels: Labels, table: ClassTable, *, colour: bool = False) -> bytes:
    """Return the bytes of a PNG of labels: indexed as :func:`write_labels` has it, or RGB.

    Raises
    ------
    LabelError
        As :func:`write_labels`.
    """
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise LabelError(f"labels are {labels.dtype} {labels.shape}; give uint8 (H, W)")
    _check(labels, table, what="labels")
    if colour:
        image = Image.fromarray(paint_labels(labels, table))
    else:
        image = Image.fromarray(labels)
        # A palette of all 256 colours, so that the file has 8 bits a pixel whatever the table.
        palette = np.zeros((256, 3), np.uint8)
        palette[: len(table)] = table.colours
        image.putpalette(palette.tobytes())
    file = BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def read_labels(
    path: Path,
    *,
    table: ClassTable | None = None,
    colours: ClassTable | None = None,
    values: Values = "auto",
) -> Labels:
    """Read a label map from a PNG: ids, or the colours of a class table.

    Gray values of 8 or 16 bits are ids as stored. Indices of an indexed PNG are ids, unless its
    palette has the colours of the table at other places: then the colours tell the classes. RGB is
    looked up in the table; black is ignored where no class is black.

    Parameters
    ----------
    path : Path
    table : ClassTable, optional
        Checks the ids; those that mean ignored in its files become 255.
    colours : ClassTable, optional
        Table whose colours the file may hold; by default `table`.
    values : {"auto", "ids", "colours"}
        Whether the file tells by itself, or is to be taken for ids or for colours.

    Returns
    -------
    uint8 (H, W)
        Ids, 255 for ignored.

    Raises
    ------
    LabelError
        The file is missing, damaged, no PNG, or holds values that are no ids, or colours or ids
        outside the table, or holds no values of the kind that it is taken for.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LabelError(f"cannot read labels {path}: {error.strerror}") from error
    return labels_from_png(content, path=path, table=table, colours=colours, values=values)


def labels_from_png(
    content: bytes,
    *,
    path: Path,
    table: ClassTable | None = None,
    colours: ClassTable | None = None,
    values: Values = "auto",
) -> Labels:
    """Return the label map of the bytes of a PNG, as :func:`read_labels`; `path` is for errors."""
    if len(content) < 26 or not content.startswith(SIGNATURE):
        raise LabelError(
            f"labels {path} are no PNG; give an indexed or an 8-bit gray PNG (JPEG changes ids)"
        )
    if content[25] not in _KINDS:
        raise LabelError(f"labels {path} are {content[24]}-bit of an unknown kind; {CURE}")
    try:
        image = open_png(content, path)
    except DatasetError as error:
        raise LabelError(f"cannot read labels {path}: {error}") from error
    known = colours or table
    if values == "colours" and content[25] != GRAY and known is not None:
        image = image.convert("RGB") if content[25] == INDEXED else image
        labels = _ids(
            image, 8, 2 if content[25] == INDEXED else content[25], path=path, table=known
        )
    elif values == "colours":
        raise LabelError(
            f"labels {path} are gray, which is no colour of a class; take them for ids"
        )
    else:
        known = None if values == "ids" else known
        labels = _ids(image, content[24], content[25], path=path, table=known)
    if table is not None:
        if table.ignored_ids:
            labels[np.isin(labels, table.ignored_ids)] = IGNORED
        _check(labels, table, what=f"labels {path}")
    return labels


def has_colours(content: bytes) -> bool:
    """Return whether the bytes of a PNG have colours instead of ids: RGB, with alpha or without."""
    return content.startswith(SIGNATURE) and content[25:26] in (b"\x02", b"\x06")


def _ids(
    image: Image.Image, bits: int, kind: int, *, path: Path, table: ClassTable | None
) -> Labels:
    """Return the ids that the pixels of a PNG mean."""
    if kind == INDEXED:
        indices = np.array(image).astype(np.uint8)
        return indices if table is None else _by_palette(indices, image, table, path=path)
    if kind == GRAY and bits == 16:
        wide = np.asarray(image).astype(np.int64)
        if wide.max() > IGNORED:
            raise LabelError(
                f"labels {path} are 16-bit gray and hold {wide.max()}; ids are 0 to {IGNORED}: "
                "give class ids, not instance ids or scaled values"
            )
        return wide.astype(np.uint8)
    if (bits, kind) == (8, GRAY):
        return np.array(image)
    if bits != 8 or kind not in (2, 6) or table is None:
        # Pillow spreads gray of fewer bits over 0 to 255, which would change the ids.
        raise LabelError(
            f"labels {path} are {bits}-bit {_KINDS[kind]}, not indexed or 8-bit gray; {CURE}"
        )
    if kind == 6 and np.asarray(image.getchannel("A")).min() < 255:
        raise LabelError(f"labels {path} have transparent pixels; {CURE}")
    return _by_colour(np.asarray(image.convert("RGB")), table, path=path)


def _codes(colours: Any) -> NDArray[np.int64]:
    """Return colours (..., 3) as one number each."""
    codes: NDArray[np.int64] = np.asarray(colours, np.int64) @ np.array([1 << 16, 1 << 8, 1])
    return codes


def _by_colour(values: NDArray[np.uint8], table: ClassTable, *, path: Path) -> Labels:
    """Return the ids of RGB pixels (H, W, 3) whose colours are those of a class table."""
    ids = {int(code): i for i, code in reversed(list(enumerate(_codes(table.colours))))}
    ids.setdefault(0, IGNORED)
    found, place, count = np.unique(_codes(values), return_inverse=True, return_counts=True)
    for code, pixels in zip(found.tolist(), count.tolist(), strict=True):
        if code not in ids:
            colour = (code >> 16, code >> 8 & 255, code & 255)
            raise LabelError(
                f"labels {path} are RGB, and the colour {colour} of {pixels:,} pixels is of no "
                f"class; {CURE}, or the table that has these colours: {described(table)}"
            )
        if table.colours.count((code >> 16, code >> 8 & 255, code & 255)) > 1:
            raise LabelError(
                f"labels {path} are RGB, and several classes have one colour; {CURE}: "
                f"{described(table)}"
            )
    lookup = np.array([ids[code] for code in found.tolist()], np.uint8)
    return lookup[place.reshape(values.shape[:2])]


def _by_palette(indices: Labels, image: Image.Image, table: ClassTable, *, path: Path) -> Labels:
    """Return indices, or the ids of their colours where these are the table's at other places."""
    # Counted, which is several times quicker than sorting.
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=256))
    palette = np.zeros((256, 3), np.uint8)
    stored = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    palette[: len(stored)] = stored
    codes, known = _codes(palette[used]), _codes(table.colours)
    same = [i < len(known) and known[i] == code for i, code in zip(used, codes, strict=True)]
    ignored = (used == IGNORED) | np.isin(used, table.ignored_ids)
    # Black is ignored, or of an id outside the table.
    black = codes == 0
    if np.all(same | ignored | black) or not np.all(np.isin(codes, known) | ignored | black):
        return indices
    by_colour = _by_colour(palette[used][None], table, path=path)[0]
    lookup = np.arange(256, dtype=np.uint8)
    lookup[used] = np.where(ignored, used, by_colour)
    return lookup[indices]


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
        raise LabelError(f"{what} hold {shown_ids(unknown)}; {described(table)}")
