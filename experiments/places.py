"""Where the bits go: a model beside the truth, token by token and word by word, in English."""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache

import torch

from labkit.metrics import token_log_probs
from labkit.model import LanguageModel
from labkit.tokenizers import Tokenizer
from tinyworld import Story, TinyWorld
from tinyworld.judge import grammar

KINDS = ("first", "again", "inside", "other")
"""Names, places, things and adjectives at their first mention and when mentioned again; tokens
inside a word; all other words and signs."""
WORD = re.compile(r"[A-Za-z]+")


@cache
def true_next(prefix: str) -> Mapping[str, float]:
    """Return the true distribution of the next character."""
    return TinyWorld.full("en").next_distribution(prefix)


@lru_cache
def true_bits(text: str) -> tuple[float, ...]:
    """Return the true surprise of each character of a story and of its end, in bits."""
    after = [*text, ""]
    return tuple(-math.log2(true_next(text[:i])[char]) for i, char in enumerate(after))


def spans(tokenizer: Tokenizer, text: str) -> list[tuple[int, int]]:
    """Return where each token of a text begins and ends, in characters."""
    ids = tokenizer.encode(text)
    ends = [len(tokenizer.decode(ids[: i + 1])) for i in range(len(ids))]
    return list(zip([0, *ends[:-1]], ends, strict=True))


def kinds(story: Story, pieces: Sequence[tuple[int, int]]) -> list[str]:
    """Say of which kind each piece of a story is; the end of the story comes last."""
    names = {word for name in story.roles.values() for word in _words(name)}
    text, mentioned, kind_at = story.text, set[str](), ["other"] * len(story.text)
    for match in WORD.finditer(text):
        word = match[0].lower()
        if word in names:
            kind = "again" if word in mentioned else "first"
            kind_at[match.start() : match.end()] = [kind] * len(match[0])
            mentioned.add(word)
    found = []
    for begin, end in pieces:
        within = begin > 0 and text[begin - 1 : begin + 1].isalpha() and end > begin
        letters = [i for i in range(begin, end) if text[i].isalpha()]
        found.append("inside" if within else kind_at[letters[0]] if letters else "other")
    return [*found, "other"]


@cache
def _words(name: str) -> frozenset[str]:
    """Return the English words for somebody or something."""
    language = grammar("en").language
    words = WORD.findall(f"{name} {language.noun(name)}") if name else []
    return frozenset(word.lower() for word in words)


def wasted_by_kind(
    model: LanguageModel, tokenizer: Tokenizer, stories: Sequence[Story]
) -> dict[str, object]:
    """Return bits a story above the truth, by kind of token; their sum is the whole excess."""
    wasted: defaultdict[str, float] = defaultdict(float)
    for story in stories:
        ids = [tokenizer.end, *tokenizer.encode(story.text), tokenizer.end]
        bits = -token_log_probs(model, torch.tensor([ids])) / math.log(2)
        pieces, truth = spans(tokenizer, story.text), true_bits(story.text)
        true = [*(sum(truth[begin:end]) for begin, end in pieces), truth[-1]]
        for kind, mine, theirs in zip(kinds(story, pieces), bits.tolist(), true, strict=True):
            wasted[kind] += (mine - theirs) / len(stories)
    return {f"wasted_{kind}": round(wasted[kind], 3) for kind in KINDS}


def true_words(prefix: str) -> dict[str, float]:
    """Return the true distribution of the next word, most likely first.

    The prefix ends with a word or a sign; a next word begins with a space.
    """
    found: dict[str, float] = {}
    waiting = [(" ", true_next(prefix).get(" ", 0.0))]
    while waiting:
        word, prob = waiting.pop()
        ahead = true_next(prefix + word)
        ends = sum(p for char, p in ahead.items() if not char.isalpha()) if word != " " else 0.0
        if ends:
            found[word[1:]] = prob * ends
        waiting += [(word + char, prob * p) for char, p in ahead.items() if char.isalpha()]
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def word_probs(
    model: LanguageModel, tokenizer: Tokenizer, prefix: str, words: Sequence[str]
) -> list[float]:
    """Return what a model gives each word, as the whole next word, after a prefix."""
    goes_on = _begin_with_a_letter(tokenizer)
    return [_word_prob(model, tokenizer, prefix, word, goes_on) for word in words]


@torch.no_grad()
def _word_prob(
    model: LanguageModel, tokenizer: Tokenizer, prefix: str, word: str, goes_on: torch.Tensor
) -> float:
    """Multiply along the tokens of a word, and by the probability that none of `goes_on` follows.

    `goes_on`, (V,), tells which tokens would make the word longer.
    """
    before, ids = tokenizer.encode(prefix), tokenizer.encode(f"{prefix} {word}")
    whole = torch.tensor([[tokenizer.end, *ids]])
    if model.context_length is not None:
        whole = whole[:, -model.context_length :]
    logs = model(whole)[0].float().log_softmax(dim=-1)
    n = len(ids) - len(before)
    spelled = sum(float(logs[-1 - n + i, ids[len(before) + i]]) for i in range(n))
    return math.exp(spelled) * max(0.0, 1 - float(logs[-1].exp()[goes_on].sum()))


def _begin_with_a_letter(tokenizer: Tokenizer) -> torch.Tensor:
    """Tell which tokens begin with a letter: (V,)."""
    labels = [tokenizer.label(i) for i in range(tokenizer.vocab_size)]
    return torch.tensor([label[:1].isalpha() for label in labels])


def sure_and_wrong(
    model: LanguageModel, tokenizer: Tokenizer, stories: Sequence[Story], least: float = 0.5
) -> Iterator[tuple[str, str, str, float]]:
    """Yield (prefix, true word, model's word, its probability) where that word is impossible.

    The model gave it at least `least`, and the true probability is zero.
    """
    for story in stories:
        ids = [tokenizer.end, *tokenizer.encode(story.text)]
        with torch.no_grad():
            probs = model(torch.tensor([ids]))[0].float().softmax(dim=-1)
        for i, (begin, end) in enumerate(spans(tokenizer, story.text)):
            top = int(probs[i].argmax())
            said = tokenizer.decode([top])
            if float(probs[i, top]) < least or top == ids[i + 1] or not said[1:].isalpha():
                continue
            prefix = story.text[:begin]
            if not _possible(prefix, said):
                yield prefix, story.text[begin:end], said, float(probs[i, top])


def _possible(prefix: str, piece: str) -> bool:
    """Tell whether a piece of text can follow."""
    return all(char in true_next(prefix + piece[:i]) for i, char in enumerate(piece))
