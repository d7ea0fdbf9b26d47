"""Songs in a tongue that nobody knows, and the judge of who foresees their next words.

A song is a verse of words that are all different. In the next verse each word gives way to its
partner, in the verse after that to the partner's partner, and so on. Who the partners are is the
tongue's; how long the verse is, each song's own. From the second verse on a word is certain for
whoever has found the rule, while a table that looks up the last words knows nothing.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.checks import Mark

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
SONGS, PLACES, LENGTH = 1500, 400, 48
"""Songs to learn from, songs that are cut somewhere, and words in each."""
SECONDS = 10.0
"""What an answer is told it may use for a tongue; the grader's own limit is in course.toml."""
STEPS = ((0.1, 1.0), (0.25, 0.7), (0.5, 0.5), (0.75, 0.3))
"""Shares of the bits that counting pays, and the share of the points that so many still earn."""


def sing(rng: np.random.Generator, partner: Ints, verses: Sequence[int]) -> tuple[list[int], int]:
    """Return a song of `LENGTH` words and the length of its verse, one of `verses`."""
    verse = int(rng.choice(verses))
    song = rng.permutation(len(partner))[:verse].tolist()
    for t in range(LENGTH - verse):
        song.append(int(partner[song[t]]))
    return song, verse


@lru_cache(maxsize=16)
def tongue(seed: int, words: int, verses: range) -> tuple[Any, ...]:
    """Return songs to learn from, beginnings of others, the seconds, and what the judge needs.

    A beginning ends anywhere after the first word of the second verse. For the judge stand the
    words that followed, and the bits that counting pays for them.
    """
    rng = np.random.default_rng(seed)
    partner = rng.permutation(words)
    songs = np.array([sing(rng, partner, verses)[0] for _ in range(SONGS)])
    held = [sing(rng, partner, verses) for _ in range(PLACES)]
    cuts = [int(rng.integers(verse + 1, LENGTH)) for _, verse in held]
    beginnings = [song[:cut] for (song, _), cut in zip(held, cuts, strict=True)]
    came = np.array([song[cut] for (song, _), cut in zip(held, cuts, strict=True)])
    return songs, beginnings, SECONDS, (came, bits(counting(songs, beginnings), came))


def counting(songs: Ints, beginnings: Sequence[Sequence[int]], order: int = 3) -> Array:
    """Predict what follows each beginning by Kneser-Ney, from its last words: (N, V)."""
    from labkit.ngram import count_ngrams, kneser_ney  # here, because they bring torch along

    vocab_size = int(songs.max()) + 1
    model = kneser_ney(count_ngrams(songs.ravel(), order, vocab_size), order)
    last = np.array([text[len(text) - order + 1 :] for text in beginnings])
    return np.asarray(model.probabilities(last)[:, -1])


def bits(probs: Array, came: Ints) -> float:
    """Return the mean price of the words that came: (N, V), (N,) -> one number."""
    return float(-np.log2(np.maximum(probs[np.arange(len(came)), came], 1e-300)).mean())


def judge_songs(case: tuple[Any, ...], got: Any) -> Mark:
    """Give a share for bits per word, by how many of those that counting pays are left."""
    came, counted = case[-1]
    shape = (len(came), int(case[0].max()) + 1)
    try:
        probs = np.asarray(got, dtype=np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        return Mark(0, f"expected an array of numbers of shape {shape}: {error}.")
    well = probs.shape == shape and (probs >= 0).all()
    if not well or not np.allclose(probs.sum(axis=1), 1, atol=1e-4):
        return Mark(0, f"expected {shape}, every row with sum 1 and nothing below 0.")
    paid = bits(probs, came)
    share = next((share for most, share in STEPS if paid <= counted * most), 0.0)
    said = f"{paid:.2f} bits a word, {100 * paid / counted:.0f} % of what counting pays"
    return Mark(share, "" if share == 1 else f"{said}; for all points, {100 * STEPS[0][0]:.0f} %.")
