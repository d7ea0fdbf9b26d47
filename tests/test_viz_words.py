"""The viewers of words: what they send to their scripts, what they say, and what they refuse."""

import json
import math
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import tokenizers as hf
import torch

from labkit.metrics import token_log_probs
from labkit.shipped import load_shipped
from labkit.tokenizers import BPETokenizer, ByteTokenizer, CharTokenizer, Tokenizer, byte_letters
from labkit.viz import embeddings, tokens
from viewers.embeddings import nearest, principal_plane
from viewers.viewer import HERE

LETTERS = byte_letters()
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
        for left, right, made in merges:
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


def test_the_merges_that_are_sent_cut_as_the_tokenizer_does(bpe: BPETokenizer) -> None:
    (rule,) = tokens("the cat", bpe).meta["rules"]
    assert len(rule["merges"]) == bpe.vocab_size - 257
    for text in HOSTILE + TEXTS:
        assert cut_by_hand(text, rule["bytes"], rule["merges"]) == bpe.encode(text)


def test_surprise_is_the_models() -> None:
    shipped = load_shipped("tinyworld-en")
    viewer = tokens("Tom ran.", {"b": ByteTokenizer(), "t": shipped.tokenizer}, model=shipped.model)
    assert viewer.meta["scored"] == 1
    ids = torch.tensor([[shipped.tokenizer.end, *shipped.tokenizer.encode("Tom ran.")]])
    expected = -token_log_probs(shipped.model, ids) / math.log(2)
    assert viewer.surprise["bits"] == pytest.approx(expected.tolist(), abs=1e-4)
    viewer.text = ""
    assert viewer.surprise["bits"] == []
    assert tokens("Tom ran.", shipped.tokenizer).surprise["bits"] == []


def test_a_text_that_its_tokenizer_does_not_know_has_no_surprise() -> None:
    three = NeverA()
    three.vocab_size = 3
    assert tokens("abc", CharTokenizer("ab"), model=three).surprise["bits"] == []


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
    assert viewer.surprise["bits"] == pytest.approx([8, 1e6], abs=0.01)
    assert "Infinity" not in viewer.html().split('id="state"')[1].split("</script>")[0]


def test_it_says_how_many_tokens_there_are() -> None:
    named: dict[str, Tokenizer] = {"bytes": ByteTokenizer(), "ab": CharTokenizer("ab")}
    viewer = tokens("ab猫", named, title="Who cuts?")
    assert viewer.ids == list("ab猫".encode())
    assert viewer.says == ("Who cuts? bytes: 5 tokens, 0.60 characters per token; ab: none.")


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


@pytest.mark.parametrize(("name", "most"), [("tokens.js", 18_000), ("embeddings.js", 13_000)])
def test_the_script_is_small(name: str, most: int) -> None:
    assert (HERE / name).stat().st_size < most


RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(40, 6)) * [5, 4, 3, 2, 1, 1] + 7
NAMES = [f"w{i}" for i in range(40)]


def test_axes_are_those_of_most_variance() -> None:
    points, shares = principal_plane(VECTORS)
    variances = np.linalg.eigvalsh(np.cov(VECTORS.T))[::-1]
    assert shares == pytest.approx(variances[:2] / variances.sum())
    assert np.cov(points.T) == pytest.approx(np.diag(variances[:2]))
    assert principal_plane(2 * VECTORS + 1)[0] == pytest.approx(2 * points)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 1), (3, 1), (5, 9)])
def test_few_vectors_and_few_numbers_have_a_plane(shape: tuple[int, int]) -> None:
    points, shares = principal_plane(np.arange(np.prod(shape), dtype=float).reshape(shape) ** 2)
    assert points.shape == (shape[0], 2)
    assert np.isfinite(points).all()
    assert shares.sum() == pytest.approx(min(shape[0] - 1, 1), abs=0.05)


def test_neighbours_are_those_of_the_whole_space() -> None:
    near, cosines = nearest(VECTORS, np.arange(40), 5)
    for i, vector in enumerate(VECTORS):
        by_hand = {
            j: float(vector @ other / math.sqrt((vector @ vector) * (other @ other)))
            for j, other in enumerate(VECTORS)
            if j != i
        }
        expected = sorted(by_hand, key=lambda j: -by_hand[j])[:5]
        assert near[i].tolist() == expected
        assert cosines[i] == pytest.approx([by_hand[j] for j in expected])


def test_neighbours_of_many_rows_are_those_of_each() -> None:
    vectors = RNG.normal(size=(1100, 4))
    together, alone = nearest(vectors, np.arange(1100), 3), nearest(vectors, np.array([1099]), 3)
    assert together[0][1099].tolist() == alone[0][0].tolist()
    assert together[1][1099] == pytest.approx(alone[1][0])


def test_a_vector_of_zeros_is_near_to_nothing() -> None:
    near, cosines = nearest(np.array([[0.0, 0], [1, 0], [1, 1]]), np.arange(3), 2)
    assert cosines[0].tolist() == [0, 0]
    assert near[1].tolist() == [2, 0]


def test_what_is_packed_is_what_was_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = embeddings(VECTORS, NAMES, neighbours=5)
    near, cosines = nearest(VECTORS, np.arange(40), 5)
    assert np.frombuffer(viewer.near, "<i4").reshape(40, 5).tolist() == near.tolist()
    assert np.frombuffer(viewer.cosines, "<f4").reshape(40, 5) == pytest.approx(cosines)
    monkeypatch.setattr(sys.modules["viewers.embeddings"], "MOST_SENT", 39 * 5)
    asked = embeddings(VECTORS, NAMES, neighbours=5)
    assert np.frombuffer(asked.near, "<i4").tolist() == near[0].tolist()
    answer = asked.answer({"ask": 17})
    assert answer is not None
    assert answer[0] == {"of": 17}
    assert np.frombuffer(answer[1][0], "<i4").tolist() == near[17].tolist()
    assert np.frombuffer(answer[1][1], "<f4") == pytest.approx(cosines[17])


def test_a_gpt_shows_its_token_vectors() -> None:
    shipped = load_shipped("tinyworld-en")
    viewer = embeddings(shipped.model, shipped.tokenizer)
    assert viewer.meta["D"] == shipped.model.config.d_model
    assert viewer.meta["labels"][-1] == "<end>"
    assert viewer.meta["labels"][shipped.tokenizer.encode(" was")[0]] == "␣was"


def test_it_says_the_variance_and_the_nearest() -> None:
    viewer = embeddings([[1, 0], [1, 0.1], [0, 1]], ["a", " ", "<b>"], title="Near?", neighbours=9)
    assert viewer.says == (
        "Near? 3 vectors of 2 numbers; two axes hold 100.0% of the variance. Nearest to a: ␣ 1.00, "
        "<b> 0.00."
    )
    assert embeddings([[1.0]], ["a"]).says.endswith("Nearest to a: nothing.")


def test_vectors_and_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(n, D\) with n from 1 to 20,000, got \(3,\)"):
        embeddings([1, 2, 3], "abc")
    with pytest.raises(ValueError, match=r"got \(20001, 1\)"):
        embeddings(np.ones((20_001, 1)), "a" * 20_001)
    with pytest.raises(ValueError, match=r"got \(0, 4\)"):
        embeddings(np.ones((0, 4)), [])
    with pytest.raises(ValueError, match="each of 2 vectors and at least 1 neighbour, got 3"):
        embeddings(np.ones((2, 4)), "abc")
    with pytest.raises(ValueError, match="got 2 labels and 0"):
        embeddings(np.ones((2, 4)), "ab", neighbours=0)
    with pytest.raises(ValueError, match="got others in vector 1, 'b'"):
        embeddings([[1, 2], [3, np.nan]], "ab")
