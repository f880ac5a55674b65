"""Films out: MP4 by PyAV, GIF by Pillow, or a folder of PNG."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eventseg.errors import MissingExtraError, OutputError
from eventseg.files.whole import check_folder, write_whole

Picture = NDArray[np.uint8]

MOST_GIF_PICTURES = 1_500
"""Pictures of a GIF are held in memory until it is written, and browsers struggle with more."""

GRAYS, CUBE = 64, 5
"""Levels of gray, and of each channel, in the palette of a GIF beside the colours it must have."""

NEAR = 8
"""Least distance of another colour of the palette from those, in levels of a channel."""


def write_film(
    out: str | Path,
    pictures: Iterable[Picture],
    *,
    names: tuple[str, ...] = (),
    fps: Fraction,
    colours: Iterable[tuple[int, int, int]] = (),
) -> Fraction:
    """Write an MP4 (H.264) or a GIF, or PNG into a new folder where the name ends in neither.

    Parameters
    ----------
    out : path
    pictures : iterable of uint8 (H, W, 3)
        RGB, of one size.
    names : tuple of str
        Names of the PNG; numbers without.
    fps : Fraction
        Pictures a second of the film.
    colours : iterable of (red, green, blue)
        Colours that a GIF, which has 256, shows exactly.

    Returns
    -------
    Fraction
        Pictures a second as the file has them: times of a GIF are whole hundredths of a second.

    Raises
    ------
    OutputError
        It cannot be written, the folder holds something, or a GIF would have too many pictures.
    MissingExtraError
        An MP4, and PyAV is not installed.
    """
    out = Path(out)
    check_out(out)
    if out.suffix.lower() == ".mp4":
        write_whole(out, lambda file: _encode(file, pictures, fps=fps, path=out))
        return fps
    if out.suffix.lower() == ".gif":
        duration_ms = _gif_duration_ms(fps)
        write_whole(out, lambda file: _write_gif(file, pictures, duration_ms, tuple(colours), out))
        return Fraction(1000, duration_ms)
    for i, picture in enumerate(pictures):
        image = Image.fromarray(picture)
        name = names[i] if names else f"{i:06d}"
        write_whole(out / f"{name}.png", lambda file, image=image: image.save(file, format="PNG"))  # type: ignore[misc]
    return fps


def check_out(out: Path) -> None:
    """Refuse an output that :func:`write_film` cannot write, before any work.

    Raises
    ------
    OutputError, MissingExtraError
        As :func:`write_film`.
    """
    if out.suffix.lower() in (".mp4", ".gif"):
        if out.is_dir():
            raise OutputError(f"output {out} is a folder; give a file, or a name without ending")
        check_folder(out.parent)
    if out.suffix.lower() == ".mp4":
        import_av()
    elif out.suffix and out.suffix.lower() != ".gif":
        raise OutputError(f"output {out} must end in .mp4 or .gif, or be a folder for PNG")
    elif not out.suffix and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"output {out} is there already; give a folder that is new or empty")


def import_av() -> Any:
    """Return the module ``av``.

    Raises
    ------
    MissingExtraError
        PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtraError(
            "videos need the extra video: uv sync --extra video; folders of pictures and GIF do not"
        ) from error
    return av


def _encode(file: BinaryIO, pictures: Iterable[Picture], *, fps: Fraction, path: Path) -> None:
    av = import_av()
    try:
        with av.open(file, mode="w", format="mp4") as container:
            stream = None
            for picture in pictures:
                if stream is None:
                    stream = container.add_stream("libx264", rate=fps, options={"crf": "18"})
                    # Colours are stored for squares of 2x2 pixels: odd sizes lose a line.
                    stream.height, stream.width = (n - n % 2 for n in picture.shape[:2])
                    stream.pix_fmt = "yuv420p"
                even = np.ascontiguousarray(picture[: stream.height, : stream.width])
                container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
            if stream is not None:
                container.mux(stream.encode())
    except av.FFmpegError as error:
        raise OutputError(f"cannot write video {path}: {error}") from error


def _gif_duration_ms(fps: Fraction) -> int:
    """Return the time of each picture: hundredths in 16 bits; browsers slow those below 2 down."""
    return 10 * min(max(2, round(100 / fps)), 2**16 - 1)


def _write_gif(
    file: BinaryIO,
    pictures: Iterable[Picture],
    duration_ms: int,
    colours: tuple[tuple[int, int, int], ...],
    path: Path,
) -> None:
    palette = _palette(colours)

    def indexed() -> Iterator[Image.Image]:
        for number, picture in enumerate(pictures):
            if number >= MOST_GIF_PICTURES:
                raise OutputError(
                    f"{path} would have more than {MOST_GIF_PICTURES:,} pictures; write an .mp4"
                )
            image = Image.fromarray(picture)
            yield image.quantize(palette=palette, dither=Image.Dither.NONE)

    images = indexed()
    first = next(images, None)
    if first is None:
        raise OutputError(f"{path} has no pictures to show")
    first.save(
        file,
        format="GIF",
        save_all=True,
        append_images=chain(images),
        duration=duration_ms,
        loop=0,
        optimize=False,
    )


def _palette(colours: tuple[tuple[int, int, int], ...]) -> Image.Image:
    """Return a picture whose palette has some colours, grays and a cube of others."""
    levels = np.linspace(0, 255, CUBE).round().astype(int).tolist()
    cube = [(r, g, b) for r in levels for g in levels for b in levels]
    grays = [(level,) * 3 for level in np.linspace(0, 255, GRAYS).round().astype(int).tolist()]
    exact = list(dict.fromkeys(colours))
    others = [
        colour
        for colour in dict.fromkeys([*grays, *cube])
        # Pillow looks colours up in steps of 4 levels: a near one could take an exact one's place.
        if all(max(abs(a - b) for a, b in zip(colour, one, strict=True)) >= NEAR for one in exact)
    ]
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for colour in [*exact, *others][:256] for value in colour])
    return palette
