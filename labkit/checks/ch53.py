"""Exercises of chapter 53: what BLEU and ROUGE count, and which tokens are learned."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from labkit.checks import Exercise

Words = list[str]
Texts = list[Words]
Segments = list[tuple[list[int], bool]]
ORDERS = (1, 2, 3, 4)
IGNORED = -100


def _draw_words(rng: np.random.Generator, n: int) -> Words:
    return [("the", "kite", "was", "red", "and", "Mia")[i] for i in rng.integers(6, size=n)]


def _spoil(rng: np.random.Generator, words: Words) -> Words:
    """Leave out, change or add a word here and there."""
    kept: Words = []
    for word in words:
        kept += {0: [], 1: _draw_words(rng, 1), 2: [word, word]}.get(int(rng.integers(12)), [word])
    return kept


def _matching(rng: np.random.Generator) -> Iterator[tuple[Words, Words, int]]:
    mat = ["the", "cat", "is", "on", "the", "mat"]
    yield ["the"] * 7, mat, 1
    yield ["the", "cat", "the", "cat", "is", "on"], mat, 2
    yield mat, ["the", "cat"], 1
    yield mat[:2], mat, 3
    yield [], mat, 1
    for n in ORDERS:
        words = _draw_words(rng, int(rng.integers(6, 15)))
        yield _spoil(rng, words), words, n


def _ngrams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def _clipped(candidate: Words, reference: Words, n: int) -> tuple[int, int]:
    mine, theirs = _ngrams(candidate, n), _ngrams(reference, n)
    return (mine & theirs).total(), mine.total()


def _unclipped(candidate: Words, reference: Words, n: int) -> tuple[int, int]:
    mine, theirs = _ngrams(candidate, n), _ngrams(reference, n)
    return sum(count for run, count in mine.items() if run in theirs), mine.total()


def _kinds(candidate: Words, reference: Words, n: int) -> tuple[int, int]:
    """Count each run once, however often it stands there."""
    mine, theirs = _ngrams(candidate, n), _ngrams(reference, n)
    return len(mine.keys() & theirs.keys()), len(mine)


clipped_matches = Exercise(
    name="my_clipped_matches",
    points=3,
    reference=_clipped,
    cases=_matching,
    expected="two whole numbers: the runs of n words of the candidate that the reference also "
    "has, none counted more often than there, and all runs of n words of the candidate",
    wrong=(
        _unclipped,
        _kinds,
        lambda a, b, n: (_clipped(a, b, n)[0], _clipped(b, a, n)[1]),
        lambda a, b, n: (_clipped(a, b, n)[0], len(a)),
        lambda a, b, n: _clipped(a, b, 1),
    ),
)


def _lengths(rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    yield from ((9, 12), (12, 9), (10, 10), (0, 5), (1, 40))
    for _ in range(6):
        yield int(rng.integers(1, 60)), int(rng.integers(1, 60))


def _brevity(candidate: int, reference: int) -> float:
    if candidate >= reference:
        return 1.0
    return math.exp(1 - reference / candidate) if candidate else 0.0


brevity_penalty = Exercise(
    name="my_brevity_penalty",
    points=2,
    reference=_brevity,
    cases=_lengths,
    tolerance=1e-5,
    expected="a number from 0 to 1: 1 where the candidate is not the shorter one, 0 where it has "
    "no words, and e to the power of 1 − reference / candidate between",
    wrong=(
        lambda c, r: min(1.0, c / r),
        lambda c, r: math.exp(1 - c / r),
        lambda c, r: math.exp(1 - r / c) if c else 0.0,
        lambda c, r: 1.0 if c > r else math.exp(1 - r / c),
        lambda c, r: _brevity(r, c),
    ),
)


def _corpora(rng: np.random.Generator) -> Iterator[tuple[Texts, Texts]]:
    mat = ["the", "cat", "is", "on", "the", "mat"]
    yield [mat], [mat]
    yield [mat[:5]], [mat]
    yield [["the"] * 7], [mat]
    yield [mat[:2], mat], [mat[:2], mat]
    for n in (1, 2, 3, 5, 8):
        right = [_draw_words(rng, int(rng.integers(5, 14))) for _ in range(n)]
        said = [_spoil(rng, words) for words in right]
        yield said, right
        yield [words[: len(words) - 2 * (i % 2)] for i, words in enumerate(right)], right


Counted = Callable[[Words, Words, int], tuple[int, int]]


def _score(said: Texts, right: Texts, counted: Counted, penalty: float) -> float:
    """Join the precisions of all texts together."""
    logs = []
    for n in ORDERS:
        found = [counted(a, b, n) for a, b in zip(said, right, strict=True)]
        matches, total = (sum(each[i] for each in found) for i in (0, 1))
        if not matches:
            return 0.0
        logs.append(math.log(matches / total))
    return 100 * penalty * math.exp(sum(logs) / len(logs))


def _n_words(texts: Texts) -> int:
    return sum(map(len, texts))


def _bleu(candidates: Texts, references: Texts) -> float:
    penalty = _brevity(_n_words(candidates), _n_words(references))
    return _score(candidates, references, _clipped, penalty)


def _mean_of_sentences(candidates: Texts, references: Texts) -> float:
    scores = [_bleu([a], [b]) for a, b in zip(candidates, references, strict=True)]
    return float(np.mean(scores))


def _each_penalised(candidates: Texts, references: Texts) -> float:
    """Punish each short text by itself."""
    pairs = zip(candidates, references, strict=True)
    penalty = float(np.mean([_brevity(len(a), len(b)) for a, b in pairs]))
    return _score(candidates, references, _clipped, penalty)


def _mean_precision(candidates: Texts, references: Texts) -> float:
    shares = []
    for n in ORDERS:
        found = [_clipped(a, b, n) for a, b in zip(candidates, references, strict=True)]
        shares.append(sum(m for m, _ in found) / max(sum(t for _, t in found), 1))
    return 100 * _brevity(_n_words(candidates), _n_words(references)) * float(np.mean(shares))


bleu = Exercise(
    name="my_bleu",
    points=5,
    reference=_bleu,
    cases=_corpora,
    tolerance=1e-3,
    expected="one number from 0 to 100 for all texts together; 0 where no run of some length is "
    "in its reference",
    wrong=(
        _mean_of_sentences,
        _each_penalised,
        _mean_precision,
        lambda a, b: _score(a, b, _clipped, 1.0),
        lambda a, b: _score(a, b, _unclipped, _brevity(_n_words(a), _n_words(b))),
        lambda a, b: _bleu(a, b) / 100,
    ),
)


def _two_texts(rng: np.random.Generator) -> Iterator[tuple[Words, Words]]:
    yield ["Mia", "lost", "a", "red", "kite"], ["Mia", "found", "a", "kite"]
    yield ["kite", "red", "a", "lost", "Mia"], ["Mia", "lost", "a", "red", "kite"]
    yield [], ["Mia", "lost", "a", "kite"]
    yield ["Mia"], ["Ben"]
    for n in (3, 6, 10, 15):
        words = _draw_words(rng, n)
        yield _spoil(rng, words), words
        yield words + _draw_words(rng, 4), words[::-1]


def _common(a: Words, b: Words) -> int:
    """Return the length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for word in a:
        before = row
        row = [0]
        for j, other in enumerate(b):
            row.append(before[j] + 1 if word == other else max(row[j], before[j + 1]))
    return row[-1]


def _side_by_side(a: Words, b: Words) -> int:
    """Return the length of the longest run that both have."""
    runs = (n for n in range(len(a), 0, -1) if _ngrams(a, n).keys() & _ngrams(b, n).keys())
    return next(runs, 0)


def _f1(common: int, a: Words, b: Words) -> float:
    return 2 * common / (len(a) + len(b)) if a or b else 0.0


def _rouge_l(candidate: Words, reference: Words) -> float:
    return _f1(_common(candidate, reference), candidate, reference)


rouge_l = Exercise(
    name="my_rouge_l",
    points=4,
    reference=_rouge_l,
    cases=_two_texts,
    tolerance=1e-5,
    expected="a number from 0 to 1: the harmonic mean of the shares that the longest common "
    "subsequence has of the candidate and of the reference",
    wrong=(
        lambda a, b: _common(a, b) / len(b),
        lambda a, b: _common(a, b) / max(len(a), 1),
        lambda a, b: _f1(_side_by_side(a, b), a, b),
        lambda a, b: _f1(_clipped(a, b, 1)[0], a, b),
        lambda a, b: _common(a, b) / max(len(a) + len(b) - _common(a, b), 1),
    ),
)


def _tellings(rng: np.random.Generator) -> Iterator[tuple[Segments, int]]:
    yield [([11, 12], False), ([21], True)], 0
    yield [([11], False), ([21, 22], True), ([12, 13], False), ([23], True)], 0
    yield [([21, 22], True)], 9
    yield [([11, 12], False), ([], True)], 9
    for _ in range(6):
        n = int(rng.integers(2, 7))
        lengths = rng.integers(1, 5, size=n)
        yield [(rng.integers(1, 50, k).tolist(), bool(i % 2)) for i, k in enumerate(lengths)], 0


def _stream(segments: Segments, end: int) -> list[tuple[int, bool]]:
    """Return every token with whether it has to be written; `end` stands first."""
    told = [(end, False)]
    for ids, wanted in segments:
        told += [(i, wanted) for i in [*ids, *[end] * wanted]]
    return told


def _targets(segments: Segments, end: int) -> list[int]:
    return [i if wanted else IGNORED for i, wanted in _stream(segments, end)[1:]]


def _end_not_learned(segments: Segments, end: int) -> list[int]:
    told = _stream(segments, end)[1:]
    return [i if wanted and i != end else IGNORED for i, wanted in told]


def _last_alone(segments: Segments, end: int) -> list[int]:
    last = max(i for i, (_, wanted) in enumerate(segments) if wanted)
    before = _targets(segments[:last], end)
    return [IGNORED] * len(before) + _targets(segments[last:], end)


def _masked_by_input(segments: Segments, end: int) -> list[int]:
    """Ask whether the token that is read is the model's, and not the one that is written."""
    told = _stream(segments, end)
    return [new if wanted else IGNORED for (_, wanted), (new, _) in pairwise(told)]


targets = Exercise(
    name="my_segment_targets",
    points=4,
    reference=_targets,
    cases=_tellings,
    expected="a list as long as the ids that are read: at each place the next token where the "
    "model has to write it, and -100 where not",
    wrong=(
        _end_not_learned,
        _last_alone,
        _masked_by_input,
        lambda segments, end: [i for i, _ in _stream(segments, end)[1:]],
        lambda segments, end: [i if w else IGNORED for i, w in _stream(segments, end)[:-1]],
    ),
    withheld=("labkit.tasks.encode_pieces", "labkit.tasks.encode_tasks"),
)
