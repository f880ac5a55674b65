"""Superblock, object headers, groups and attributes of an HDF5 file.

The structures are those of the HDF5 File Format Specification, version 3.0, sections II to IV, in
the form that HDF5 writes by default: superblock 0 or 1, object headers of version 1, groups as
symbol tables or compact links. Newer forms raise :class:`UnsupportedError`. Every walk is bounded
by the file's size: an address is followed once, and a tree's level falls with each step.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

from eventseg.recordings.hdf5.storage import DamageError, Storage

SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
UNDEFINED: Final = 2**64 - 1
MOST_HEADER_BYTES: Final = 2**22
MOST_LINKS: Final = 2**16
MOST_NAME_BYTES: Final = 2**24
LONGEST_LINK_CHAIN: Final = 16


class UnsupportedError(Exception):
    """A valid form of HDF5 that this reader does not know; the HDF5 library does."""


class Link(NamedTuple):
    """One entry of a group.

    `target` is the path of a soft or external link and `file` the file of an external one.
    """

    kind: Literal["hard", "soft", "external"]
    address: int = UNDEFINED
    target: str = ""
    file: str = ""


class Message(NamedTuple):
    """One message of an object header: its type, flags and bytes."""

    type: int
    flags: int
    content: bytes


class Hdf5File:
    """An open HDF5 file.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    storage : Storage
    unfinished : bool
        The superblock ends before the file does, as a writer that was killed leaves it.

    Raises
    ------
    RecordingError
        Not HDF5, truncated, damaged, or open for writing.
    UnsupportedError
        A newer form of HDF5.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.storage = Storage(path)
        self.unfinished = False
        self._cached_links: dict[int, dict[str, Link]] = {}
        try:
            self.base, self._root = self._superblock()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self.storage.close()

    def read(self, address: int, size: int) -> bytes:
        """Return bytes at an address, which counts from the superblock."""
        return self.storage.read(self.base + address, size)

    def find(self, path: str) -> int | Link | None:
        """Return the address of an object by its path, None, or the external link to follow."""
        return self._find(self._root, path, LONGEST_LINK_CHAIN)

    def names(self) -> list[str]:
        """Return the sorted names in the root group."""
        return sorted(self._links(self._root))

    def names_in(self, path: str) -> list[str]:
        """Return the sorted names in a group, none where there is no such group."""
        address = self.find(path)
        return sorted(self._links(address)) if isinstance(address, int) else []

    def messages(self, address: int) -> list[Message]:
        """Return the messages of an object's header.

        Raises
        ------
        DamageError
            There is no sound header at the address.
        """
        start = self.read(address, 16)
        version, _, count, _, size = struct.unpack_from("<BBHII", start)
        if version != 1:
            if start[:4] == b"OHDR":
                raise UnsupportedError("object headers of version 2")
            raise self.damage(f"no object header at byte {address}")
        blocks = [(address + 16, size)]
        seen, total = {address + 16}, 0
        found: list[Message] = []
        for at, length in blocks:  # grows while it is walked
            total += length
            if total > MOST_HEADER_BYTES:
                raise self.damage(f"the object header at byte {address} has no end")
            content = self.read(at, length)
            offset = 0
            while offset + 8 <= length and len(found) < count:
                kind, size, flags = struct.unpack_from("<HHB", content, offset)
                body = content[offset + 8 : offset + 8 + size]
                if len(body) != size:
                    raise self.damage(f"a message of the object header at byte {address} is cut")
                offset += 8 + size
                found.append(Message(kind, flags, body))
                if kind == 0x10:
                    follow, more = struct.unpack_from("<QQ", _room(body, 16, self))
                    if follow in seen:
                        raise self.damage(f"the object header at byte {address} runs in a circle")
                    seen.add(follow)
                    blocks.append((follow, more))
        return found

    def damage(self, what: str) -> DamageError:
        """Return the error of a damaged structure."""
        return DamageError(f"{self.path}: the HDF5 file is damaged: {what}; copy it again")

    def _superblock(self) -> tuple[int, int]:
        """Return the base address and the address of the root group."""
        at = 0
        while self.storage.read(at, min(8, self.storage.size - at)) != SIGNATURE:
            at = max(512, 2 * at)
            if at >= self.storage.size:
                raise self._no_signature()
        head = self.storage.read(at, min(100, self.storage.size - at)).ljust(100, b"\0")
        version = head[8]
        if version in (2, 3):
            if version == 3 and head[11] & 1:
                raise DamageError(
                    f"{self.path}: marked as open for writing: its writer still runs or was "
                    f"killed; close it there, or clear the mark with: h5clear -s {self.path}"
                )
            raise UnsupportedError(f"superblock of version {version}")
        if version > 1:
            raise self.damage(f"superblock of version {version}")
        if head[13:15] != b"\x08\x08":
            if set(head[13:15]) <= {2, 4, 8, 16, 32}:
                raise UnsupportedError("addresses of another size than 8 bytes")
            raise self.damage("absurd size of addresses")
        fields = 24 + 4 * version
        base, _, end, driver, _, root = struct.unpack_from("<6Q", head, fields)
        if driver != UNDEFINED:
            raise self.damage("one of several files that make up a recording")
        if base not in (0, at):
            raise self.damage("the base address is not where the file begins")
        if at + end - base > self.storage.size:
            raise DamageError(
                f"{self.path}: the file is truncated (it has {self.storage.size} bytes of "
                f"{at + end - base}); copy or download it again"
            )
        self.unfinished = at + end - base < self.storage.size
        return at, root

    def _no_signature(self) -> DamageError:
        start = self.storage.read(0, min(512, self.storage.size))
        if self.storage.size >= 512 and not any(start):
            return DamageError(
                f"{self.path}: not an HDF5 file, its beginning is all zeros: its writer was killed "
                "before it closed the file, or the copy is incomplete; copy it again"
            )
        return DamageError(
            f"{self.path}: not an HDF5 file, or its beginning is damaged; "
            "DDD17 recordings are HDF5 files named rec<seconds>.hdf5"
        )

    def _find(self, group: int, path: str, steps: int) -> int | Link | None:
        address = self._root if path.startswith("/") else group
        parts = [part for part in path.split("/") if part not in ("", ".")]
        for number, name in enumerate(parts):
            link = self._links(address).get(name)
            if link is None:
                return None
            rest = "/".join(parts[number + 1 :])
            if link.kind == "external":
                return link
            if link.kind == "soft":
                if steps == 0:
                    raise self.damage(f"the soft links at {name!r} run in a circle")
                return self._find(address, f"{link.target}/{rest}", steps - 1)
            address = link.address
        return address

    def _links(self, address: int) -> dict[str, Link]:
        if address not in self._cached_links:
            self._cached_links[address] = self._read_links(address)
        return self._cached_links[address]

    def _read_links(self, address: int) -> dict[str, Link]:
        links: dict[str, Link] = {}
        for message in self.messages(address):
            if message.type == 0x11:
                tree, heap = struct.unpack_from("<QQ", _room(message.content, 16, self))
                links.update(self._symbol_table(tree, heap))
            elif message.type == 0x02:
                at = 2 + 8 * (message.content[1] & 1) if len(message.content) > 1 else 2
                (heap,) = struct.unpack_from("<Q", _room(message.content, at + 8, self), at)
                if heap != UNDEFINED:
                    raise UnsupportedError("groups of very many links")
            elif message.type == 0x06:
                name, link = self._link(message.content)
                links[name] = link
        return links

    def _link(self, content: bytes) -> tuple[str, Link]:
        try:
            flags, at = content[1], 2
            kind = content[at] if flags & 8 else 0
            at += bool(flags & 8) + 8 * bool(flags & 4) + bool(flags & 16)
            width = 1 << (flags & 3)
            length = int.from_bytes(content[at : at + width], "little")
            name = content[at + width : at + width + length].decode("utf-8", "surrogateescape")
            rest = content[at + width + length :]
            if kind == 0:
                return name, Link("hard", *struct.unpack_from("<Q", rest))
            value = rest[2 : 2 + int.from_bytes(rest[:2], "little")]
        except (IndexError, struct.error) as error:
            raise self.damage("a link is cut") from error
        if kind == 1:
            return name, Link("soft", target=value.decode("utf-8", "surrogateescape"))
        if kind == 64:
            file, target, *_ = [*value[1:].split(b"\0"), b"", b""]
            return name, Link(
                "external",
                target=target.decode("utf-8", "surrogateescape"),
                file=file.decode("utf-8", "surrogateescape"),
            )
        raise self.damage(f"the link {name!r} is of unknown type {kind}")

    def _symbol_table(self, tree: int, heap: int) -> Iterator[tuple[str, Link]]:
        head = self.read(heap, 32)
        if head[:5] != b"HEAP\0":
            raise self.damage(f"no heap of names at byte {heap}")
        size, _, segment = struct.unpack_from("<QQQ", head, 8)
        if size > MOST_NAME_BYTES:
            raise self.damage("the heap of names is absurdly large")
        names = self.read(segment, size)

        def text(offset: int) -> str:
            end = names.find(b"\0", offset) if offset < size else -1
            if end < 0:
                raise self.damage("a name has no end")
            return names[offset:end].decode("utf-8", "surrogateescape")

        count = 0
        for leaf in tree_leaves(self, tree, kind=0, key_bytes=8):
            node = self.read(leaf.address, 8)
            if node[:5] != b"SNOD\1":
                raise self.damage(f"no table of names at byte {leaf.address}")
            (number,) = struct.unpack_from("<H", node, 6)
            entries = self.read(leaf.address + 8, 40 * number)
            count += number
            if count > MOST_LINKS:
                raise self.damage("a group has absurdly many names")
            for offset in range(0, 40 * number, 40):
                name, address, cached = struct.unpack_from("<QQI", entries, offset)
                if cached == 2:
                    (target,) = struct.unpack_from("<I", entries, offset + 24)
                    yield text(name), Link("soft", target=text(target))
                else:
                    yield text(name), Link("hard", address)


class Leaf(NamedTuple):
    """One child of a leaf of a B-tree: its key and its address."""

    key: bytes
    address: int


def tree_leaves(
    file: Hdf5File, root: int, *, kind: int, key_bytes: int, damaged: list[int] | None = None
) -> Iterator[Leaf]:
    """Yield the children of the leaves of a B-tree of version 1, in order.

    Parameters
    ----------
    file : Hdf5File
    root : int
        Address of the root node; an undefined address is an empty tree.
    kind : int
        Node type: 0 for groups, 1 for chunks.
    key_bytes : int
        Length of a key.
    damaged : list of int, optional
        Receives the addresses of unsound nodes, which are left out; without it they are an error.
    """
    if root == UNDEFINED:
        return
    seen: set[int] = set()
    pending: list[tuple[int, int | None]] = [(root, None)]
    step = key_bytes + 8
    while pending:
        address, level = pending.pop()
        try:
            head = file.read(address, 24)
            found_level, number = struct.unpack_from("<BH", head, 5)
            sound = head[:4] == b"TREE" and head[4] == kind and address not in seen
            if not sound or level not in (None, found_level):
                raise file.damage(f"no sound node of a tree at byte {address}")
            content = file.read(address + 24, number * step + key_bytes)
        except DamageError:
            if damaged is None:
                raise
            damaged.append(address)
            continue
        seen.add(address)
        children = [
            Leaf(
                content[i * step : i * step + key_bytes],
                int.from_bytes(content[(i + 1) * step - 8 : (i + 1) * step], "little"),
            )
            for i in range(number)
        ]
        if found_level == 0:
            yield from children
        else:
            pending += [(child.address, found_level - 1) for child in reversed(children)]


def _room(content: bytes, size: int, file: Hdf5File) -> bytes:
    """Return the bytes of a message, or raise DamageError where they are too few."""
    if len(content) < size:
        raise file.damage("a message of an object header is cut")
    return content
