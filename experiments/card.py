"""`python -m experiments.card`: write the tables and the stories of TinyWorld's card."""

from functools import cache
from pathlib import Path

import numpy as np

from experiments.readme import with_blocks
from labkit.files import write_atomically
from tinyworld import TinyWorld

CARD = Path(__file__).resolve().parents[1] / "datasets" / "tinyworld.md"
NAMES = {"en": "English", "zh": "Chinese"}
STORIES, DRAWN, SEED = 10, 10_000, 2026


@cache
def entropy_table() -> str:
    """Estimate the entropy of both languages."""
    lines = [
        "| language | bits per story | 95 % interval | bits per character | 95 % interval |",
        "|---|--:|--:|--:|--:|",
    ]
    for code, name in NAMES.items():
        found = TinyWorld.full(code).entropy(np.random.default_rng(SEED), DRAWN)
        lines.append(
            f"| {name} | {found.bits_per_story:.2f} | ± {found.story_half:.2f} "
            f"| {found.bits_per_char:.4f} | ± {found.char_half:.4f} |"
        )
    return "\n".join(lines)


@cache
def stories_page() -> str:
    """Draw ten stories of each language; none was chosen."""
    parts = []
    for code, name in NAMES.items():
        parts.append(f"### Ten stories in {name}\n")
        for i, story in enumerate(TinyWorld.full(code).stories(STORIES, seed=SEED), start=1):
            parts.append(f"{i}. *({story.plot})* {story.text}")
        parts.append("")
    return "\n".join(parts).strip()


def card_text(old: str) -> str:
    """Return the card with its generated blocks replaced."""
    return with_blocks(old, {"entropy": entropy_table(), "stories": stories_page()}, CARD.name)


def main() -> None:
    """Write the card."""
    write_atomically(CARD, card_text(CARD.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
