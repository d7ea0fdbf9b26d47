"""TinyWorld's card shows what today's code draws."""

import pytest

from experiments import card


def test_the_card_is_up_to_date() -> None:
    old = card.CARD.read_text(encoding="utf-8")
    assert card.card_text(old) == old, "run `python -m experiments.card`"
    stale = old.replace("### Ten stories in English", "### Eleven stories", 1)
    assert card.card_text(stale) == old


def test_a_card_without_its_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match="has no block entropy"):
        card.card_text("# nothing")
