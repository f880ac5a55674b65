"""Indexed PNG in and out, hostile files, and legends."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from eventseg.errors import LabelError, OutputError
from eventseg.images import read_image
from eventseg.labels.files import ROW, legend, read_labels, write_labels
from eventseg.labels.maps import (
    CITYSCAPES_19,
    EVSEGNET_6,
    ClassTable,
    load_class_table,
    paint_labels,
    table_of,
)

LABELS = np.array([[0, 1, 2, 255], [3, 4, 5, 255]], np.uint8)
OTHER_COLOUR = paint_labels(LABELS, EVSEGNET_6)
OTHER_COLOUR[0, 0] = 7


def png(values, mode=None, **options):
    """Return the bytes of a PNG."""
    file = io.BytesIO()
    image = Image.fromarray(values)
    (image.convert(mode) if mode else image).save(file, format="PNG", **options)
    return file.getvalue()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "labels.png"


def test_values_are_ids_and_the_picture_has_the_colours(path):
    write_labels(path, LABELS, EVSEGNET_6)
    np.testing.assert_array_equal(read_labels(path), LABELS)
    np.testing.assert_array_equal(read_labels(path, table=EVSEGNET_6), LABELS)
    np.testing.assert_array_equal(read_image(path), LABELS)  # as a data set reads it
    with Image.open(path) as image:
        assert image.mode == "P"
        shown = np.array(image.convert("RGB"))
    np.testing.assert_array_equal(shown, paint_labels(LABELS, EVSEGNET_6))


def test_gray_files_are_read_as_ids_and_void_of_camvid_is_ignored(path):
    path.write_bytes(png(np.array([[0, 10, 11]], np.uint8)))
    assert read_labels(path).tolist() == [[0, 10, 11]]
    assert read_labels(path, table=load_class_table("camvid11")).tolist() == [[0, 10, 255]]
    with pytest.raises(
        LabelError, match=r"hold 10, 11; class table evsegnet6 has 0 flat, 1 back.*255 for"
    ):
        read_labels(path, table=EVSEGNET_6)


def test_files_of_camvid_hold_its_eleven_classes_and_void(shared_data):
    path = min((shared_data / "camvid" / "testannot").glob("*.png"))
    stored = read_labels(path)
    labels = read_labels(path, table=load_class_table("camvid11"))
    assert (stored == 11).any()
    np.testing.assert_array_equal(labels, np.where(stored == 11, 255, stored))


def test_indexed_files_of_few_bits_keep_their_ids(path):
    image = Image.fromarray(np.array([[0, 1, 2, 3]], np.uint8))
    image.putpalette([7, 7, 7, 1, 2, 3, 4, 5, 6, 200, 200, 200])
    image.save(path, bits=2)
    assert path.read_bytes()[24] == 2
    assert read_labels(path).tolist() == [[0, 1, 2, 3]]


def gray_of_four_bits():
    """Return a 4-bit gray PNG, made from an indexed one by its header."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", 2, 1, 4, 0, 0, 0, 0)
    data = zlib.compress(bytes([0, 0x12]))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (png(OTHER_COLOUR), r"the colour \(7, 7, 7\) of 1 pixels is of no class.*evsegnet6"),
        (png(OTHER_COLOUR, "RGBA"), r"the colour \(7, 7, 7\)"),
        (png(np.dstack([paint_labels(LABELS, EVSEGNET_6), LABELS])), "transparent pixels"),
        (png(LABELS, "LA"), "8-bit gray with alpha"),
        (png(LABELS.astype(np.uint16) * 256), "16-bit gray"),
        (png(LABELS, "1"), "1-bit gray"),
        (gray_of_four_bits(), "4-bit gray"),
        (b"", "no PNG"),
        (b"GIF89a" + bytes(40), "no PNG"),
        (png(LABELS)[:25], "no PNG"),
        (png(LABELS)[:40], "cannot read labels"),
        (png(LABELS)[:50], "cannot read labels"),
        (png(LABELS)[:24] + bytes([8, 9]) + png(LABELS)[26:], "8-bit of an unknown kind"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_label_map_gives_one_error(path, data, message):
    path.write_bytes(data)
    with pytest.raises(LabelError, match=message) as caught:
        read_labels(path, table=EVSEGNET_6)
    assert "labels.png" in str(caught.value)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_of_the_class_table_are_ids(path, mode):
    path.write_bytes(png(paint_labels(LABELS, EVSEGNET_6), mode))
    np.testing.assert_array_equal(read_labels(path, table=EVSEGNET_6), LABELS)
    np.testing.assert_array_equal(read_labels(path, colours=EVSEGNET_6), LABELS)
    with pytest.raises(LabelError, match=r"8-bit RGB.*give ids as an indexed"):
        read_labels(path)
    alike = ClassTable(("a", "b"), (EVSEGNET_6.colours[0],) * 2)
    path.write_bytes(png(paint_labels(np.zeros((2, 2), np.uint8), alike), mode))
    with pytest.raises(LabelError, match=r"several classes have one colour.*has 0 a, 1 b and 255"):
        read_labels(path, table=alike)


def test_gray_of_16_bits_that_holds_ids_is_read(path):
    path.write_bytes(png(LABELS.astype(np.uint16)))
    np.testing.assert_array_equal(read_labels(path, table=EVSEGNET_6), LABELS)


def test_a_palette_with_the_tables_colours_at_other_places_tells_classes_by_colour(path):
    # As a picture program stores a painted map: indices by how often a colour comes.
    Image.fromarray(paint_labels(LABELS, EVSEGNET_6)).quantize(16).save(path)
    np.testing.assert_array_equal(read_labels(path, table=EVSEGNET_6), LABELS)
    ids = np.array([[0, 1, 2, 2]], np.uint8)
    order = [4, 0, 5]
    image = Image.fromarray(ids)
    image.putpalette(np.array(EVSEGNET_6.colours, np.uint8)[order].tobytes())
    image.save(path)
    assert read_labels(path, table=EVSEGNET_6).tolist() == [[4, 0, 5, 5]]
    # Other colours say nothing of the classes.
    image.putpalette(bytes(range(9)))
    image.save(path)
    assert read_labels(path, table=EVSEGNET_6).tolist() == [[0, 1, 2, 2]]


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(LabelError, match=r"cannot read labels .*nothing\.png: No such file"):
        read_labels(tmp_path / "nothing.png")
    with pytest.raises(LabelError, match="cannot read labels"):
        read_labels(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_files_give_labels_or_one_error(tmp_path, data):
    path = tmp_path / "damaged.png"
    write_labels(path, LABELS, EVSEGNET_6)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        labels = read_labels(path, table=EVSEGNET_6)
    except LabelError:
        return
    np.testing.assert_array_equal(labels, LABELS)  # the damage was none, or beside the values


def test_what_is_no_label_map_is_not_written(path):
    with pytest.raises(LabelError, match=r"labels hold 5; .*2 c and 255 .*docs/classes\.md"):
        write_labels(path, LABELS[1:, 2:3], table_of(("a", "b", "c")))
    with pytest.raises(LabelError, match=r"labels are int64 \(2, 4\); give uint8 \(H, W\)"):
        write_labels(path, LABELS.astype(np.int64), EVSEGNET_6)
    with pytest.raises(LabelError, match=r"labels are uint8 \(4,\)"):
        write_labels(path, LABELS[0], EVSEGNET_6)
    assert not path.exists()
    path.mkdir()
    with pytest.raises(OutputError):
        write_labels(path, LABELS, EVSEGNET_6)


@pytest.mark.parametrize("table", [EVSEGNET_6, CITYSCAPES_19], ids=lambda table: table.name)
def test_a_legend_shows_every_colour_beside_words(table):
    picture = legend(table)
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert picture.shape[2] == 3
    middle = [picture[6 + ROW * line + ROW // 2] for line in range(len(table) + 1)]
    assert [tuple(row[20]) for row in middle] == [*table.colours, (0, 0, 0)]
    for line in range(len(table) + 1):
        words = picture[6 + ROW * line : 6 + ROW * (line + 1), 2 * ROW + 6 :]
        assert (words < 128).any()
        assert (words[:, -2:] == 255).all(), "words reach the edge"
