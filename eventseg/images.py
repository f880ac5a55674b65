"""Gray pictures in and out, as PNG files."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eventseg.errors import DatasetError
from eventseg.files import write_whole


def write_image(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an 8-bit gray image (H, W) as PNG."""
    write_whole(path, lambda file: Image.fromarray(image).save(file, format="PNG"))


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an 8-bit gray PNG, uint8 (H, W).

    Raises
    ------
    DatasetError
        The file is missing, damaged, or has colours or another depth.
    """
    try:
        content = path.read_bytes()
        # Reading alone does not look at the last checksum, so that values could change unseen.
        Image.open(BytesIO(content), formats=("PNG",)).verify()
        with Image.open(BytesIO(content), formats=("PNG",)) as image:
            if image.mode not in ("L", "P"):
                raise DatasetError(f"image {path} has mode {image.mode}, not 8-bit gray")
            return np.array(image)
    except DatasetError:
        raise
    # A damaged file raises errors of several modules.
    except Exception as error:
        raise DatasetError(f"cannot read image {path}: {error}") from error
