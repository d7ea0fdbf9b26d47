"""Counting: a 5-gram over all of Shakespeare, and the same Kneser-Ney model beside NLTK's."""

import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from nltk.lm import KneserNeyInterpolated
from nltk.util import everygrams
from numpy.typing import NDArray

from benchmarks.measure import Measurement, alternately, ratios
from labkit.metrics import token_log_probs
from labkit.ngram import count_ngrams, kneser_ney

ORDER = 5
DISCOUNT = 0.75
ROUNDS = 5
NLTK_TRAIN, NLTK_TEST = 20_000, 300
SCORED = 50_000
Ids = NDArray[np.int64]


def counting(ids: Ids, vocab_size: int) -> Iterator[Measurement]:
    """Measure both."""
    yield from whole_shakespeare(ids, vocab_size)
    yield from against_nltk(ids, vocab_size)


def megabytes_at_most() -> float:
    """Return the most memory this process has held so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def fit_and_score(path: Path, vocab_size: int) -> tuple[float, float, float]:
    """Count and smooth the ids in a file, in a process that has done nothing else.

    Returns CPU-seconds to fit, the rise of the peak memory in MB, and tokens scored per CPU-second.
    """
    torch.set_num_threads(1)
    ids = np.load(path)
    before, started = megabytes_at_most(), time.process_time()
    model = kneser_ney(count_ngrams(ids, ORDER, vocab_size), ORDER)
    fitted, rise = time.process_time(), megabytes_at_most() - before
    token_log_probs(model, torch.from_numpy(ids[None, -SCORED:]))
    return fitted - started, rise, SCORED / (time.process_time() - fitted)


def whole_shakespeare(ids: Ids, vocab_size: int) -> Iterator[Measurement]:
    """Fit a 5-gram to all plays and poems, in a new process each time."""
    spawn = multiprocessing.get_context("spawn")
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ids.npy"
        np.save(path, ids)
        for _ in range(ROUNDS):
            with ProcessPoolExecutor(1, mp_context=spawn) as child:
                found.append(child.submit(fit_and_score, path, vocab_size).result())
    setting = f"Kneser-Ney, order {ORDER}, {len(ids):,} characters, V = {vocab_size}"
    seconds, rises, speeds = zip(*found, strict=True)
    yield Measurement("counting and smoothing", seconds, "CPU-seconds", setting)
    yield Measurement("memory for it", rises, "MB", f"{setting}; rise of the peak")
    yield Measurement("scoring", speeds, "characters per CPU-second", setting)


def bits_with_nltk(train: Ids, test: Ids) -> float:
    """Fit NLTK's model and return the bits it needs for all of `test` but the first context."""
    words, tested = [str(i) for i in train], [str(i) for i in test]
    model = KneserNeyInterpolated(ORDER, discount=DISCOUNT)
    model.fit([everygrams(words, max_len=ORDER)], vocabulary_text=words)
    places = range(ORDER - 1, len(tested))
    probs = [model.unmasked_score(tested[i], tuple(tested[i - ORDER + 1 : i])) for i in places]
    return float(-np.log2(probs).sum())


def bits_with_ours(train: Ids, test: Ids, vocab_size: int) -> float:
    """Do the same with labkit, without a discount at order 1, where NLTK has none."""
    discounts = np.full((ORDER, 3), DISCOUNT)
    discounts[0] = 0
    model = kneser_ney(count_ngrams(train, ORDER, vocab_size), ORDER, discounts)
    probs = model.probabilities(test[None, :-1])[0, np.arange(len(test) - 1), test[1:]]
    return float(-np.log2(probs[ORDER - 2 :]).sum())


def against_nltk(ids: Ids, vocab_size: int) -> Iterator[Measurement]:
    """Alternate the two on one small text.

    Raises RuntimeError if they disagree, for then they did not do the same.
    """
    train, test = ids[:NLTK_TRAIN], ids[NLTK_TRAIN : NLTK_TRAIN + NLTK_TEST]
    # NLTK is right only where a text ends as it began; see tests/test_ngram.py.
    train = np.concatenate([train, train[: ORDER - 1]])
    test = test[np.isin(test, train)]
    work = {
        "ours": partial(bits_with_ours, train, test, vocab_size),
        "theirs": partial(bits_with_nltk, train, test),
    }
    bits, seconds = alternately(work, ROUNDS)
    ours, theirs = bits["ours"][0], bits["theirs"][0]
    if abs(ours - theirs) > 1e-6 * theirs:
        raise RuntimeError(f"expected equal bits of both models, got {ours} and {theirs}")
    setting = f"the same model, {len(train):,} characters counted, {len(test)} scored"
    times = ratios(seconds["theirs"], seconds["ours"])
    yield Measurement("speed beside NLTK's Kneser-Ney", times, "×", setting)
