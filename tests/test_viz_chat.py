"""The chat box: pieces come when they are asked for, can be stopped, and what was said is kept."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from labkit.generation import generate
from labkit.ngram import add_k, count_ngrams
from labkit.tokenizers import CharTokenizer, encode_documents
from labkit.viz import ChatViewer, chat_box, writer
from viewers import viewer
from viewers.chat import PIECE, Messages

LETTERS = CharTokenizer("ab")
ASKED = {"ask": "say", "text": "Hello?", "temperature": 0.5, "system": "", "remembers": True}
HELLO = {"role": "user", "content": "Hello?"}
MOST_BYTES = 8_192


class Echo:
    """Repeats, word by word, what was said last, and notes all that it was given."""

    def __init__(self) -> None:
        self.given: list[tuple[Messages, float]] = []
        self.written = 0

    def __call__(self, messages: Messages, temperature: float) -> Iterator[str]:
        self.given.append((messages, temperature))
        text = ""
        for word in ("one", "two", "three"):
            text = f"{text} {word}".strip()
            self.written += 1
            yield text


def said(box: ChatViewer, asked: dict[str, Any]) -> Any:
    found = box.answer(asked)
    return found and found[0]


def test_an_answer_comes_piece_by_piece_and_is_kept() -> None:
    echo = Echo()
    box = chat_box(echo)
    assert said(box, ASKED) == {"text": "", "done": False}
    assert echo.written == 0, "nothing is written before it is asked for"
    pieces = [said(box, {"ask": "more"}) for _ in range(4)]
    assert [piece["text"] for piece in pieces] == ["one", "one two"] + 2 * ["one two three"]
    assert [piece["done"] for piece in pieces] == [False, False, False, True]
    assert said(box, {"ask": "keep"}) is None
    assert box.messages == [HELLO, {"role": "assistant", "content": "one two three"}]
    assert echo.given == [([HELLO], 0.5)]


def test_what_is_stopped_is_written_no_further_and_kept_as_far_as_it_came() -> None:
    echo = Echo()
    box = chat_box(echo)
    for asked in (ASKED, {"ask": "more"}, {"ask": "keep"}):
        said(box, asked)
    assert box.messages[-1] == {"role": "assistant", "content": "one"}
    assert said(box, {"ask": "more"})["done"]
    assert echo.written == 1


def test_history_and_system_prompt_are_given_and_only_if_wanted() -> None:
    echo = Echo()
    box = chat_box(echo, messages=[{"role": "user", "content": "Before."}])
    said(box, ASKED | {"system": "Be brief."})
    next(box.writing)
    said(box, ASKED | {"remembers": False, "temperature": 0})
    next(box.writing)
    said(box, {"ask": "forget"})
    system = {"role": "system", "content": "Be brief."}
    before = {"role": "user", "content": "Before."}
    assert echo.given == [([system, before, HELLO], 0.5), ([HELLO], 0)]
    assert box.messages == []
    assert box.settings == {"temperature": 0, "system": "", "remembers": False}


def test_a_language_model_answers_as_generate_does() -> None:
    ids = encode_documents(LETTERS, ["abab", "abb", "ba"])
    model = add_k(count_ngrams(ids, 2, LETTERS.vocab_size), 2, k=1.0)
    n_tokens = 2 * PIECE + 1
    for seed in range(5):
        write = writer(
            model,
            LETTERS,
            lambda messages: [LETTERS.end, *LETTERS.encode(messages[-1]["content"])],
            n_tokens=n_tokens,
            seed=seed,
        )
        pieces = list(write([{"role": "user", "content": "ab"}], 0.8))
        whole = generate(
            model,
            torch.tensor([[LETTERS.end, *LETTERS.encode("ab")]]),
            n_tokens,
            generator=torch.Generator().manual_seed(seed),
            temperature=0.8,
            stop=LETTERS.end,
        )
        answer = [token for token in whole[0, 3:].tolist() if token != LETTERS.end]
        assert pieces[-1] == LETTERS.decode(answer)
        assert all(pieces[-1].startswith(piece) for piece in pieces)
        assert len(pieces) == len(answer) // PIECE + 1


def test_a_stored_conversation_is_words_and_hostile_ones_stay_text() -> None:
    told = [HELLO, {"role": "assistant", "content": "</script><b>Hi</b>"}]
    box = chat_box(Echo(), messages=told, title="A talk")
    assert box.says == "A talk. You: “Hello?” Model: “</script><b>Hi</b>”"
    assert chat_box(Echo()).says == "Talk to the model. Nothing was said yet."
    assert "</script><b>" not in box.html()


@pytest.mark.parametrize("name", ["chat.js"])
def test_the_script_is_small_and_reads_no_markup(name: str) -> None:
    text = (Path(viewer.__file__).parent / name).read_text(encoding="utf-8")
    assert len(text.encode()) <= MOST_BYTES
    assert "innerHTML" not in text
    assert "http" not in text
