"""Tasks as text: which tokens count, and what comes back."""

import math
from itertools import chain
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from labkit.gpt import GPT, GPTConfig
from labkit.tasks import (
    IGNORED,
    Pieces,
    Writer,
    answer_words,
    asked,
    chat,
    encode_pieces,
    encode_tasks,
    loss_on_answers,
    word_f1,
    write_answers,
)
from labkit.tokenizers import ByteTokenizer

TOKENIZER = ByteTokenizer()
END = TOKENIZER.end


def text(string: str) -> list[int]:
    return list(string.encode())


def test_a_prompt_is_read_and_an_answer_is_written_to_its_end() -> None:
    ids, targets = encode_pieces(TOKENIZER, asked("ab", "cd"))
    assert ids == [END, *text("abcd")]
    assert targets == [IGNORED, IGNORED, *text("cd"), END]


def test_of_a_dialogue_the_model_writes_what_the_assistant_says() -> None:
    said = [("system", "Be brief."), ("user", "1+1?"), ("assistant", "2"), ("user", "2+2?")]
    messages = [{"role": role, "content": content} for role, content in said]
    assert "".join(part for part, _ in chat(messages)) == (
        "Be brief.\n\nUser: 1+1?\nAssistant: 2\nUser: 2+2?\nAssistant:"
    )
    ids, targets = encode_pieces(TOKENIZER, chat(messages))
    written = [token for token in targets if token != IGNORED]
    assert written == [*text(" 2"), END]
    assert ids[targets.index(END) + 1] == END  # the next turn is read after it


def test_another_role_is_refused() -> None:
    with pytest.raises(ValueError, match="'tool'"):
        chat([{"role": "tool", "content": "x"}])


pieces_of = st.lists(st.tuples(st.text(max_size=9), st.booleans()), min_size=1, max_size=5)


@given(pieces_of)
def test_a_target_is_the_next_id_and_all_that_is_wanted_is_there(pieces: Pieces) -> None:
    ids, targets = encode_pieces(TOKENIZER, pieces)
    assert len(ids) == len(targets)
    following = zip(ids[1:], targets[:-1], strict=True)
    assert all(target in (IGNORED, after) for after, target in following)
    wanted = [[*part.encode(), END] for part, is_wanted in pieces if is_wanted]
    assert [token for token in targets if token != IGNORED] == [*chain(*wanted)]


@given(pieces_of, st.text(max_size=9), st.text(max_size=9))
def test_what_follows_does_not_change_what_was_read(pieces: Pieces, a: str, b: str) -> None:
    shorter, longer = (encode_pieces(TOKENIZER, [*pieces, (x, True)])[0] for x in ("", a + b))
    assert longer[: len(shorter)] == shorter


def test_tasks_of_other_lengths_are_filled_up_and_long_ones_refused() -> None:
    tasks = [asked("a", "b"), asked("abc", "")]
    ids, targets = encode_tasks(TOKENIZER, tasks, 5)
    assert ids == [[END, *text("ab")], [END, *text("abc")]]
    assert targets.tolist() == [
        [IGNORED, *text("b"), END, IGNORED],
        [IGNORED, IGNORED, IGNORED, END],
    ]
    with pytest.raises(ValueError, match="at most 3 tokens, got one of 4"):
        encode_tasks(TOKENIZER, tasks, 3)


def test_the_loss_is_the_mean_over_what_is_written_whatever_stands_elsewhere() -> None:
    logits = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[IGNORED, 1, 2, IGNORED], [IGNORED, IGNORED, 3, IGNORED]])
    by_hand = [-logits[b, t].log_softmax(0)[v] for b, t, v in ((0, 1, 1), (0, 2, 2), (1, 2, 3))]
    assert torch.allclose(loss_on_answers(logits, targets), torch.stack(by_hand).mean())
    logits[:, 0] = math.inf
    assert loss_on_answers(logits, targets).isfinite()


FOLLOWS = {ord("?"): ord("B"), ord("B"): ord("e"), ord("e"): ord("n")}


class Spells:
    """A model that writes "Ben" after a question mark, and ends after anything else."""

    context_length = None
    vocab_size = TOKENIZER.vocab_size
    properties: frozenset[str] = frozenset()

    def new_cache(self) -> Tensor:
        return torch.zeros(0)

    def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
        chosen = torch.tensor([[FOLLOWS.get(i, END) for i in row] for row in ids.tolist()])
        return torch.nn.functional.one_hot(chosen, self.vocab_size).float()


def test_answers_come_in_the_order_of_their_prompts_without_their_end() -> None:
    prompts = [[("who?", False)], [("no!", False)], [("what is it?", False)], [("x?", False)]]
    generator = torch.Generator().manual_seed(0)
    written = write_answers(Spells(), TOKENIZER, prompts, 9, generator=generator)
    assert written == ["Ben", "", "Ben", "Ben"]
    assert write_answers(Spells(), TOKENIZER, prompts, 2, generator=generator)[0] == "Be"


def test_what_is_filled_up_after_a_text_changes_nothing_in_it() -> None:
    config = GPTConfig(
        vocab_size=TOKENIZER.vocab_size, context_length=8, n_layers=1, n_heads=1, d_model=8
    )
    model = Writer(GPT(config, generator=torch.Generator().manual_seed(0)).eval())
    short = torch.tensor([text("abc")])
    longer = torch.tensor([text("abczz")])
    lengths = torch.tensor([3])
    assert torch.allclose(model(short, lengths), model(longer, lengths)[:, :3], atol=1e-6)


# ── How an answer is compared ────────────────────────────────────────────────────────────────────

SAID = st.lists(st.sampled_from(["the", "In", "barn", "an", "Barn!", "park,"]), max_size=6)


@pytest.mark.parametrize(
    ("written", "truth", "f1"),
    [
        ("In the barn.", "In the barn.", 1),
        ("the BARN", "Barn!", 1),
        ("In the park.", "In the barn.", 1 / 2),  # a wrong place shares its preposition
        ("barn", "In the barn.", 2 / 3),  # precision 1, recall 1/2
        ("Ben Ben Ben", "Ben and Ben", 2 * 2 / 6),  # a word counts as often as both have it
        ("", "Ben.", 0),
        ("", "the", 1),
    ],
)
def test_overlaps_by_hand(written: str, truth: str, f1: float) -> None:
    assert word_f1(written, truth) == pytest.approx(f1)


@given(SAID, SAID)
def test_overlap_is_fair(mine: list[str], theirs: list[str]) -> None:
    a, b = " ".join(mine), " ".join(theirs)
    assert word_f1(a, b) == word_f1(b, a) == word_f1(" ".join(mine[::-1]), b)
    assert 0 <= word_f1(a, b) <= 1
    assert (word_f1(a, b) == 1) == (sorted(answer_words(a)) == sorted(answer_words(b)))
