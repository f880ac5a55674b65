"""Pictures in and out: one reader for every depth, palette, orientation and colour space."""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from eventseg.errors import DatasetError, OutputError
from eventseg.files.whole import check_folder, write_whole

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
"""Endings of pictures, in any case."""

FIGURES = (".png", ".pdf", ".svg", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".eps")
"""Endings of the figures that are written, in any case."""

FORMATS = ("PNG", "JPEG", "BMP", "TIFF")

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAY, INDEXED = 0, 3
"""Kinds of pixels in the header of a PNG."""

ORIENTATION = 0x0112
"""EXIF tag of how a picture must be turned; from 5 on height and width change places."""


@dataclass(frozen=True, slots=True)
class PictureList:
    """Pictures of a folder.

    Parameters
    ----------
    files : tuple of Path
        Sorted by name.
    left_out : tuple of Path
        Hidden files, such as ``._x.png`` that macOS leaves, folders, and files of other kinds.
    """

    files: tuple[Path, ...]
    left_out: tuple[Path, ...]


def check_figure(path: Path, *, others: tuple[str, ...] = ()) -> None:
    """Refuse a path that no figure can be written to, before any work.

    Parameters
    ----------
    path : Path
    others : tuple of str
        Endings of other files that may be written.

    Raises
    ------
    OutputError
        Another ending, a folder, or one in which nothing can be written.
    """
    endings = (*FIGURES, *others)
    if path.suffix.lower() not in endings:
        raise OutputError(f"{path} must end in one of {', '.join(endings)}")
    if path.is_dir():
        raise OutputError(f"{path} is a folder; give a file")
    check_folder(path.parent)


def list_pictures(folder: Path, *, endings: tuple[str, ...] = PICTURES) -> PictureList:
    """List the pictures that lie in a folder; a folder that is not there has none.

    Parameters
    ----------
    folder : Path
    endings : tuple of str
        Endings of the files to list, in lower case.
    """
    chosen, others = picture_names(folder, endings=endings)
    return PictureList(
        tuple(folder / name for name in chosen), tuple(folder / name for name in others)
    )


def picture_names(
    folder: Path, *, endings: tuple[str, ...] = PICTURES
) -> tuple[list[str], list[str]]:
    """Return the names that :func:`list_pictures` lists: of a million files, paths take seconds."""
    if not folder.is_dir():
        return [], []
    with os.scandir(folder) as found:
        entries = {entry.name: entry.is_file() for entry in found}
    chosen: list[str] = []
    others: list[str] = []
    for name in sorted(entries):
        picture = name.lower().endswith(endings) and name[0] != "." and entries[name]
        (chosen if picture else others).append(name)
    return chosen, others


def write_image(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an 8-bit gray image (H, W) as PNG."""
    write_whole(path, lambda file: Image.fromarray(image).save(file, format="PNG"))


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a map of 8-bit values as stored in a gray or an indexed PNG, uint8 (H, W).

    For maps such as confidence; pictures are read by :func:`read_picture`, label maps by
    :func:`eventseg.labels.files.read_labels`.

    Raises
    ------
    DatasetError
        The file is missing, damaged, or has colours or another depth.
    """
    content = _content(path)
    if _depth_of(content, GRAY) != 8 and not _depth_of(content, INDEXED):
        raise DatasetError(f"image {path} is no 8-bit gray PNG; save its values as one")
    return np.array(_opened(content, path, formats=("PNG",)))


def read_wide_image(path: Path) -> NDArray[np.int32]:
    """Read a map of 8- or 16-bit values as stored in a gray PNG, int32 (H, W), as of instance ids.

    Raises
    ------
    DatasetError
        The file is missing, damaged, or has colours or another depth.
    """
    content = _content(path)
    if _depth_of(content, GRAY) not in (8, 16):
        raise DatasetError(f"image {path} is no gray PNG of 8 or 16 bits; save its values as one")
    return np.asarray(_opened(content, path, formats=("PNG",))).astype(np.int32)


def _depth_of(content: bytes, kind: int) -> int:
    """Return the bits of a value in a PNG of a kind, 0 where the file is none."""
    is_png = content.startswith(SIGNATURE) and len(content) > 25
    return content[24] if is_png and content[25] == kind else 0


def read_picture(path: Path, *, colour: bool) -> NDArray[np.uint8]:
    """Read a picture as 8-bit gray or RGB values, upright and opaque.

    Values of 16 bits are divided by 256, those of fewer than 8 bits are spread over 0 to 255.
    Palettes are looked up, EXIF orientations applied, and colours with an embedded profile brought
    to sRGB. Gray is the luma of ITU-R BT.601, rounded.

    Parameters
    ----------
    path : Path
        PNG, JPEG, BMP or TIFF.
    colour : bool
        Whether to return RGB; a gray picture has three equal channels then.

    Returns
    -------
    uint8 (H, W) or (H, W, 3)

    Raises
    ------
    DatasetError
        The file is missing or damaged, has transparent pixels, several pages, values of 32 bits,
        or colours of no RGB space.
    """
    image = _opened(_content(path), path, formats=FORMATS)
    try:
        plain = _eight_bits(image, path)
        return np.array(plain.convert("RGB" if colour else "L"))
    except (OSError, ValueError, ImageCms.PyCMSError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"cannot read image {path}: {error}") from error


def picture_size(path: Path) -> tuple[int, int]:
    """Return height and width of a picture as :func:`read_picture` returns it.

    Raises
    ------
    DatasetError
        The file is missing or no picture.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            # Pillow turns a TIFF by itself.
            turned = image.format != "TIFF" and image.getexif().get(ORIENTATION, 1) >= 5
    # Pillow raises errors of several modules on damaged files.
    except Exception as error:
        raise DatasetError(f"cannot read image {path}: {error}") from error
    return (width, height) if turned else (height, width)


def open_png(content: bytes, path: Path) -> Image.Image:
    """Return the decoded picture of a PNG file, upright; all its checksums are verified.

    Raises
    ------
    DatasetError
        The file is damaged.
    """
    return _opened(content, path, formats=("PNG",))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"cannot read image {path}: {error.strerror or error}") from error


def _opened(content: bytes, path: Path, *, formats: tuple[str, ...]) -> Image.Image:
    try:
        with Image.open(BytesIO(content), formats=formats) as file:
            image: Image.Image = file
            if image.format == "PNG":
                # Reading alone does not look at the last checksum: values could change unseen.
                Image.open(BytesIO(content), formats=("PNG",)).verify()
            pages = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
            image.load()
            # Pillow leaves gray of 16 bits as it is where a TIFF says that 0 is white.
            if image.mode.startswith("I;16") and _white_is_zero(image):
                image = Image.fromarray(65535 - np.asarray(image).astype(np.uint16))
            upright = ImageOps.exif_transpose(image)
    # Pillow raises errors of several modules on damaged files.
    except Exception as error:
        raise DatasetError(f"cannot read image {path}: {error}") from error
    if pages > 1:
        raise DatasetError(f"picture {path} has {pages} pages; save each as a file of its own")
    return upright


def _white_is_zero(image: Image.Image) -> bool:
    tags: Any = getattr(image, "tag_v2", {})
    return bool(tags.get(262) == 0)


def _eight_bits(image: Image.Image, path: Path) -> Image.Image:
    """Return a picture in mode 1, L or RGB."""
    mode = image.mode
    if mode.startswith("I;16") or (mode == "I" and image.format == "PNG"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if mode in ("I", "F"):
        raise DatasetError(f"picture {path} has values of 32 bits; save it with 8 or 16 bits")
    if mode == "YCbCr":
        return image.convert("RGB")
    if image.has_transparency_data:
        with_alpha = image.convert("RGBA")
        clear = int((np.asarray(with_alpha)[..., 3] < 255).sum())
        if clear:
            raise DatasetError(
                f"picture {path} has {clear:,} transparent pixels, whose values nothing tells; "
                "save it on a background, without alpha"
            )
        profile = image.info.get("icc_profile")
        image = with_alpha.convert("RGB")
        image.info["icc_profile"] = profile
    elif mode == "P":
        image = image.convert("RGB")
    if image.mode not in ("1", "L", "RGB"):
        raise DatasetError(f"picture {path} has colours of {mode}; save it as RGB (sRGB) or gray")
    return _in_srgb(image) if image.mode == "RGB" else image


def _in_srgb(image: Image.Image) -> Image.Image:
    """Return an RGB picture in sRGB, which it is in without an embedded profile."""
    embedded = image.info.get("icc_profile")
    if not embedded:
        return image
    profile = ImageCms.ImageCmsProfile(BytesIO(embedded))
    if "srgb" in ImageCms.getProfileDescription(profile).lower():
        return image
    converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"))
    assert converted is not None  # only a picture that is changed in place gives None
    return converted
