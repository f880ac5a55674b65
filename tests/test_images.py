"""Pictures of every kind: depth, palette, alpha, orientation, colour space, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageCms

from eventseg.errors import DatasetError
from eventseg.files.texts import read_csv, read_text, read_toml
from eventseg.images import list_pictures, picture_size, read_image, read_picture, read_wide_image

GRAY = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)
RGB = np.stack([GRAY, GRAY[::-1], GRAY[:, ::-1]], axis=2)
LUMA = np.array(Image.fromarray(RGB).convert("L"))


@pytest.fixture
def saved(tmp_path):
    """Save a picture and return its path."""

    def save(image, name="a.png", **options):
        path = tmp_path / name
        (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
        return path

    return save


def both(path):
    return read_picture(path, colour=False), read_picture(path, colour=True)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("factor", [256, 257])
def test_gray_of_16_bits_is_divided_by_256(saved, name, factor):
    gray, colour = both(saved(GRAY.astype(np.uint16) * factor, name))
    np.testing.assert_array_equal(gray, GRAY)
    np.testing.assert_array_equal(colour, np.stack([GRAY] * 3, axis=2))


def test_16_bits_where_0_is_white(saved):
    path = saved((65535 - GRAY.astype(np.uint16) * 257), "a.tif", tiffinfo={262: 0})
    with Image.open(path) as image:
        assert image.tag_v2[262] == 0
    np.testing.assert_array_equal(both(path)[0], GRAY)


def test_bilevel_pictures_are_black_and_white(saved):
    gray, _ = both(saved(Image.fromarray(GRAY > 100)))
    np.testing.assert_array_equal(gray, np.where(GRAY > 100, 255, 0))


def test_palettes_are_looked_up(saved):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([9, 9, 9, 200, 100, 50, 0, 0, 255])
    gray, colour = both(saved(image, bits=2))
    assert colour.tolist() == [[[9, 9, 9], [200, 100, 50], [0, 0, 255]]]
    assert gray.tolist() == np.array(Image.fromarray(colour).convert("L")).tolist()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_dropped_where_all_is_opaque_and_refused_elsewhere(saved, mode):
    image = Image.fromarray(RGB).convert(mode)
    np.testing.assert_array_equal(both(saved(image))[0], LUMA)
    image.putalpha(Image.fromarray(np.where(GRAY == 0, 254, 255).astype(np.uint8)))
    with pytest.raises(DatasetError, match=r"a\.png has 1 transparent pixels.*without alpha"):
        read_picture(saved(image), colour=False)
    with pytest.raises(DatasetError, match="transparent pixels"):
        read_picture(saved(GRAY, transparency=50), colour=True)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
@pytest.mark.parametrize(
    ("tag", "turn"),
    [
        (2, lambda x: x[:, ::-1]),
        (3, lambda x: x[::-1, ::-1]),
        (6, lambda x: np.rot90(x, -1)),
        (8, lambda x: np.rot90(x, 1)),
    ],
)
def test_orientations_are_applied(saved, name, tag, turn):
    flat = np.kron(np.array([[0, 80, 160], [240, 40, 120]], np.uint8), np.ones((8, 8), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = tag
    path = saved(flat, name, exif=exif, **({"quality": 100} if name == "a.jpg" else {}))
    upright = turn(flat)
    gray, _ = both(path)
    np.testing.assert_allclose(gray.astype(int), upright, atol=1)
    assert picture_size(path) == upright.shape


def test_colours_come_in_srgb_or_are_refused(saved):
    image = Image.fromarray(RGB)
    np.testing.assert_array_equal(both(saved(image))[1], RGB)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    np.testing.assert_array_equal(both(saved(image, icc_profile=srgb.tobytes()))[1], RGB)
    ycc = both(saved(image.convert("YCbCr"), "a.tif"))[1]
    np.testing.assert_allclose(ycc.astype(int), RGB, atol=4)
    for mode, name in (("CMYK", "a.jpg"), ("CMYK", "a.tif"), ("LAB", "a.tif")):
        lab = Image.new("LAB", (6, 4)) if mode == "LAB" else image.convert(mode)
        with pytest.raises(DatasetError, match=f"colours of {mode}; save it as RGB"):
            read_picture(saved(lab, name), colour=True)


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_values_of_32_bits_are_refused(saved, kind):
    with pytest.raises(DatasetError, match=r"a\.tif has values of 32 bits; save it with 8 or 16"):
        read_picture(saved(GRAY.astype(kind), "a.tif"), colour=False)


def test_pages_and_other_files_are_refused(saved, tmp_path):
    path = saved(GRAY, "a.tif", save_all=True, append_images=[Image.fromarray(GRAY)])
    with pytest.raises(DatasetError, match="has 2 pages; save each"):
        read_picture(path, colour=False)
    (tmp_path / "b.png").write_bytes(saved(GRAY).read_bytes()[:60])
    (tmp_path / "c.png").write_text("no picture")
    for name in ("b.png", "c.png", "d.png", "."):
        with pytest.raises(DatasetError, match="cannot read image"):
            read_picture(tmp_path / name, colour=False)
    with pytest.raises(DatasetError, match="cannot read image"):
        picture_size(tmp_path / "c.png")


def test_maps_of_values_are_not_changed(saved):
    np.testing.assert_array_equal(read_image(saved(GRAY)), GRAY)
    wide = GRAY.astype(np.uint16) * 100
    np.testing.assert_array_equal(read_wide_image(saved(wide)), wide)
    for image in (wide, RGB, GRAY > 9):
        with pytest.raises(DatasetError, match="no 8-bit gray PNG; save its values as one"):
            read_image(saved(image))
    with pytest.raises(DatasetError, match="no gray PNG of 8 or 16 bits"):
        read_wide_image(saved(RGB))


def test_hidden_files_and_folders_are_no_pictures(saved, tmp_path):
    saved(GRAY, "a.PNG")
    for name in ("._a.PNG", ".hidden.png", "notes.txt", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    found = list_pictures(tmp_path)
    assert [path.name for path in found.files] == ["a.PNG"]
    assert {path.name for path in found.left_out} == {
        "._a.PNG", ".hidden.png", "notes.txt", "Thumbs.db", "folder.png",
    }  # fmt: skip
    assert list_pictures(tmp_path / "none").files == ()


MARKS = [("", "utf-8"), ("\ufeff", "utf-8"), ("\ufeff", "utf-16-le"), ("\ufeff", "utf-16-be")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(("mark", "encoding"), MARKS)
def test_texts_with_marks_line_ends_and_blank_lines(tmp_path, mark, encoding, end):
    path = tmp_path / "a.csv"
    path.write_bytes((mark + end.join(["id,é", "", "1,2", " , ", "3,4", ""])).encode(encoding))
    assert read_text(path) == "id,é\n\n1,2\n , \n3,4\n"
    assert read_csv(path) == {1: ["id", "é"], 3: ["1", "2"], 5: ["3", "4"]}
    path.write_bytes((mark + end.join(["", 'name = "é"', "[table]", "x = 1"])).encode(encoding))
    assert read_toml(path) == {"name": "é", "table": {"x": 1}}


def test_bytes_that_are_no_text_say_what_to_do(tmp_path):
    (tmp_path / "a.toml").write_bytes(b"name = '\xe9'")
    with pytest.raises(ValueError, match=r"no UTF-8 text .*; save it as UTF-8"):
        read_toml(tmp_path / "a.toml")
