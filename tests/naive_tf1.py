"""TensorFlow checkpoints written the plain way, and EV-SegNet's tensors as Keras names them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

TYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9}
MAGIC = 0xDB4775248B80FB57


def crc32c(data: bytes) -> int:
    """Return the checksum, a byte at a time (RFC 3720, B.4)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = BYTE_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _after_a_byte(register: int) -> int:
    for _ in range(8):
        register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register


BYTE_TABLE = [_after_a_byte(byte) for byte in range(256)]


def masked(crc: int) -> int:
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32


def varint(number: int) -> bytes:
    out = b""
    while number >= 128:
        out += bytes([number % 128 + 128])
        number //= 128
    return out + bytes([number])


def field(number: int, value: int | bytes) -> bytes:
    """Return a field of a protocol buffer; zeros are left out, as proto3 does."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value) if value else b""


def fixed32(number: int, value: int) -> bytes:
    return varint(number << 3 | 5) + value.to_bytes(4, "little")


def header(*, shards: int = 1, endianness: int = 0) -> bytes:
    return field(1, shards) + field(2, endianness) + field(3, field(1, 1))


def entry(
    shape, *, dtype: int = 1, shard: int = 0, offset: int, size: int, crc: int, more: bytes = b""
) -> bytes:
    dimensions = b"".join(field(2, field(1, n)) for n in shape)
    place = field(3, shard) + field(4, offset) + field(5, size)
    return field(1, dtype) + field(2, dimensions) + place + fixed32(6, crc) + more


def block(entries: list[tuple[bytes, bytes]], *, restart_every: int = 16, compression: int = 0):
    """Return a block of a table with its trailer."""
    out, restarts, last = b"", [], b""
    for i, (key, value) in enumerate(entries):
        shared = 0
        if i % restart_every == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        out += (
            varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        )
        last = key
    restarts = restarts or [0]
    out += b"".join(n.to_bytes(4, "little") for n in [*restarts, len(restarts)])
    kind = bytes([compression])
    return out + kind + masked(crc32c(out + kind)).to_bytes(4, "little"), len(out)


def table(
    entries: list[tuple[bytes, bytes]], *, per_block: int = 40, compression: int = 0
) -> bytes:
    """Return a table of sorted entries."""
    out, handles = b"", []
    for i in range(0, len(entries), per_block):
        part = entries[i : i + per_block]
        written, size = block(part, compression=compression)
        handles.append((part[-1][0], varint(len(out)) + varint(size)))
        out += written
    footer = b""
    for content, every in (([], 1), (handles, 1)):
        written, size = block(content, restart_every=every)
        footer += varint(len(out)) + varint(size)
        out += written
    return out + footer.ljust(40, b"\0") + MAGIC.to_bytes(8, "little")


def write_bundle(
    prefix: Path, tensors: dict[str, np.ndarray], *, shards: int = 1, per_block: int = 40
) -> None:
    """Write a checkpoint, its tensors dealt to the shards in turn."""
    data = [b""] * shards
    entries = [(b"", header(shards=shards))]
    for i, name in enumerate(sorted(tensors, key=str.encode)):
        value, shard = np.asarray(tensors[name]), i % shards
        content = value.tobytes()
        described = entry(
            value.shape,
            dtype=TYPES[value.dtype.name],
            shard=shard,
            offset=len(data[shard]),
            size=len(content),
            crc=masked(crc32c(content)),
        )
        data[shard] += content
        entries.append((name.encode(), described))
    prefix.with_name(f"{prefix.name}.index").write_bytes(table(entries, per_block=per_block))
    for i, content in enumerate(data):
        prefix.with_name(f"{prefix.name}.data-{i:05d}-of-{shards:05d}").write_bytes(content)


def evsegnet_tensors(
    in_channels: int, classes: int, *, width: float = 1.0
) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of Segception small as Keras makes them, without a model's name."""
    made: dict[str, tuple[int, ...]] = {}
    used: dict[str, int] = {}

    def unique(kind: str) -> str:
        used[kind] = used.get(kind, -1) + 1
        return f"{kind}_{used[kind]}" if used[kind] else kind

    def c(channels: int) -> int:
        return max(1, round(channels * width))

    def norm(layer: str, channels: int) -> None:
        for variable in ("gamma", "beta", "moving_mean", "moving_variance"):
            made[f"{layer}/{variable}"] = (channels,)

    def separable(layer: str, before: int, after: int, kernel: int = 3) -> None:
        made[f"{layer}/depthwise_kernel"] = (kernel, kernel, before, 1)
        made[f"{layer}/pointwise_kernel"] = (1, 1, before, after)

    # The trunk.
    for i, (before, after) in enumerate([(in_channels, c(32)), (c(32), c(64))], 1):
        made[f"block1_conv{i}/kernel"] = (3, 3, before, after)
        norm(f"block1_conv{i}_bn", after)
    blocks = {2: (64, 128, 128), 3: (128, 256, 256), 4: (256, 728, 728)}
    blocks |= dict.fromkeys(range(5, 13), (728, 728, 728, 728))
    blocks |= {13: (728, 728, 1024), 14: (1024, 1536, 2048)}
    for number, channels in blocks.items():
        if number in (2, 3, 4, 13):
            layer = unique("conv2d")
            made[f"{layer}/kernel"] = (1, 1, c(channels[0]), c(channels[-1]))
            norm(unique("batch_normalization"), c(channels[-1]))
        for i in range(1, len(channels)):
            layer = f"block{number}_sepconv{i}"
            separable(layer, c(channels[i - 1]), c(channels[i]))
            norm(f"{layer}_bn", c(channels[i]))

    # The decoder.
    def conv_bn(scope: str, before: int, after: int) -> None:
        scope = f"{scope}/{unique('conv_bn')}"
        made[f"{scope}/{unique('conv2d')}/kernel"] = (1, 1, before, after)
        norm(f"{scope}/{unique('batch_normalization')}", after)

    def depthwise_conv_bn(scope: str, before: int, after: int, kernel: int = 3) -> None:
        scope = f"{scope}/{unique('depthwise_conv_bn')}"
        separable(f"{scope}/{unique('separable_conv2d')}", before, after, kernel)
        norm(f"{scope}/{unique('batch_normalization')}", after)

    def stage(scope: str, before: int, after: int, blocks: int) -> None:
        conv_bn(scope, before, after)
        for _ in range(blocks):
            inner = f"{scope}/{unique('shathe_block')}"
            for channels in (after, 2 * after, 2 * after):
                depthwise_conv_bn(inner, channels, 2 * after)
            conv_bn(inner, 2 * after, after)

    for before, after in [(2048, 128), (1024, 128), (728, 128), (256, 64), (128, 32)]:
        stage(unique("encoder_adaption"), c(before), c(after), 1)
    for before, after, count in [(128, 128, 3), (128, 64, 3), (64, 32, 3), (32, 32, 1)]:
        stage(unique("feature_generation"), c(before), c(after), count)
    for kernel in (1, 3, 3, 3, 3, 3, 3, 3):
        depthwise_conv_bn("aspp_2", c(32), c(32), kernel)
    conv_bn("aspp_2", c(32), c(32))
    layer = unique("conv2d")
    made[f"{layer}/kernel"] = (1, 1, c(32), classes)
    made[f"{layer}/bias"] = (classes,)
    return made


def evsegnet_values(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Return weights that keep maps at a size near 1, the same for a name everywhere."""
    return {name: _values(name, shape) for name, shape in shapes.items()}


def _values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
    uniform = np.random.Generator(np.random.PCG64(seed)).random(shape) * 2 - 1
    if name.endswith(("gamma", "moving_variance")):
        uniform = 1 + 0.3 * uniform
    elif name.endswith("kernel"):
        fan_in = shape[0] * shape[1] * (1 if name.endswith("depthwise_kernel") else shape[2])
        uniform = uniform * np.sqrt(3 / fan_in)
    else:
        uniform = 0.2 * uniform
    return uniform.astype(np.float32)
