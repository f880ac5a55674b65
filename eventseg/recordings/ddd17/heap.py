"""Where the byte strings of a variable-length HDF5 dataset lie in the file.

HDF5 stores such a string as an object in a "global heap collection" and keeps its length, the
collection's address and the object's number in the dataset (HDF5 File Format Specification,
III.E). Knowing where a string lies, it can be read straight from the file: h5py copies each one
several times, and must read a frame of 180 kB to tell its first 36 bytes.

Only the plain case is understood, which is how recordings are written: no filter, no user block,
8-byte addresses. Anything else is left to h5py.
"""

from __future__ import annotations

from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from eventseg.recordings.ddd17 import decode
from eventseg.recordings.ddd17.layout import ROWS_PER_BLOCK

CELL_DTYPE: Final = np.dtype([("size", "<u4"), ("address", "<u8"), ("object", "<u4")])
"""A variable-length element as it stands in the dataset."""


def is_plain(file: h5py.File) -> bool:
    """Return whether the strings of ``dvs/data`` are stored in the one way understood here."""
    data = file["dvs/data"]
    return bool(
        data.chunks == (ROWS_PER_BLOCK, 3)
        and data.id.get_create_plist().get_nfilters() == 0
        and file.userblock_size == 0
        and file.driver == "sec2"
        and file.id.get_create_plist().get_sizes() == (8, 8)
        and data.dtype.itemsize == np.dtype(object).itemsize
    )


def locate_block(
    data: h5py.Dataset, content: NDArray[np.uint8], first: int, stop: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Find the byte strings of the rows [first, stop), which begin a chunk.

    Parameters
    ----------
    data : h5py.Dataset
        The dataset ``dvs/data`` of a file that :func:`is_plain`.
    content : uint8 (n_bytes,)
        The whole file, as a memory map.
    first, stop : int
        Rows of one chunk.

    Returns
    -------
    offsets, sizes : int64 (stop - first, 3)
        First byte of each string in the file, and its length; or None if any is not where the
        dataset says.
    """
    shape = (stop - first, 3)
    if data.id.get_chunk_info_by_coord((first, 0)).byte_offset is None:
        return np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    skipped_filters, raw = data.id.read_direct_chunk((first, 0))
    cells = np.frombuffer(raw, CELL_DTYPE)[: shape[0] * 3]
    if skipped_filters or len(cells) != shape[0] * 3:
        return None
    sizes = cells["size"].astype(np.int64)
    offsets = decode.locate(content, cells["address"].copy(), cells["object"].copy(), sizes)
    if offsets.min(initial=0) < 0:
        return None
    return offsets.reshape(shape), sizes.reshape(shape)


def map_file(path: Any) -> NDArray[np.uint8]:
    """Return the content of a file as a read-only memory map."""
    return np.asarray(np.memmap(path, np.uint8, "r"))
