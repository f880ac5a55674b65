"""Class tables from TOML: those of the package, those of users, and files that are none."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from eventseg.errors import LabelError
from eventseg.labels.merges import groups_of, merge_of
from eventseg.labels.tables import (
    IGNORED,
    PAGE,
    TABLES,
    ClassTable,
    described,
    load_class_table,
    table_of,
)

VOID = "unlabeled, ego vehicle, rectification border, out of roi, static, dynamic, ground"
UNSCORED = "parking, rail track, guard rail, bridge, tunnel, polegroup, caravan, trailer"

TWO = """
name = "two"
classes = [
    { id = 1, name = "rest", colour = [1, 2, 3] },
    { id = 0, name = "ground", colour = [128, 64, 128], instances = true },
]
ignored = [7]

[merge.evsegnet6]
ground = ["flat"]
rest = ["background", "object", "vegetation", "human"]
ignored = ["vehicle"]
"""


@pytest.fixture
def written(tmp_path):
    """Write text as a user's table and return its path."""

    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return write


def becomes(source, target, *, reading=None):
    """Return the name that each named class of a source gets, None for ignored."""
    names = load_class_table(target).names
    merge = merge_of(source, target, reading=reading)
    return {
        name: None if new == IGNORED else names[new]
        for name, new in zip(load_class_table(source).names, merge, strict=True)
    }


def test_every_table_of_the_package_loads_and_every_merge_of_it_fits():
    sizes = {name: len(load_class_table(name)) for name in TABLES}
    assert sizes == {
        "camvid11": 11, "cityscapes10": 10, "cityscapes19": 19, "cityscapes34": 34,
        "cityscapes_categories": 7, "dsec11": 11, "evsegnet6": 6,
    }  # fmt: skip
    for name in TABLES:
        table = load_class_table(name)
        assert table.name == name
        assert table is load_class_table(name)
        assert pickle.loads(pickle.dumps(table)) == table
        for merge in table.merges:
            ids = merge_of(merge.source, table, reading=merge.reading)
            assert len(ids) == len(load_class_table(merge.source))
            # Only the unlabeled class of the ten has no member among the nineteen.
            lacking = (
                {"unlabeled"} if (merge.source, name) == ("cityscapes19", "cityscapes10") else {}
            )
            assert set(table.names) - {table.names[i] for i in ids if i != IGNORED} == set(lacking)


def test_ids_of_cityscapes_have_their_train_ids_and_categories():
    train = merge_of("cityscapes34", "cityscapes19")
    assert [old for old, new in enumerate(train) if new != IGNORED] == [
        7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33,
    ]  # fmt: skip
    assert [new for new in train if new != IGNORED] == list(range(19))
    names = load_class_table("cityscapes34").names
    assert [name for name, new in zip(names, train, strict=True) if new == IGNORED] == [
        name for name in names if name in f"{VOID}, {UNSCORED}".split(", ")
    ]
    # A train class has the name and the colour of its id.
    ids, classes = load_class_table("cityscapes34"), load_class_table("cityscapes19")
    for old, new in enumerate(train):
        if new != IGNORED:
            assert (ids.names[old], ids.colours[old]) == (classes.names[new], classes.colours[new])
            assert ids.instances[old] == classes.instances[new]
    counted = [name for name, has in zip(ids.names, ids.instances, strict=True) if has]
    assert ", ".join(counted) == (
        "person, rider, car, truck, bus, caravan, trailer, train, motorcycle, bicycle"
    )
    every = becomes("cityscapes34", "cityscapes_categories", reading="all")
    assert every["guard rail"] == "construction"
    assert [name for name, new in every.items() if new is None] == VOID.split(", ")
    scored = becomes("cityscapes34", "cityscapes_categories")
    assert scored["guard rail"] is None
    assert {n: c for n, c in scored.items() if c} == becomes(
        "cityscapes19", "cityscapes_categories"
    )


def test_evsegnet_and_ess_read_unscored_classes_differently():
    evsegnet, ess = (becomes("cityscapes34", "evsegnet6", reading=r) for r in ("evsegnet", "ess"))
    assert becomes("cityscapes34", "evsegnet6") == evsegnet
    differ = {name: new for name, new in evsegnet.items() if new != ess[name]}
    assert differ == {
        "parking": "flat", "rail track": "flat", "guard rail": "background",
        "bridge": "background", "tunnel": "background", "polegroup": "object",
        "caravan": "vehicle", "trailer": "vehicle",
    }  # fmt: skip
    assert all(ess[name] is None for name in differ)
    assert all(evsegnet[name] is None for name in VOID.split(", "))
    # On the scored classes both are the merge from the nineteen.
    for name, new in becomes("cityscapes19", "evsegnet6").items():
        assert evsegnet[name] == ess[name] == new


def test_groups_of_the_other_tables():
    ten = groups_of("cityscapes19", "cityscapes10")
    names = load_class_table("cityscapes19").names
    assert {new: [names[i] for i in ids] for new, ids in ten.items()} == {
        "unlabeled": [], "road": ["road"], "sidewalk": ["sidewalk"],
        "construction": ["building", "wall", "fence"],
        "object": ["pole", "traffic light", "traffic sign"],
        "nature": ["vegetation", "terrain"], "sky": ["sky"], "human": ["person", "rider"],
        "four wheels": ["car", "truck", "bus", "train"], "two wheels": ["motorcycle", "bicycle"],
    }  # fmt: skip
    void = f"{VOID}, {UNSCORED}".split(", ")
    ids = becomes("cityscapes34", "cityscapes10")
    assert [name for name, new in ids.items() if new == "unlabeled"] == [
        n for n in ids if n in void
    ]
    # The order of CamVid's files, and bicyclist -> human.
    assert merge_of("camvid11", "evsegnet6") == (1, 1, 2, 0, 0, 3, 2, 1, 5, 4, 4)
    assert merge_of("cityscapes19", "dsec11") == (
        5, 6, 1, 9, 2, 4, 10, 10, 7, 7, 0, 3, 3, 8, 8, 8, 8, 8, 8,
    )  # fmt: skip
    # Through DSEC's eleven or at once: the same six.
    through = [merge_of("dsec11", "evsegnet6")[i] for i in merge_of("cityscapes19", "dsec11")]
    assert tuple(through) == merge_of("cityscapes19", "evsegnet6")


def test_a_table_without_a_name_is_known_by_its_classes():
    six = load_class_table("evsegnet6")
    nameless = ClassTable(load_class_table("cityscapes19").names, ((0, 0, 0),) * 19)
    assert merge_of(nameless, six) == merge_of("cityscapes19", "evsegnet6")
    assert merge_of(six, ClassTable(six.names, six.colours)) == (0, 1, 2, 3, 4, 5)
    with pytest.raises(LabelError, match="evsegnet6 has no merge of a table without a name"):
        merge_of(table_of(("a", "b")), six)


def test_a_table_of_a_user_loads_and_merges(written):
    path = written(TWO)
    table = load_class_table(path)
    assert table == load_class_table(str(path))
    assert (table.names, table.colours) == (("ground", "rest"), ((128, 64, 128), (1, 2, 3)))
    assert (table.name, table.instances, table.ignored_ids) == ("two", (True, False), (7,))
    assert merge_of("evsegnet6", table) == (0, 1, 1, 1, 1, 255)


def test_tables_of_users_merge_by_the_names_of_their_classes(written):
    six, nineteen = load_class_table("evsegnet6"), load_class_table("cityscapes19")
    shuffled = ClassTable(("Sky", "void", "traffic_light", "road", "car"), ((0, 0, 0),) * 5, "mine")
    # By the lists of a merge, by the names of the target itself, and void to ignored.
    assert merge_of(shuffled, six) == (1, 255, 2, 0, 5)
    assert merge_of(shuffled, nineteen) == (10, 255, 6, 0, 13)
    # A class void of the target's own is kept.
    assert merge_of(ClassTable(("unlabeled", "road"), ((0, 0, 0),) * 2), "cityscapes10") == (0, 1)
    # A merge that the file has of the source by its name goes before.
    own = load_class_table(written(TWO.replace("evsegnet6", "mine").replace('"human"', '"road"')))
    source = ClassTable(
        ("flat", "background", "object", "vegetation", "road", "vehicle"), ((0, 0, 0),) * 6, "mine"
    )
    assert merge_of(source, own) == (0, 1, 1, 1, 1, 255)
    # A table that lost its name, as in a checkpoint, is known by the classes that the merge lists.
    assert merge_of(ClassTable(source.names, source.colours), own) == (0, 1, 1, 1, 1, 255)
    with pytest.raises(LabelError, match=r"no merge of mine, .* and no class for moon; write"):
        merge_of(ClassTable(("moon", "road"), ((0, 0, 0),) * 2, "mine"), six)


def test_a_name_that_merges_read_differently_is_no_guide(written):
    text = """
        classes = [{ id = 0, name = "a", colour = [0, 0, 0] },
                   { id = 1, name = "b", colour = [1, 1, 1] }]
        [merge.one]
        a = ["tree"]
        b = ["car"]
        [merge.two]
        b = ["tree", "car"]
    """
    table = load_class_table(written(text))
    assert merge_of(ClassTable(("car",), ((0, 0, 0),)), table) == (1,)
    with pytest.raises(LabelError, match="no class for tree"):
        merge_of(ClassTable(("car", "tree"), ((0, 0, 0),) * 2), table)


def test_errors_name_the_tables_and_merges_there_are():
    with pytest.raises(LabelError, match=r"'cityscapes' \(did you mean .*cityscapes19"):
        load_class_table("cityscapes")
    with pytest.raises(LabelError, match=r"cannot read class table nowhere\.toml"):
        load_class_table("nowhere.toml")
    with pytest.raises(LabelError, match="evsegnet6 has no merge of cityscapes10, its merges are "):
        merge_of("cityscapes10", "evsegnet6")
    with pytest.raises(LabelError, match=r"no merge of cityscapes34 mine, .*cityscapes34 ess"):
        merge_of("cityscapes34", "evsegnet6", reading="mine")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("colour = [1, 2, 3]", "", "cannot read class table"),
        (", colour = [1, 2, 3]", "", r"classes\[0\]: colour is missing"),
        ("[1, 2, 3]", "[1, 2]", r"classes\[0\]: colour \[1, 2\] is not \[red, green, blue\]"),
        ("[1, 2, 3]", "[1, 2, 256]", r"classes\[0\]: colour"),
        ("[1, 2, 3]", "[1, 2, true]", r"classes\[0\]: colour"),
        ("id = 1", "id = 0", "id 0 is given twice or leaves a gap"),
        ("id = 1", "id = 2", "id 2 is given twice or leaves a gap"),
        ("id = 1", "id = -1", r"classes\[0\]: id -1 is no integer from 0 to 254"),
        ("id = 1", "id = 255", r"classes\[0\]: id 255"),
        ("id = 1", "id = true", r"classes\[0\]: id True"),
        ("id = 1", "id = 1, hue = 3", r"classes\[0\]: hue is unknown; allowed are colour, id"),
        ("instances = true", "instances = 1", r"classes\[1\]: instances 1 is neither"),
        ('name = "rest"', 'name = "ground"', "names of classes must differ"),
        ('name = "rest"', 'name = "ignored"', "none be 'ignored'"),
        ('name = "rest"', 'name = ""', r"classes\[0\]: name '' is no word"),
        ('name = "two"', "title = 1", "title is unknown; allowed are classes, ignored, merge"),
        ('name = "two"', 'name = "evsegnet6"', "name 'evsegnet6' must be a word that is none of"),
        ('name = "two"', "name = 2", "name 2 must be a word"),
        ("ignored = [7]", "ignored = [1]", r"ignored: \[1\] is no list of ids from 2 to 254"),
        ("ignored = [7]", "ignored = 7", "ignored: 7 is no list"),
        ('ground = ["flat"]', 'sky = ["flat"]', "merge.evsegnet6: 'sky' is no class of this table"),
        ('["flat"]', '"flat"', r"merge\.evsegnet6: ground is no list"),
        ("[merge.evsegnet6]", "[merge.evsegnet6.a]\nsky = []\n[merge.evsegnet6.b]", r"6\.a: 'sky'"),
        ("[merge.evsegnet6]", "[merge]\nevsegnet6 = 1\n[other]", "other is unknown"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_table_gives_one_error_that_says_where(written, old, new, message):
    assert old in TWO
    with pytest.raises(LabelError, match=message) as caught:
        load_class_table(written(TWO.replace(old, new, 1)))
    assert "mine.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classes = 3", "classes must be a list"),
        ("classes = []", "classes must be a list of 1 to 255"),
        ("classes = [3]", r"classes\[0\] is 3, not a table"),
        ("", "classes is missing"),
        ("merge = 3\n" + TWO.split("[merge")[0], "merge is 3, not a table"),
        ("[merge]\nother = 3\n" + "[unused]\n", "classes is missing"),
        (TWO.split("[merge")[0] + "[merge]\nother = 3", r"merge\.other is 3, not a table"),
        ("\x00", "cannot read class table"),
    ],
)
def test_files_of_another_kind_are_refused(written, text, message):
    with pytest.raises(LabelError, match=message):
        load_class_table(written(text))


def test_bytes_that_are_no_text_and_folders_are_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LabelError, match="cannot read class table"):
        load_class_table(path)
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(LabelError, match="cannot read class table"):
        load_class_table(tmp_path / "folder.toml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"human"', '"people"', "rest holds 'people', no class of evsegnet6"),
        ('"human"', '"human", "flat"', "'flat' is named twice"),
        (', "human"', "", "merge of evsegnet6 into two lacks human; put what has no class"),
    ],
)
def test_a_merge_that_does_not_fit_its_source_is_refused(written, old, new, message):
    with pytest.raises(LabelError, match=message):
        merge_of("evsegnet6", load_class_table(written(TWO.replace(old, new, 1))))


def test_the_page_about_classes_shows_a_table_that_loads_and_merges(tmp_path):
    page = (Path(__file__).parents[2] / PAGE).read_text(encoding="utf-8")
    (tmp_path / "yard.toml").write_text(page.partition("```toml\n")[2].partition("```")[0])
    table = load_class_table(tmp_path / "yard.toml")
    assert (table.name, table.ignored_ids) == ("yard", (9, 10))
    groups = groups_of("cityscapes19", table)
    assert groups["ground"] == (0, 1, 9)
    assert all(f"`{name}`" in page for name in TABLES)
    assert page.count("|---|---|") >= 3


def test_messages_about_classes_name_the_table_its_classes_and_the_page():
    text = described(load_class_table("cityscapes19"))
    assert text.startswith("class table cityscapes19 has 0 road, 1 sidewalk, ")
    assert text.endswith(", ..., 18 bicycle and 255 for ignored (docs/classes.md)")
    assert described(ClassTable(("a",), ((1, 2, 3),))).startswith("class table has 0 a and 255")
    # A table without a name goes by that of the package with the same classes.
    six = load_class_table("evsegnet6")
    assert "evsegnet6" in described(ClassTable(six.names, six.colours))
