r"""Container of an AEDAT 4 file: header, streams, and compressed packets.

Layout: ``#!AER-DAT4.0\r\n``, a size and a FlatBuffer header with the compression, the position
of the index table and an XML list of streams; then packets of a stream number, a size, and one
compressed frame each. The packets are followed one by one: the index table is absent where the
recorder was killed, and is not needed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from eventseg.errors import MissingExtraError, RecordingError
from eventseg.events import SensorSize
from eventseg.recordings.aedat4.flatbuffer import BufferDamage, root
from eventseg.recordings.file_bytes import FileBytes
from eventseg.recordings.report import Tally

MAGIC = b"#!AER-DAT4.0\r\n"
COMPRESSIONS = ("none", "lz4", "lz4", "zstd", "zstd")
"""Compression by its number in the header; 2 and 4 are stronger settings of the same format."""

MAX_HEADER_BYTES = 1 << 24
MAX_PACKET_BYTES = 1 << 28
"""Largest decompressed packet: 16 million events, or a frame of 128 million pixels."""

LEAST_ROOM, EXPANSION = 1 << 16, 4
"""Least room for a decompressed packet of unknown size in bytes, and room a compressed byte."""


class StreamInfo(NamedTuple):
    """One stream of the file, as its XML describes it."""

    number: int
    kind: str
    size: SensorSize | None
    source: str


class PacketPlace(NamedTuple):
    """Stream, position and size of the compressed bytes of one packet."""

    stream: int
    offset: int
    size: int


class PacketDamage(ValueError):
    """A packet that cannot be decompressed, or whose content contradicts its size."""


@dataclass(frozen=True, slots=True)
class Header:
    """Header of an AEDAT 4 file.

    Parameters
    ----------
    compression : str
        ``none``, ``lz4`` or ``zstd``.
    streams : tuple of StreamInfo
    first, end : int
        First byte of the packets and the byte after the last one.
    complete : bool
        Whether the recorder finished the file.
    """

    compression: str
    streams: tuple[StreamInfo, ...]
    first: int
    end: int
    complete: bool


class ContainerFile:
    """An open AEDAT 4 file.

    Parameters
    ----------
    path : Path

    Raises
    ------
    RecordingError
        The file cannot be opened or its header cannot be read.
    MissingExtraError
        The package for its compression is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bytes = FileBytes(path)
        self.bytes = self._bytes.size
        try:
            self.header = self._header()
            self._decompress = _decompressor(self.header.compression, path)
        except BaseException:
            self.close()
            raise

    def places(self, tally: Tally) -> Iterator[PacketPlace]:
        """Yield the places of all packets in file order; `tally` gets a note of a broken chain."""
        place, end = self.header.first, self.header.end
        while place + 8 <= end:
            stream, size = struct.unpack("<ii", self.read(place, 8))
            if size < 0 or place + 8 + size > end:
                break
            yield PacketPlace(stream, place + 8, size)
            place += 8 + size
        if place != end:
            # The recorder writes a packet in one go: killed, it leaves a part of the last one.
            tally.notes.append(f"the chain of packets ends at byte {place:,} of {end:,}")

    def content(self, offset: int, size: int) -> memoryview:
        """Return the decompressed content of a packet, after its size prefix.

        Raises
        ------
        PacketDamage
            The bytes cannot be decompressed, or exceed :data:`MAX_PACKET_BYTES`.
        """
        content = self._decompress(self.read(offset, size))
        if len(content) < 12:
            raise PacketDamage("a packet without content")
        (declared,) = struct.unpack_from("<I", content)
        if declared + 4 > len(content):
            raise PacketDamage(f"{len(content)} bytes of the {declared + 4} declared")
        return memoryview(content)[4 : 4 + declared]

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes of the file.

        Raises
        ------
        PacketDamage
            The file has become shorter.
        RecordingError
            The file is closed.
        """
        content = self._bytes.read(offset, size)
        if len(content) < size:
            raise PacketDamage(f"the file ends at byte {offset + len(content):,}")
        return content

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._bytes.close()

    def _header(self) -> Header:
        try:
            if self.read(0, len(MAGIC)) != MAGIC:
                raise RecordingError(f"{self.path} is no AEDAT 4 file: it lacks {MAGIC!r}")
            (size,) = struct.unpack("<I", self.read(len(MAGIC), 4))
            if size > MAX_HEADER_BYTES:
                raise PacketDamage(f"a header of {size:,} bytes")
            table = root(self.read(len(MAGIC) + 4, size))
            compression, index_at = table.integer(0, "i"), table.integer(1, "q", -1)
            streams = _streams(table.string(2))
        except (PacketDamage, BufferDamage, ElementTree.ParseError) as error:
            raise RecordingError(f"{self.path}: the header cannot be read: {error}") from error
        if not 0 <= compression < len(COMPRESSIONS):
            raise RecordingError(
                f"{self.path}: compression {compression} is unknown; known are 0 none, 1 and 2 "
                "lz4, 3 and 4 zstd"
            )
        first = len(MAGIC) + 4 + size
        complete = first <= index_at <= self.bytes
        end = index_at if complete else self.bytes
        return Header(COMPRESSIONS[compression], streams, first, end, complete)


def _streams(text: str) -> tuple[StreamInfo, ...]:
    """Return the streams that the header's XML lists.

    Writers differ in the name of the root node, so the streams are looked for by their type.
    """
    streams = []
    # A type declaration could define entities that expand without bound.
    if "<!" in text:
        raise BufferDamage("the list of streams holds a type declaration")
    for node in ElementTree.fromstring(text.strip("\0 \r\n\t")).iter("node"):
        kind = _attribute(node, "typeIdentifier")
        if kind is None or not node.get("name", "").isdecimal():
            continue
        info = next((child for child in node if child.get("name") == "info"), None)
        width, height = (_attribute(info, name) or "" for name in ("sizeX", "sizeY"))
        known = width.isdecimal() and height.isdecimal() and int(width) and int(height)
        size = SensorSize(int(height), int(width)) if known else None
        source = _attribute(info, "source") or ""
        streams.append(StreamInfo(int(node.get("name", "")), kind.strip(), size, source))
    return tuple(streams)


def _attribute(node: ElementTree.Element | None, key: str) -> str | None:
    if node is None:
        return None
    found = (child.text for child in node.findall("attr") if child.get("key") == key)
    return next(found, None)


def _decompressor(compression: str, path: Path) -> Callable[[bytes], bytes]:
    """Return the function that decompresses one frame, bounded in size."""
    if compression == "none":
        return bytes
    try:
        return _lz4() if compression == "lz4" else _zstd()
    except ImportError as error:
        raise MissingExtraError(
            f"{path} is compressed with {compression}; install the extra that reads it: "
            "uv sync --extra formats"
        ) from error


def _lz4() -> Callable[[bytes], bytes]:
    from lz4 import frame

    def decompress(data: bytes) -> bytes:
        try:
            # A frame that tells its size gets so much room; others grow in steps.
            if 0 < frame.get_frame_info(data)["content_size"] <= MAX_PACKET_BYTES:
                whole: bytes = frame.decompress(data)
                return whole
            decoder, parts, rest = frame.LZ4FrameDecompressor(), [], MAX_PACKET_BYTES
            step = max(LEAST_ROOM, EXPANSION * len(data))
            while rest > 0 and not decoder.eof:
                parts.append(decoder.decompress(data, max_length=min(step, rest)))
                if not parts[-1]:
                    break
                rest -= len(parts[-1])
                data = b""
        except (RuntimeError, EOFError, ValueError) as error:
            raise PacketDamage(str(error)) from error
        if not decoder.eof:
            raise PacketDamage("an LZ4 frame that is cut short or too large")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    return decompress


def _zstd() -> Callable[[bytes], bytes]:
    import zstandard

    def decompress(data: bytes) -> bytes:
        try:
            with zstandard.ZstdDecompressor().stream_reader(data) as reader:
                content: bytes = reader.read(MAX_PACKET_BYTES + 1)
        except zstandard.ZstdError as error:
            raise PacketDamage(str(error)) from error
        if len(content) > MAX_PACKET_BYTES:
            raise PacketDamage("a Zstandard frame that is too large")
        return content

    return decompress
