"""Messages about unknown names."""

from __future__ import annotations

import pytest

from eventseg.errors import MOST_LISTED, known_names

MANY = [f"drive-{n:02}" for n in range(MOST_LISTED)] + ["Street"]


@pytest.mark.parametrize(
    ("name", "known", "listed", "expected"),
    [
        (
            "fastscn",
            ["enet", "fastscnn"],
            "",
            " (did you mean fastscnn?); known are enet, fastscnn",
        ),
        ("x", ["enet"], "a list has all", "; known are enet"),
        ("x", [], "", "; known are none"),
        ("", ["enet"], "", "; known are enet"),
        ("streat", MANY, "a list has all", " (did you mean Street?); a list has all"),
        ("x", MANY, "a list has all", "; a list has all"),
        (
            "STR",
            MANY,
            "",
            " (did you mean Street?); known are 13, such as drive-00, drive-01, drive-02",
        ),
        ("drive", MANY, "x", " (did you mean drive-00, drive-01 or drive-02?); x"),
    ],
)
def test_names_like_an_unknown_one_and_those_known(
    name: str, known: list[str], listed: str, expected: str
) -> None:
    assert known_names(name, known, listed=listed) == expected
