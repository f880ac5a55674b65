"""Licences of teachers' weights: known ones, and those stated in model cards."""

from __future__ import annotations

import re

UNKNOWN = "licence unknown: none is stated beside the weights; ask who made them"

NVIDIA = "NVIDIA source code licence: research and evaluation only, not for commercial use"

LICENCES: dict[str, str] = {
    "nvidia/segformer": NVIDIA,
    "smp-hub/segformer": NVIDIA,
    "facebook/mask2former": "CC BY-NC 4.0 (weights of the original zoo): not for commercial use",
    "shi-labs/oneformer": "MIT",
    "tue-mps/": "MIT; the DINOv2 trunk is Apache-2.0",
}
"""Licence by the beginning of an id of Hugging Face; the data they were trained on, Cityscapes,
is itself free for non-commercial use only."""


def known_licence(identity: str) -> str | None:
    """Return the licence of an id of Hugging Face that we know, or None."""
    for beginning, licence in LICENCES.items():
        if identity.lower().startswith(beginning):
            return licence
    return None


def licence_in_card(card: str) -> str | None:
    """Return the licence that the head of a model card (``README.md``) states, or None."""
    head = re.match(r"---\s*\n(.*?)\n---", card, re.DOTALL)
    if head is None:
        return None
    found = {
        key: value.strip(" '\"")
        for key, value in re.findall(r"^(license(?:_name|_link)?):[ \t]*(\S.*)$", head[1], re.M)
    }
    words = [found.get("license_name") or found.get("license"), found.get("license_link")]
    return " ".join(word for word in words if word) or None
