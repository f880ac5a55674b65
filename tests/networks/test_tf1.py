"""The reader of TensorFlow's checkpoints: against TensorFlow's own bytes, and hostile files."""

from __future__ import annotations

import re
from pathlib import Path

import naive_tf1 as naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventseg.errors import CheckpointError
from eventseg.networks.converters import tensorflow1
from eventseg.networks.converters.crc32c import crc32c, masked_crc32c
from eventseg.networks.converters.tensorflow1 import read_tf1_checkpoint

# Three variables saved with tf.compat.v1.train.Saver of TensorFlow 2.15.1.
WRITTEN_INDEX = bytes.fromhex(
    "00000608011a020801000b0b676c6f62616c5f7374657008091200280835f7c905e6000a116c617965722f6269"
    "617308011204120208032008280c3599c21db10606156b65726e656c0801120812020802120208032014281835"
    "4dc9c037000000000100000000c7b9f7c8000000000100000000c0f2a1b00001026d00660000000001000000"
    "004badfcaf6b08780e" + 36 * "00" + "57fb808b247547db"
)
WRITTEN_DATA = bytes.fromhex(
    "ca070000000000000000c03f000000c000004040000000000000803e0000003f0000403f0000803f0000a03f"
)


def written(folder: Path) -> Path:
    """Return the prefix of TensorFlow's own small checkpoint."""
    (folder / "small.index").write_bytes(WRITTEN_INDEX)
    (folder / "small.data-00000-of-00001").write_bytes(WRITTEN_DATA)
    return folder / "small"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_checksum_gives_the_values_of_rfc_3720(data, expected):
    assert crc32c(data) == expected == naive.crc32c(data)


@given(st.binary(max_size=3000))
def test_checksum_is_that_of_a_byte_at_a_time(data):
    assert masked_crc32c(data) == naive.masked(naive.crc32c(data))


def test_reads_what_tensorflow_wrote(tmp_path):
    read = read_tf1_checkpoint(written(tmp_path))
    assert list(read) == ["global_step", "layer/bias", "layer/kernel"]
    assert read["global_step"].item() == 1994
    assert read["layer/bias"].tolist() == [1.5, -2, 3]
    assert read["layer/kernel"].tolist() == [[0, 0.25, 0.5], [0.75, 1, 1.25]]


NAMES = st.text("ab/_9é", min_size=1, max_size=12)
SHAPES = st.lists(st.integers(1, 4), max_size=4)
DTYPES = st.sampled_from(sorted(naive.TYPES))


@given(
    shapes=st.dictionaries(NAMES, st.tuples(SHAPES, DTYPES), min_size=1, max_size=30),
    shards=st.integers(1, 3),
    per_block=st.integers(1, 40),
)
def test_reads_back_what_the_plain_writer_writes(tmp_path_factory, shapes, shards, per_block):
    rng = np.random.default_rng(0)
    tensors = {
        name: (100 * rng.standard_normal(shape)).astype(dtype)
        for name, (shape, dtype) in shapes.items()
    }
    prefix = tmp_path_factory.mktemp("bundle") / "model.ckpt-7"
    naive.write_bundle(prefix, tensors, shards=shards, per_block=per_block)
    read = read_tf1_checkpoint(prefix)
    assert list(read) == sorted(tensors, key=str.encode)
    for name, tensor in read.items():
        assert tensor.numpy().dtype == tensors[name].dtype
        np.testing.assert_array_equal(tensor.numpy(), tensors[name])


def test_any_changed_byte_of_a_shard_is_found(tmp_path):
    prefix = written(tmp_path)
    for i in range(len(WRITTEN_DATA)):
        changed = bytearray(WRITTEN_DATA)
        changed[i] ^= 0x10
        (tmp_path / "small.data-00000-of-00001").write_bytes(changed)
        with pytest.raises(CheckpointError, match="checksum"):
            read_tf1_checkpoint(prefix)


def test_any_changed_byte_of_an_index_is_found_or_without_effect(tmp_path):
    prefix = written(tmp_path)
    expected = {name: tensor.tolist() for name, tensor in read_tf1_checkpoint(prefix).items()}
    without_effect = []
    for i in range(len(WRITTEN_INDEX)):
        changed = bytearray(WRITTEN_INDEX)
        changed[i] ^= 0x01
        (tmp_path / "small.index").write_bytes(changed)
        try:
            read = read_tf1_checkpoint(prefix)
        except CheckpointError:
            continue
        assert {name: tensor.tolist() for name, tensor in read.items()} == expected
        without_effect.append(i)
    padding = range(len(WRITTEN_INDEX) - 44, len(WRITTEN_INDEX) - 8)
    assert without_effect == list(padding)


def test_truncated_files_are_refused(tmp_path):
    prefix = written(tmp_path)
    for length in range(len(WRITTEN_INDEX)):
        (tmp_path / "small.index").write_bytes(WRITTEN_INDEX[:length])
        with pytest.raises(CheckpointError, match="no index of a TensorFlow checkpoint"):
            read_tf1_checkpoint(prefix)
    written(tmp_path)
    for length in range(len(WRITTEN_DATA)):
        (tmp_path / "small.data-00000-of-00001").write_bytes(WRITTEN_DATA[:length])
        with pytest.raises(CheckpointError, match="truncated"):
            read_tf1_checkpoint(prefix)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(CheckpointError, match=re.escape(str(tmp_path / "best.index"))):
        read_tf1_checkpoint(tmp_path / "best")
    prefix = written(tmp_path)
    (tmp_path / "small.data-00000-of-00001").unlink()
    with pytest.raises(CheckpointError, match=r"small\.data-00000-of-00001"):
        read_tf1_checkpoint(prefix)


def test_a_large_file_is_not_read_whole(tmp_path):
    with (tmp_path / "film.index").open("wb") as file:
        file.truncate(1 << 23)
    with pytest.raises(CheckpointError, match="larger than"):
        read_tf1_checkpoint(tmp_path / "film")


FLOATS = np.arange(4, dtype=np.float32).tobytes()
CRC = naive.masked(naive.crc32c(FLOATS))


def entry(shape=(2, 2), **changed):
    return naive.entry(shape, **{"offset": 0, "size": 16, "crc": CRC, **changed})


def bundle(folder: Path, entries: list[tuple[bytes, bytes]], **options) -> Path:
    (folder / "best.index").write_bytes(naive.table(entries, **options))
    (folder / "best.data-00000-of-00001").write_bytes(FLOATS)
    return folder / "best"


HEADER = (b"", naive.header())


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([(b"a", entry())], "no header"),
        ([], "no header"),
        ([(b"", naive.header(shards=0))], "0 shards"),
        ([(b"", naive.header(shards=1 << 40))], "shards"),
        ([(b"", naive.header(endianness=1))], "big-endian"),
        ([(b"", naive.field(1, b"x"))], "a message where a number belongs"),
        ([HEADER, (b"a", entry(shard=1))], "shard 1 of 1"),
        ([HEADER, (b"a", entry(dtype=7))], "of type 7"),
        ([HEADER, (b"a", entry(more=naive.field(7, b"")))], "in slices"),
        ([HEADER, (b"a", entry(offset=4))], "lies outside"),
        ([HEADER, (b"a", entry(offset=1 << 63))], "lies outside"),
        ([HEADER, (b"a", entry(shape=(2, 3)))], "16 bytes are no"),
        ([HEADER, (b"a", entry(shape=(1 << 20, 1 << 20), size=1 << 42))], "truncated"),
        ([HEADER, (b"a", entry(shape=(0,), size=0))], "shape"),
        ([HEADER, (b"a", entry(shape=(1,) * 99))], "shape"),
        ([HEADER, (b"a", entry(shape=(2**64 - 1,)))], "shape"),
        ([HEADER, (b"a", entry(crc=CRC ^ 1))], "checksum"),
        ([HEADER, (b"a", entry()[:-2])], "does not fit its message"),
        ([HEADER, (b"a", naive.field(2, 5))], "a number where a message belongs"),
        ([HEADER, (b"a", b"\x0b")], "does not fit its message"),
        ([HEADER, (b"a", b"\xff" * 12)], "does not end"),
        ([HEADER, (b"\xff", entry())], "utf-8"),
        ([HEADER, (b"b", entry()), (b"a", entry())], "not in order"),
        ([HEADER, (b"a", entry()), (b"a", entry())], "not in order"),
        ([HEADER, (b"a" * 2000, entry())], "an entry does not fit"),
    ],
)
def test_hostile_entries_are_refused(tmp_path, entries, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        read_tf1_checkpoint(bundle(tmp_path, entries))
    assert "\n" not in str(caught.value)


def test_compressed_blocks_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="compressed"):
        read_tf1_checkpoint(bundle(tmp_path, [HEADER, (b"a", entry())], compression=1))


def test_a_table_cannot_name_a_block_twice(tmp_path):
    written_block, size = naive.block([HEADER, (b"a", entry())])
    handle = naive.varint(0) + naive.varint(size)
    nothing, nothing_size = naive.block([])
    root, root_size = naive.block([(b"b", handle), (b"c", handle)], restart_every=1)
    places = [
        len(written_block),
        nothing_size,
        len(written_block + nothing),
        root_size,
    ]
    footer = b"".join(map(naive.varint, places)).ljust(40, b"\0") + tensorflow1.MAGIC
    (tmp_path / "best.index").write_bytes(written_block + nothing + root + footer)
    with pytest.raises(CheckpointError, match="overlap"):
        read_tf1_checkpoint(tmp_path / "best")


def test_two_tensors_cannot_make_more_of_a_shard_than_it_holds(tmp_path):
    twice = [HEADER, (b"a", entry()), (b"b", entry())]
    with pytest.raises(CheckpointError, match="more bytes of tensors than its shards hold"):
        read_tf1_checkpoint(bundle(tmp_path, twice))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_checkpoint_error(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "best.index").write_bytes(content.ljust(40, b"\0") + tensorflow1.MAGIC)
    with pytest.raises(CheckpointError):
        read_tf1_checkpoint(folder / "best")
