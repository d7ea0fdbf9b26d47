"""Exercises of problem set 1, tokens and n-grams: how few bits a story of TinyWorld needs.

A context is a string, a row says how often each character followed it, and `counts` maps contexts
to rows. START stands before each story and is never predicted; END is predicted after it.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.checks import Exercise, Mark
from labkit.notebook import compare
from labkit.tinyworld import TinyWorld

START, END = "⊢", "⊣"
# Held-out stories, each cut at one place, and stories to learn from.
PLACES, LEARNED = 800, {"en": 200, "zh": 300}
STEPS = ((0.06, 1.0), (0.16, 0.6), (0.45, 0.3))
"""Bits per character above our own, and the share of the points that so many still earn."""
Array = NDArray[np.float64]
Row = Mapping[str, int]
Counts = dict[str, dict[str, int]]


def _texts(rng: np.random.Generator, how_many: int, length: int) -> list[str]:
    return ["".join(rng.choice(list("ab"), rng.integers(length + 1))) for _ in range(how_many)]


def _count_cases(rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    yield from ((["aba"], 1, _counts(["aba"], 1)), (["", "a", ""], 2, _counts(["", "a", ""], 2)))
    for how_many, length, memory in ((3, 6, 0), (6, 4, 3), (4, 30, 5)):
        stories = [*_texts(rng, how_many, length), "ab"]
        yield stories, memory, _counts(stories, memory)


def _counts(stories: Iterable[str], memory: int) -> Counts:
    counts: Counts = {}
    for text in (START + story + END for story in stories):
        for i in range(1, len(text)):
            for start in range(max(0, i - memory), i + 1):
                row = counts.setdefault(text[start:i], {})
                row[text[i]] = row.get(text[i], 0) + 1
    return counts


def _judge_counts(case: tuple[Any, ...], got: Any) -> Mark:
    """Compare row by row; a Counter or a defaultdict is a dict as well."""
    stories, memory, expected = case
    if not isinstance(got, Mapping) or not all(isinstance(row, Mapping) for row in got.values()):
        return Mark(0, f"expected a dict of dicts, got {type(got).__name__}.")
    for context in sorted({*expected, *got}, key=lambda text: (len(repr(text)), repr(text))):
        yours, ours = dict(got.get(context, {})), expected.get(context, {})
        if context not in got or not compare(yours, ours).within(0):
            called = f"my_counts({stories}, {memory})"[:80]
            return Mark(0, f"not yet. In {called}, after {context!r}: {yours} ≠ ours {ours}.")
    return Mark(1)


counts = Exercise(
    name="my_counts",
    points=4,
    reference=_counts,
    cases=_count_cases,
    judge=_judge_counts,
    wrong=(
        lambda s, m: {c: {a: r[a] for a in r if a != END} for c, r in _counts(s, m).items()},
        lambda s, m: {c: row for c, row in _counts(s, m).items() if START not in c},
        lambda s, m: {c: row for c, row in _counts(s, m).items() if len(c) == m or START in c},
        lambda s, m: _counts([(END + START).join(s)], m),
        lambda s, m: _counts(s, m + 1),
    ),
    expected="a dict from each context to a dict from each character that followed to how often",
)


def _pair_cases(rng: np.random.Generator) -> Iterator[tuple[Row, Sequence[str], int]]:
    yield {"a": 2, "b": 2, "c": 4}, ("a", "b"), 2
    for pair in (("a", "b"), ("th", "e"), ("b", "b"), ("a", "bc"), (" ", "the")):
        counts = {token: int(rng.integers(40, 90)) for token in (*pair, "x", "y", "abc")}
        yield counts, pair, int(rng.integers(10, 20))
    few = int(rng.integers(5, 9))
    yield {"a": few, "b": int(rng.integers(100, 200)), "z": 50}, ("b", "a"), few  # none is left
    yield {"s": 2 * few, "t": 7}, ("s", "s"), few


def _code(counts: Mapping[str, int], total: int = 0) -> float:
    total = total or sum(counts.values())
    return sum(n * math.log2(total / n) for n in counts.values() if n)


def _merged(n: Row, pair: Sequence[str], times: int, taken: Iterable[str] = ()) -> dict[str, int]:
    after = Counter(n)
    after.subtract([*(taken or pair)] * times)
    after["".join(pair)] += times
    return after


def _saved_bits(counts: Row, pair: Sequence[str], times: int) -> float:
    return _code(counts) - _code(_merged(counts, pair, times))


saved_bits = Exercise(
    name="my_saved_bits",
    points=5,
    reference=_saved_bits,
    cases=_pair_cases,
    tolerance=1e-3,
    wrong=(
        lambda n, pair, t: _code(n) - _code(_merged(n, pair, t, set(pair))),  # "bb" has one b
        lambda n, pair, t: _code(n) - _code({**_merged(n, pair, t), "".join(pair): t}),
        lambda n, pair, t: _code(n) - _code(_merged(n, pair, t), sum(n.values())),
        lambda n, pair, t: t * math.log2(t * sum(n.values()) / n[pair[0]] / n[pair[1]]),
        lambda n, pair, t: _saved_bits(n, pair, t) * math.log(2),
    ),
    expected="one number, in bits; negative where the merge makes the text longer",
)


def _cut_cases(rng: np.random.Generator) -> Iterator[tuple[str, dict[str, float]]]:
    yield "ab", {"a": 1.0, "b": 2.0, "ab": 2.0}
    yield from (("abac", {"a": 1.0, "b": 1.0, "aba": 0.5}), ("", {"a": 1.0}))
    for length in (12, 24, 3000):
        tokens = ("a", "b", "ab", "ba", "abb", "bbab", "aaaaaa")
        prices = {token: round(float(rng.uniform(1, 6)), 3) for token in tokens}
        yield "".join(rng.choice(list("ab"), length)), prices


def _text_bits(text: str, prices: Mapping[str, float], best: bool = False) -> float:
    bits = [0.0]
    for end in range(1, len(text) + 1):
        starts = range(max(0, end - max(map(len, prices))), end)
        ways = [bits[i] + prices[text[i:end]] for i in starts if text[i:end] in prices]
        low = min(ways, default=math.inf)
        more = 0.0 if best or math.isinf(low) else math.log2(sum(2 ** (low - w) for w in ways))
        bits.append(low - more)
    return bits[-1]


text_bits = Exercise(
    name="my_text_bits",
    points=6,
    reference=_text_bits,
    cases=_cut_cases,
    tolerance=1e-3,
    wrong=(
        lambda text, prices: _text_bits(text, prices, best=True),
        lambda t, p: _text_bits(t, p) if _text_bits(t, p) < 1075 else math.inf,  # underflow
        lambda text, prices: _text_bits(text, {t: p for t, p in prices.items() if len(t) < 3}),
        lambda text, prices: _text_bits(text, prices) * math.log(2),
        lambda text, prices: min(_text_bits(text, prices), 1e6),
    ),
    expected="one number, in bits; inf where the text cannot be cut into these tokens",
)


def _row_cases(rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    yield from (([{"a": 2, "b": 1}, {"a": 1}], "ab⊣"), ([], "abcd"), ([{}, {"b": 3}, {}], "abc"))
    for depth in (1, 3, 6):
        alphabet = "".join(rng.permutation(list("abcde⊣")))
        kinds = [rng.permutation(list(alphabet))[: rng.integers(2, 5)] for _ in range(depth)]
        rows = [{str(c): int(rng.integers(1, 9)) for c in seen} for seen in kinds]
        yield [*rows, {}, {alphabet[0]: 1}], alphabet


def _vector(row: Row, alphabet: str) -> Array:
    return np.array([float(row.get(char, 0)) for char in alphabet])


def _witten_bell(rows: Iterable[Row], alphabet: str, new: int = 0) -> Array:
    probs = np.full(len(alphabet), 1 / len(alphabet))
    for row in filter(None, rows):
        n, kinds = sum(row.values()), new or len(row)
        probs = (_vector(row, alphabet) + kinds * probs) / (n + kinds)
    return probs


witten_bell = Exercise(
    name="my_witten_bell",
    points=5,
    reference=_witten_bell,
    cases=_row_cases,
    tolerance=1e-5,
    wrong=(
        lambda rows, alphabet: _witten_bell([row for row in rows if row][-1:], alphabet),
        lambda rows, alphabet: _witten_bell(rows[::-1], alphabet),
        lambda rows, alphabet: _witten_bell(rows[: rows.index({}) if {} in rows else 9], alphabet),
        lambda rows, alphabet: _witten_bell(rows, alphabet, new=1),
        lambda rows, alphabet: _witten_bell([{**r, "new": 0} if r else r for r in rows], alphabet),
    ),
    expected="an array of V probabilities, in the order of the alphabet",
)


def _em_cases(rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
    yield np.array([[0.5, 0.1], [0.1, 0.5], [0.4, 0.0]]), np.array([0.5, 0.5])
    for places, models in ((1, 3), (7, 2), (40, 5)):
        probs = rng.uniform(0.01, 1, (places, models)) * (rng.random((places, models)) < 0.7)
        probs[:, 0] = rng.uniform(0.01, 0.1, places)
        yield probs, rng.dirichlet(np.ones(models))
    yield probs, np.array([0.2, 0, 0.3, 0.5, 0])


def _em_step(probs: Array, weights: Array) -> Array:
    shares = probs * weights
    return np.asarray((shares / shares.sum(axis=1, keepdims=True)).mean(axis=0))


em_step = Exercise(
    name="my_em_step",
    points=4,
    reference=_em_step,
    cases=_em_cases,
    tolerance=1e-5,
    wrong=(
        lambda probs, weights: _em_step(probs, np.ones(len(weights))),
        lambda probs, weights: (probs * weights).sum(axis=0) / (probs * weights).sum(),
        lambda probs, weights: np.eye(len(weights))[(probs * weights).argmax(axis=1)].mean(axis=0),
        lambda probs, weights: _em_step(probs, weights) * len(probs),
    ),
    expected="an array of K weights that sum to one",
)


def _suffixes(beginning: str, memory: int) -> list[str]:
    text = START + beginning
    return [text[len(text) - n :] for n in range(min(memory, len(text)) + 1)]


def _witness_cases(rng: np.random.Generator) -> Iterator[tuple[Counts, list[str]]]:
    yield _counts(["abc", "xbc"], 3), ["", "c", "bc", "abc"]
    yield _counts(["ab"], 4), ["", "b", "ab", "⊢ab"]
    for memory in (3, 5, 9):
        stories = _texts(rng, 9, 12)
        for beginning in (stories[0][: memory // 2], stories[1], "a", *_texts(rng, 2, 9)):
            yield _counts(stories, memory), _suffixes(beginning, memory)


def _witnesses(counts: Mapping[str, Row], contexts: Sequence[str]) -> list[str]:
    kept: list[str] = []
    for context in contexts:
        row = counts.get(context)
        if row and (not kept or sum(row.values()) < sum(counts[kept[-1]].values())):
            kept.append(context)
    return kept


witnesses = Exercise(
    name="my_witnesses",
    points=4,
    reference=_witnesses,
    cases=_witness_cases,
    wrong=(
        lambda n, contexts: list({sum(n[c].values()): c for c in contexts if n.get(c)}.values()),
        lambda n, contexts: _witnesses({c: dict.fromkeys(n[c], 1) for c in n}, contexts),
        lambda n, contexts: [context for context in contexts if n.get(context)],
        lambda n, contexts: [c for c in contexts if sum(n.get(c, {}).values()) > 1],
    ),
    expected="a list of contexts, shortest first",
)


def _kneser_ney(s: Sequence[str], alphabet: str, held: Sequence[str], memory: int = 10) -> Array:
    """Count, for all but the longest contexts, before how many different characters they stood."""
    fresh: Counts = {}
    for context, row in _counts(s, memory).items():
        if len(context) == memory or START in context:
            fresh[context] = row
        for char in row if context else ():
            shorter = fresh.setdefault(context[1:], {})
            shorter[char] = shorter.get(char, 0) + 1
    n = Counter((len(context), times) for context in fresh for times in fresh[context].values())
    share = [1 / (1 + 2 * n[size, 2] / max(n[size, 1], 1)) for size in range(memory + 1)]
    result = np.full((len(held), len(alphabet)), 1 / len(alphabet))
    for i, beginning in enumerate(held):
        for context in (c for c in _suffixes(beginning, memory) if c in fresh):
            seen = _vector(fresh[context], alphabet)
            taken = np.minimum(seen, share[len(context)])
            result[i] = (seen - taken + taken.sum() * result[i]) / seen.sum()
    return result


def _by(k: float, memory: int, s: Sequence[str], alphabet: str, held: Sequence[str]) -> Array:
    """Predict from the longest context, k added to each count, or by Witten-Bell where k is 0."""
    n = _counts(s, memory)
    rows = [[n.get(context, {}) for context in _suffixes(text, memory)] for text in held]
    if k == 0:
        return np.array([_witten_bell(row, alphabet) for row in rows])
    longest = np.array([_vector(row[-1], alphabet) + k for row in rows])
    return np.asarray(longest / longest.sum(axis=1, keepdims=True))


def _bits(probs: Array, came: NDArray[np.int64]) -> float:
    return float(-np.log2(np.maximum(probs[np.arange(len(came)), came], 1e-300)).mean())


@lru_cache(maxsize=32)
def _open_case(language: str, seed: int) -> tuple[Any, ...]:
    """Stories to learn from, beginnings cut anywhere, and, for the judge, what followed."""
    world, rng, learned = TinyWorld.full(language), np.random.default_rng(seed), LEARNED[language]
    texts = [world.sample(rng).text for _ in range(learned + PLACES)]
    alphabet = "".join(sorted(set().union(*texts))) + END
    held = [(text, int(rng.integers(len(text) + 1))) for text in texts[learned:]]
    beginnings = [text[:cut] for text, cut in held]
    came = np.array([alphabet.index((text + END)[cut]) for text, cut in held])
    ours = _bits(_kneser_ney(texts[:learned], alphabet, beginnings), came)
    return texts[:learned], alphabet, beginnings, (language, came, ours)


def _judge_bits(case: tuple[Any, ...], got: Any) -> Mark:
    """Give a share for bits per character, by how far they are above ours on the same places."""
    _, alphabet, beginnings, (language, came, ours) = case
    shape = (len(beginnings), len(alphabet))
    try:
        probs = np.asarray(got, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        return Mark(0, f"{language}: expected an array of numbers of shape {shape}: {error}.")
    well = probs.shape == shape and (probs >= 0).all()
    if not well or not np.allclose(probs.sum(axis=1), 1, atol=1e-6):
        return Mark(0, f"{language}: expected {shape}, every row with sum 1 and nothing below 0.")
    bits = _bits(probs, came)
    share = next((share for most, share in STEPS if bits <= ours + most), 0.0)
    said = f"{bits:.3f} bits per character, {bits - ours:.3f} above ours"
    return Mark(share, "" if share == 1 else f"{language}: {said}; for all points, {STEPS[0][0]}.")


probabilities = Exercise(
    name="my_probabilities",
    points=10,
    reference=_kneser_ney,
    cases=lambda rng: (_open_case(lang, int(rng.integers(2**31))) for lang in LEARNED),
    judge=_judge_bits,
    partial=True,
    wrong=(
        lambda *case: _by(1, 1, *case),
        lambda *case: _by(1, 3, *case),
        lambda *case: _by(1e-99, 5, *case),
        lambda *case: _kneser_ney(*case) + 0.01,
    ),
    partly=(
        (lambda *case: _by(0, 4, *case), 3),
        (lambda s, alphabet, held: _kneser_ney(s, alphabet, held, 6), 8),
    ),
    expected="an array (N, V): for each beginning the probabilities of the character that follows",
    withheld=("labkit.ngram.count_ngrams", "labkit.ngram.kneser_ney", "tinyworld"),
)
