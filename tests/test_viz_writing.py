"""The viewers of writing: what travels to the page, and the numbers that Python reckons itself."""

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from labkit.gpt import GPT, GPTConfig
from labkit.ngram import NGram, add_k, count_ngrams
from labkit.tokenizers import ByteTokenizer, CharTokenizer, Tokenizer, encode_documents
from labkit.viz import ComparisonViewer, compare, sampling
from viewers import viewer

HOSTILE = ["<b>bold", "</script>", "שלום", "👨‍👩‍👧", "�", "\n"]
DOCUMENTS = ["abab", "abb", "ba"]
LETTERS = CharTokenizer("ab")
MOST_BYTES = 12_288


class Odd(Tokenizer):
    """Tokens that a page may take for markup, or cannot draw."""

    kind = "odd"
    vocab_size = len(HOSTILE) + 1
    end = len(HOSTILE)

    def encode(self, text: str) -> list[int]:
        return [HOSTILE.index(piece) for piece in text.split("|") if piece]

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(HOSTILE[i] for i in ids if i != self.end)


def bigram() -> NGram:
    ids = encode_documents(LETTERS, DOCUMENTS)
    return add_k(count_ngrams(ids, 2, LETTERS.vocab_size), 2, k=1.0)


def gpt(vocab_size: int, context_length: int = 8) -> GPT:
    config = GPTConfig(
        vocab_size=vocab_size, context_length=context_length, n_layers=1, n_heads=2, d_model=8
    )
    return GPT(config, generator=torch.Generator().manual_seed(1)).eval()


def unpacked(packed: bytes) -> Any:
    return np.frombuffer(packed, dtype="<f4")


def test_the_whole_distribution_travels_to_the_bit() -> None:
    model = gpt(LETTERS.vocab_size)
    shown = sampling(model, LETTERS, "ab")
    with torch.no_grad():
        expected = model(torch.tensor([[2, 0, 1]]))[0, -1].numpy()
    assert unpacked(shown.logits) == pytest.approx(expected, abs=1e-6)
    assert len(shown.logits) == 4 * LETTERS.vocab_size
    assert shown.ids == shown.meta["start"] == [2, 0, 1]
    assert shown.meta["labels"] == ["a", "b", "<end>"]


def test_it_says_the_likeliest_tokens() -> None:
    # After b the documents go on with a twice, b once and the end twice; each count has 1 added.
    assert sampling(bigram(), LETTERS, "ab").says.endswith(
        "After “ab”: a 37.5 %, <end> 37.5 %, b 25.0 %."
    )


@pytest.mark.parametrize("model", [bigram(), gpt(3), gpt(3, context_length=3)])
def test_each_text_is_answered_as_if_it_were_read_alone(model: Any) -> None:
    shown = sampling(model, LETTERS, "ab")
    for ids in ([2, 0, 1, 0], [2, 0, 1, 0, 0], [2, 0, 1, 1], [2, 0, 1, 0]):
        answer = shown.answer({"ask": ids})
        assert answer is not None
        message, (packed,) = answer
        assert message == {"ids": ids, "text": LETTERS.decode(ids)}
        assert np.isfinite(unpacked(packed)).all()
        if model.context_length != 3:  # at its end, what is forgotten depends on the way there
            alone = sampling(model, LETTERS, LETTERS.decode(ids)).logits
            assert unpacked(packed) == pytest.approx(unpacked(alone), abs=1e-5)


def test_a_step_reads_one_token() -> None:
    read: list[int] = []

    class Noting:
        vocab_size, context_length = 3, None

        def new_cache(self) -> list[int]:
            return []

        def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
            read.append(ids.shape[1])
            return torch.zeros(*ids.shape, 3)

    shown = sampling(Noting(), LETTERS, "abab")
    for ids in ([2, 0, 1, 0, 1, 1], [2, 0, 1, 0, 1, 1, 0], [2, 0, 1, 0, 1, 0]):
        shown.answer({"ask": ids})
    assert read == [5, 1, 1, 6]  # the last is another branch, so it is read from its beginning


def test_a_tokenizer_of_another_model_is_refused() -> None:
    with pytest.raises(ValueError, match="the model's tokenizer, of 3 tokens, got 257"):
        sampling(bigram(), ByteTokenizer(), "ab")


@pytest.mark.parametrize("prompt", ["", "<b>bold|</script>|👨‍👩‍👧|\n"])
def test_no_token_is_markup_in_the_file(prompt: str, tmp_path: Path) -> None:
    model = gpt(Odd.vocab_size)
    for shown in (sampling(model, Odd(), prompt), compare({"<i>": (model, Odd())}, prompt, 9)):
        page = shown.to_html(tmp_path / "viewer.html").read_text(encoding="utf-8")
        assert page.count("</script>") == 2
        assert "<b>" not in page
        assert "<i>" not in page
        plain = page.replace("http://www.w3.org/2000/svg", "")  # a name that nothing fetches
        assert not re.search(r"https?://|//cdn|import\(", plain)


@pytest.mark.parametrize("name", ["filters.js", "sampling.js", "compare.js"])
def test_scripts_stay_small(name: str) -> None:
    text = (Path(viewer.__file__).parent / name).read_text(encoding="utf-8")
    assert len(text.encode()) <= MOST_BYTES
    assert max(map(len, text.splitlines())) <= 100


def comparison(**changes: Any) -> ComparisonViewer:
    models = {"bigram": (bigram(), LETTERS), "bytes": (gpt(257), ByteTokenizer())}
    return compare(**{"models": models, "prompt": "ab", "n_tokens": 12, **changes})


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
def test_each_token_has_the_surprise_of_the_model_itself(temperature: float) -> None:
    text, _ = comparison(temperature=temperature).texts
    ids = [2, 0, 1, *(["a", "b", "<end>"].index(token) for token in text["tokens"])]
    probs = bigram().probabilities(np.array([ids]))[0]
    expected = [-math.log2(probs[i - 1, ids[i]]) for i in range(3, len(ids))]
    assert text["surprise"] == pytest.approx(expected, abs=1e-5)
    assert text["chars"] == len(text["tokens"])  # letters, and an end, which counts as one
    assert text["bits"] == pytest.approx(sum(expected) / len(expected), abs=1e-5)


def test_the_end_ends_a_text_and_a_byte_that_is_no_character_is_shown() -> None:
    written = [comparison(seed=seed).texts for seed in range(6)]
    ended = [text["tokens"] for text, _ in written if "<end>" in text["tokens"]]
    assert ended
    assert all(tokens.index("<end>") == len(tokens) - 1 for tokens in ended)
    assert any("⟨" in token for _, text in written for token in text["tokens"])
    assert all(len(text["tokens"]) <= 12 for texts in written for text in texts)


def test_writing_again_takes_the_next_seed() -> None:
    shown = comparison(seed=3)
    first = shown.texts
    shown.answer({"ask": "again"})
    assert shown.seed == 4
    assert shown.texts != first
    assert shown.texts == comparison(seed=4).texts
    told = ", ".join(f"{text['name']} {text['bits']:.2f}" for text in shown.texts)
    assert shown.says.endswith(f"Mean surprise in bits per character: {told}.")


def test_spaces_stay_and_line_ends_are_seen() -> None:
    tokenizer = CharTokenizer("\n ")
    model = add_k(count_ngrams(encode_documents(tokenizer, ["\n  \n\n " * 9]), 1, 3), 1, k=0.0)
    text = compare({"m": (model, tokenizer)}, "", 12).texts[0]
    assert set(text["tokens"]) == {"⏎\n", " "}


@pytest.mark.parametrize("changes", [{"models": {}}, {"n_tokens": 0}])
def test_nothing_to_write_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a model or more, and at least 1 token to write, got"):
        comparison(**changes)
