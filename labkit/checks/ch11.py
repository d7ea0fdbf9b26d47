"""Exercises of chapter 11, text and tokens: bytes, one merge, all merges in order, samples."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from labkit.checks import Exercise

Pair = tuple[str, str]
Ints = NDArray[np.int64]


def _code_points(rng: np.random.Generator) -> Iterator[tuple[int]]:
    """Both ends of each range, and some between them; none is half of a surrogate pair."""
    for first, last in ((0, 0x7F), (0x80, 0x7FF), (0x800, 0xD7FF), (0x10000, 0x10FFFF)):
        yield from ((first,), (last,), (int(rng.integers(first, last)),))
    yield (0xFFFF,)


def _utf8(code_point: int) -> list[int]:
    return list(chr(code_point).encode("utf-8"))


def _without_marks(code_point: int) -> list[int]:
    """Cut into groups of six bits and mark none of them."""
    sizes = range(len(_utf8(code_point)) - 1, -1, -1)
    return [code_point >> (6 * place) & 63 for place in sizes]


def _three_at_most(code_point: int) -> list[int]:
    """Press what needs four bytes into three."""
    return _utf8(code_point) if code_point < 0x10000 else _utf8(code_point & 0x7FFF | 0x800)


utf8 = Exercise(
    name="my_utf8",
    points=3,
    reference=_utf8,
    cases=_code_points,
    wrong=(
        _without_marks,
        _three_at_most,
        lambda code_point: list(chr(code_point).encode("utf-16-be", errors="replace")),
        lambda code_point: _utf8(code_point)[::-1],
        lambda code_point: _utf8(code_point + (code_point == 0x7F)),  # one bit too early
    ),
    withheld=("labkit.tokenizers.ByteTokenizer.encode",),
)


def _letters(rng: np.random.Generator, length: int) -> list[str]:
    return [str(letter) for letter in rng.choice(list("abc"), length)]


def _merge_cases(rng: np.random.Generator) -> Iterator[tuple[list[str], Pair]]:
    yield ["a", "a", "a", "b", "a", "a"], ("a", "a")
    yield ["ab", "c", "a", "bc", "a", "b", "c"], ("a", "bc")
    yield [], ("a", "b")
    yield ["ca", "b", "a", "bc", " ", "a", "b", "a", " "], ("a", "b")
    for pair in (("b", "a"), ("a", "b")):
        yield _letters(rng, 30), pair


def _merge(symbols: list[str], pair: Pair) -> list[str]:
    merged: list[str] = []
    open_pair = False
    for symbol in symbols:
        if open_pair and (merged[-1], symbol) == pair:
            merged[-1], open_pair = "".join(pair), False
        else:
            merged, open_pair = [*merged, symbol], True
    return merged


def _only_the_first(symbols: list[str], pair: Pair) -> list[str]:
    for i in range(len(symbols) - 1):
        if (symbols[i], symbols[i + 1]) == pair:
            return [*symbols[:i], "".join(pair), *symbols[i + 2 :]]
    return list(symbols)


def _in_the_joined_text(symbols: list[str], pair: Pair) -> list[str]:
    """Forget where the symbols ended."""
    found = re.split(f"({re.escape(''.join(pair))})", "".join(symbols))
    return [s for part in found for s in ([part] if part == "".join(pair) else part)]


def _with_spaces_between(symbols: list[str], pair: Pair) -> list[str]:
    """Forget that a symbol may hold a space, or end in what the pair begins with."""
    return " ".join(symbols).replace(" ".join(pair), "".join(pair)).split()


merge = Exercise(
    name="my_merge",
    points=2,
    reference=_merge,
    cases=_merge_cases,
    wrong=(
        _only_the_first,
        _in_the_joined_text,
        _with_spaces_between,
        lambda symbols, pair: _merge(symbols, (min(pair), max(pair))),
        lambda symbols, pair: _merge(symbols[::-1], (pair[1], pair[0]))[::-1],
        lambda symbols, pair: [s for s in _merge(symbols, pair) if s not in pair],
    ),
)


def _texts_with_merges(rng: np.random.Generator) -> Iterator[tuple[list[str], list[Pair]]]:
    """Texts of three letters, with merges learned from another such text.

    No two merges make the same token, so that going once through the list is right as well.
    """
    yield list("abc"), [("b", "c"), ("a", "b")]
    yield list("cabcbca"), []
    # A long token before short ones, and a run of equal symbols.
    yield list("abcacaaa"), [("a", "b"), ("ab", "c"), ("a", "a"), ("c", "a")]
    for _ in range(5):
        symbols, made = _letters(rng, 80), dict[str, Pair]()
        for _ in range(8):
            pairs = Counter(pair for pair in pairwise(symbols) if "".join(pair) not in made)
            best = max(pairs, key=lambda pair: (pairs[pair], pair))
            made["".join(best)] = best
            symbols = _merge(symbols, best)
        yield _letters(rng, 40), list(made.values())


def _tokenize(symbols: list[str], merges: list[Pair]) -> list[str]:
    rank = {pair: place for place, pair in enumerate(merges)}
    while found := [p for p in pairwise(symbols) if p in rank]:
        symbols = _merge(symbols, min(found, key=lambda pair: rank[pair]))
    return list(symbols)


def _longest_token_first(symbols: list[str], merges: list[Pair]) -> list[str]:
    known, text, tokens = {a + b for a, b in merges} | set(symbols), "".join(symbols), []
    while text:
        tokens.append(max((token for token in known if text.startswith(token)), key=len))
        text = text[len(tokens[-1]) :]
    return tokens


def _leftmost_first(symbols: list[str], merges: list[Pair]) -> list[str]:
    while found := [p for p in pairwise(symbols) if p in merges]:
        symbols = _only_the_first(symbols, found[0])
    return symbols


def _from_the_right(symbols: list[str], merges: list[Pair]) -> list[str]:
    """Let the last of three equal symbols find its pair first."""
    for first, second in merges:
        symbols = _merge(symbols[::-1], (second, first))[::-1]
        symbols = [first + second if s == second + first else s for s in symbols]
    return symbols


tokenize = Exercise(
    name="my_tokenize",
    points=4,
    reference=_tokenize,
    cases=_texts_with_merges,
    wrong=(
        _longest_token_first,
        _leftmost_first,
        _from_the_right,
        lambda symbols, merges: _tokenize(symbols, merges[::-1]),
        lambda symbols, merges: _tokenize(symbols, sorted(merges, key=lambda m: len("".join(m)))),
        lambda symbols, merges: _tokenize(symbols, merges[:-1]) if merges else [],
    ),
)


def _streams(rng: np.random.Generator) -> Iterator[tuple[list[int], int]]:
    for n_ids, length in ((9, 4), (8, 4), (10, 4), (5, 4), (7, 1), (40, 6)):
        yield rng.permutation(100)[:n_ids].tolist(), length


def _samples(ids: list[int], length: int) -> Ints:
    starts = np.arange(0, len(ids) - length, length)
    return np.asarray(ids)[starts[:, None] + np.arange(length + 1)]


def _without_overlap(ids: list[int], length: int) -> Ints:
    """Cut into pieces of length + 1, so that the first token of each is never predicted."""
    n = len(ids) // (length + 1)
    return np.asarray(ids[: n * (length + 1)]).reshape(n, length + 1)


def _padded(ids: list[int], length: int) -> Ints:
    """Fill the last row with zeros instead of leaving it out."""
    n = -(-(len(ids) - 1) // length)
    return _samples([*ids, *[0] * (n * length + 1 - len(ids))], length)


samples = Exercise(
    name="my_samples",
    points=3,
    reference=_samples,
    cases=_streams,
    wrong=(
        _without_overlap,
        _padded,
        lambda ids, length: _samples(ids, length)[:, :-1],
        lambda ids, length: np.lib.stride_tricks.sliding_window_view(ids, length + 1),
    ),
)
