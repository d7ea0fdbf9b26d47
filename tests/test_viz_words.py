"""The viewers of words: what they send to their scripts, what they say, and what they refuse."""

import json
import math
import sys
from itertools import pairwise
from typing import Any

import pytest
import tokenizers as hf
import torch

from labkit.metrics import token_log_probs
from labkit.shipped import load_shipped
from labkit.tokenizers import BPETokenizer, ByteTokenizer, CharTokenizer, Tokenizer
from labkit.viz import tokens
from labkit.viz.tokens import LETTERS
from labkit.viz.viewer import HERE

HOSTILE = [
    "",
    "a",
    "<b></script>",
    "שלום abc",
    "👨‍👩‍👧‍👦",
    "a\u0301\n\t 我爱编程。\u3000",
    "it's  2026 ",
]
TEXTS = ["the cat sat on the mat, it's 2026", "我爱编程。我爱猫。", "the hat 👨‍👩‍👧‍👦"] * 3


@pytest.fixture(scope="module")
def bpe() -> BPETokenizer:
    return BPETokenizer.train(TEXTS, 300)


def cut_by_hand(text: str, base: list[int], merges: list[list[int]]) -> list[int]:
    """Byte-pair encoding in the plainest way: one merge after the other, over the whole text."""
    split = hf.pre_tokenizers.ByteLevel(add_prefix_space=False)
    cut = []
    for piece, _ in split.pre_tokenize_str(text):
        ids = [base[LETTERS.index(letter)] for letter in piece]
        for _, left, right, made in sorted(merges):
            while (left, right) in pairwise(ids):
                at = list(pairwise(ids)).index((left, right))
                ids[at : at + 2] = [made]
        cut += ids
    return cut


def test_letters_stand_for_the_bytes_that_they_stand_for_elsewhere() -> None:
    split = hf.pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert set(LETTERS) == set(split.alphabet())
    for char in [chr(code) for code in (*range(0x800), 0x4E2D, 0xFEFF, 0x1F600, 0x10FFFF)]:
        written = "".join(piece for piece, _ in split.pre_tokenize_str(char))
        assert written == "".join(LETTERS[byte] for byte in char.encode())


def test_every_merge_of_a_short_list_is_sent(bpe: BPETokenizer) -> None:
    (rule,) = tokens("the cat", bpe).meta["rules"]
    assert rule["n"] == len(rule["merges"]) == bpe.vocab_size - 257
    for text in HOSTILE + TEXTS:
        assert cut_by_hand(text, rule["bytes"], rule["merges"]) == bpe.encode(text)


def test_of_a_long_list_the_text_gets_the_merges_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["labkit.viz.tokens"], "FEW", 10)
    bpe = BPETokenizer.train(TEXTS, 300)
    viewer = tokens("the cat", {"long": bpe, "bytes": ByteTokenizer()})
    rule = viewer.meta["rules"][0]
    assert rule["long"]
    assert rule["merges"] == []
    for text in HOSTILE + TEXTS:
        viewer.text = text
        assert viewer.read["text"] == text
        sent, none = viewer.read["merges"]
        assert none == []
        assert len(sent) < rule["n"]
        assert cut_by_hand(text, rule["bytes"], sent) == bpe.encode(text)


def test_surprise_is_the_models() -> None:
    shipped = load_shipped("tinyworld-en")
    viewer = tokens("Tom ran.", {"b": ByteTokenizer(), "t": shipped.tokenizer}, model=shipped.model)
    assert viewer.meta["scored"] == 1
    ids = torch.tensor([[shipped.tokenizer.end, *shipped.tokenizer.encode("Tom ran.")]])
    expected = -token_log_probs(shipped.model, ids) / math.log(2)
    assert viewer.read["bits"] == pytest.approx(expected.tolist(), abs=1e-4)
    viewer.text = ""
    assert viewer.read["bits"] == []
    assert tokens("Tom ran.", shipped.tokenizer).read["bits"] == []


def test_a_text_that_its_tokenizer_does_not_know_has_no_surprise() -> None:
    three = NeverA()
    three.vocab_size = 3
    assert tokens("abc", CharTokenizer("ab"), model=three).read["bits"] == []


class NeverA:
    """A model that holds one token to be impossible."""

    vocab_size = 257
    context_length = 8

    def __call__(self, ids: torch.Tensor, cache: Any = None) -> torch.Tensor:
        logits = torch.zeros(*ids.shape, 257)
        logits[..., ord("a")] = -torch.inf
        return logits


def test_the_impossible_can_be_written_to_a_page() -> None:
    viewer = tokens("ba", ByteTokenizer(), model=NeverA())
    assert viewer.read["bits"] == pytest.approx([8, 1e6], abs=0.01)
    assert "Infinity" not in viewer.html().split('id="state"')[1].split("</script>")[0]


def test_it_says_how_many_tokens_there_are() -> None:
    named: dict[str, Tokenizer] = {"bytes": ByteTokenizer(), "ab": CharTokenizer("ab")}
    assert tokens("ab猫", named, title="Who cuts?").says == (
        "Who cuts? bytes 5 tokens, 0.60 characters per token; ab does not know a character of the "
        "text."
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_its_page_holds_the_text_and_no_address(text: str, bpe: BPETokenizer) -> None:
    page = tokens(text, bpe, title="<i>Title</i>").html()
    state = page.split('type="application/json">')[1].split("</script>")[0]
    assert json.loads(state)["text"] == text
    assert "<" not in state
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


def test_what_does_not_fit_is_refused(bpe: BPETokenizer) -> None:
    with pytest.raises(ValueError, match="one to three tokenizers, got 0"):
        tokens("a", {})
    with pytest.raises(ValueError, match="one to three tokenizers, got 4"):
        tokens("a", dict.fromkeys("abcd", bpe))
    with pytest.raises(ValueError, match="half of a surrogate pair"):
        tokens("\ud83d", bpe)
    with pytest.raises(ValueError, match=r"a tokenizer of 257 ids, got \[300\]"):
        tokens("a", bpe, model=NeverA())


def test_rules_that_the_script_does_not_know_are_refused(bpe: BPETokenizer) -> None:
    inner = hf.Tokenizer.from_str(bpe.content)
    inner.pre_tokenizer = hf.pre_tokenizers.ByteLevel(add_prefix_space=True)
    with pytest.raises(ValueError, match=r"got one that cuts by .*'add_prefix_space': True"):
        tokens("a", BPETokenizer(inner))
    other = ByteTokenizer()
    other.kind = "words"
    with pytest.raises(ValueError, match="got 'words'"):
        tokens("a", other)


def test_the_script_is_small() -> None:
    assert (HERE / "tokens.js").stat().st_size < 18_000
