"""Networks that come with the package, by name.

Their files lie here with a card each, which says what they were trained on, how they score and
where they fail.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent

SHIPPED: dict[str, Path] = {"street-fastscnn": FOLDER / "street-fastscnn.pt"}
"""Checkpoint of each shipped network."""

ALIASES = {"street": "street-fastscnn"}


def shipped_file(word: str | Path) -> Path | None:
    """Return the checkpoint that a name of a shipped network means; None for any other text.

    A file or folder of that name comes before it.
    """
    name = ALIASES.get(str(word), str(word))
    return SHIPPED[name] if name in SHIPPED and not Path(word).exists() else None


def is_shipped(checkpoint: Path) -> bool:
    """Return whether a file is with the shipped networks, where nothing else is written."""
    return checkpoint.parent.resolve() == FOLDER.resolve()
