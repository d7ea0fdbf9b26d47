"""A model beside the truth: wasted bits are shared out exactly, and no place is misjudged."""

import math
from collections import defaultdict
from functools import lru_cache

import numpy as np
import pytest
import torch
from torch import Tensor

from experiments.learning import shuffled, spelled
from experiments.places import (
    KINDS,
    kinds,
    spans,
    sure_and_wrong,
    true_bits,
    true_words,
    wasted_by_kind,
    word_probs,
)
from labkit.metrics import evaluate
from labkit.ngram import NGram, count_ngrams, kneser_ney
from labkit.tokenizers import BPETokenizer, encode_documents
from tinyworld import Story, TinyWorld

PREFIX = "One cold morning, Leo was in the"


@lru_cache
def stories(n: int, split: str = "train") -> list[Story]:
    return list(TinyWorld.full("en").stories(n, seed=0, split=split))


@lru_cache
def bpe() -> BPETokenizer:
    return BPETokenizer.train([story.text for story in stories(300)], 600)


@lru_cache
def trigram() -> NGram:
    ids = encode_documents(bpe(), [story.text for story in stories(300)])
    return kneser_ney(count_ngrams(ids, 3, bpe().vocab_size), 3)


class Says:
    """A model that is certain of one token, whatever came before."""

    context_length = None
    properties: frozenset[str] = frozenset()

    def __init__(self, label: str) -> None:
        (self.token,) = bpe().encode(label)
        self.vocab_size = bpe().vocab_size

    def __call__(self, ids: Tensor, cache: object = None) -> Tensor:
        logits = torch.full((*ids.shape, self.vocab_size), -30.0)
        logits[..., self.token] = 0.0
        return logits

    def new_cache(self) -> None:
        return None


def test_the_true_bits_of_a_story_add_up_to_its_probability() -> None:
    for story in stories(3, "test"):
        assert sum(true_bits(story.text)) == pytest.approx(-story.log2_prob)


def test_the_wasted_bits_of_all_kinds_are_the_whole_excess() -> None:
    test = stories(4, "test")
    wasted = wasted_by_kind(trigram(), bpe(), test)
    assert wasted.keys() == {f"wasted_{kind}" for kind in KINDS}
    score = evaluate(trigram(), bpe(), [story.text for story in test])
    whole = (sum(score.bits) + sum(story.log2_prob for story in test)) / len(test)
    assert sum(float(str(bits)) for bits in wasted.values()) == pytest.approx(whole, abs=0.01)


def test_tokens_cover_a_story_and_each_has_its_kind() -> None:
    story = stories(1, "test")[0]
    pieces = spans(bpe(), story.text)
    assert "".join(story.text[begin:end] for begin, end in pieces) == story.text
    of = dict(zip(pieces, kinds(story, pieces), strict=False))
    named = [(at, kind) for at, kind in of.items() if story.text[at[0] : at[1]] == " Leo"]
    assert [kind for _, kind in sorted(named)][:3] == ["first", "again", "again"]
    assert all(kind == "other" for (b, e), kind in of.items() if story.text[b:e] in (".", " was"))


def test_the_next_words_are_those_of_the_world_and_whole() -> None:
    words = true_words(PREFIX)
    assert sum(words.values()) == pytest.approx(1)
    assert {"kitchen", "forest"} < words.keys()
    assert "for" not in words
    letters: defaultdict[str, float] = defaultdict(float)
    for word, prob in words.items():
        letters[word[0]] += prob
    assert letters == pytest.approx(TinyWorld.full("en").next_distribution(f"{PREFIX} "))


def test_a_models_words_are_scored_as_whole_words() -> None:
    words = [*true_words(PREFIX)]
    probs = word_probs(trigram(), bpe(), PREFIX, words)
    assert all(0 < prob < 1 for prob in probs)
    assert 0.5 < sum(probs) <= 1
    ids = bpe().encode(f"{PREFIX} {words[0]}")
    logs = trigram()(torch.tensor([[bpe().end, *ids]]))[0].log_softmax(-1)
    n = len(ids) - len(bpe().encode(PREFIX))
    spelled_out = math.exp(sum(float(logs[-1 - n + i, ids[i - n]]) for i in range(n)))
    assert probs[0] <= spelled_out


def test_a_certain_word_is_wrong_just_where_it_is_impossible() -> None:
    story = stories(1, "test")[0]
    found = [*sure_and_wrong(Says(" Leo"), bpe(), [story])]
    world = TinyWorld.full("en")
    for prefix, true, said, prob in found:
        assert story.text.startswith(prefix + true)
        assert said == " Leo"
        assert prob > 0.9
        steps = [(prefix + said[:i], char) for i, char in enumerate(said)]
        possible = [True]
        for before, char in steps:
            possible.append(possible[-1] and char in world.next_distribution(before))
        assert not possible[-1]
    named = [begin for begin, end in spans(bpe(), story.text) if story.text[begin:end] == " Leo"]
    assert not {len(prefix) for prefix, *_ in found} & set(named)
    assert len(found) > 50


def test_a_model_that_is_not_sure_is_never_surely_wrong() -> None:
    assert not [*sure_and_wrong(trigram(), bpe(), stories(1, "test"), least=1.01)]


def test_shuffling_keeps_every_sentence_and_changes_the_order() -> None:
    story = stories(1)[0]
    mixed = shuffled(story, np.random.default_rng(0))
    assert mixed != story.text
    verdict = TinyWorld.full("en").judge(mixed)
    assert verdict.sentences == len(story.sentences)
    assert sorted(mixed) == sorted(story.text)


def test_words_are_spelled_as_in_training() -> None:
    assert spelled(["a kite fell.", "a kiet"], frozenset(["a", "kite", "fell."])) == 0.8
    assert spelled([], frozenset()) == 0.0
