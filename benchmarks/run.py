"""`python -m benchmarks.run`: measure the models and record `benchmarks/core.csv`.

How long a 5-gram over all of Shakespeare takes to count and how much memory, how fast it scores,
and how many times faster than NLTK the same Kneser-Ney model is, in one process on one small text;
how long a GPT's training step takes beside that of transformers' GPT-2 (`benchmarks/steps.py`);
how fast TinyWorld's stories are drawn, judged and scored (`benchmarks/stories.py`).
Memory is read through the module `resource`, which Windows lacks.
"""

import multiprocessing
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from nltk.lm import KneserNeyInterpolated
from nltk.util import everygrams
from numpy.typing import NDArray

from benchmarks.measure import Measurement, timed
from benchmarks.steps import against_transformers
from benchmarks.stories import stories_per_second
from experiments.run import head
from labkit.datasets import load
from labkit.metrics import token_log_probs
from labkit.ngram import count_ngrams, kneser_ney
from labkit.recorded import write_recording
from labkit.tokenizers import CharTokenizer, encode_documents

FOLDER = Path(__file__).resolve().parent
ORDER = 5
DISCOUNT = 0.75
ROUNDS = 5
NLTK_TRAIN, NLTK_TEST = 20_000, 300
SUM_SAMPLE = 50_000
Ids = NDArray[np.int64]


def megabytes_at_most() -> float:
    """Return the most memory this process has held so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def fit_and_score(path: Path, vocab_size: int) -> tuple[float, float, float, float]:
    """Count and smooth the ids in a file, in a process that has done nothing else.

    Returns CPU-seconds to fit, the rise of the peak memory in MB, tokens scored per CPU-second, and
    how far the worst of many sums of probabilities is from 1.
    """
    torch.set_num_threads(1)
    ids = np.load(path)
    before, started = megabytes_at_most(), time.process_time()
    model = kneser_ney(count_ngrams(ids, ORDER, vocab_size), ORDER)
    fitted, rise = time.process_time(), megabytes_at_most() - before
    sample = ids[None, -SUM_SAMPLE:]
    token_log_probs(model, torch.from_numpy(sample))
    speed = sample.size / (time.process_time() - fitted)
    off = float(np.abs(model.probabilities(sample).sum(axis=-1) - 1).max())
    return fitted - started, rise, speed, off


def whole_shakespeare(ids: Ids, vocab_size: int) -> Iterator[Measurement]:
    """Fit a 5-gram to all plays and poems in a child process."""
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, mp_context=spawn) as child,
    ):
        path = Path(folder) / "ids.npy"
        np.save(path, ids)
        seconds, rise, speed, off = child.submit(fit_and_score, path, vocab_size).result()
    setting = f"Kneser-Ney, order {ORDER}, {len(ids)} characters, V = {vocab_size}"
    yield Measurement("fit", round(seconds, 2), "CPU-seconds", setting)
    yield Measurement("memory to fit", round(rise), "MB", f"{setting}; rise of the peak")
    scored = f"{setting}; the last {SUM_SAMPLE} scored"
    yield Measurement("scoring", round(speed, -3), "characters per CPU-second", scored)
    yield Measurement("largest |sum of probabilities - 1|", float(f"{off:.1g}"), "", scored)


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
    """Alternate the two on one small text, and take the median of the ratios of a round.

    Raises RuntimeError if they disagree, for then they did not do the same.
    """
    train, test = ids[:NLTK_TRAIN], ids[NLTK_TRAIN : NLTK_TRAIN + NLTK_TEST]
    # NLTK is right only where a text ends as it began; see tests/test_ngram.py.
    train = np.concatenate([train, train[: ORDER - 1]])
    test = test[np.isin(test, train)]
    ratios = []
    for _ in range(ROUNDS):
        ours, our_seconds = timed(lambda: bits_with_ours(train, test, vocab_size))
        theirs, their_seconds = timed(lambda: bits_with_nltk(train, test))
        if abs(ours - theirs) > 1e-6 * theirs:
            raise RuntimeError(f"expected equal bits of both models, got {ours} and {theirs}")
        ratios.append(their_seconds / our_seconds)
    setting = (
        f"Kneser-Ney, order {ORDER}, one discount, {len(train)} characters counted and "
        f"{len(test)} scored; median of {ROUNDS} rounds, {min(ratios):.0f} to {max(ratios):.0f}"
    )
    yield Measurement("times as fast as NLTK", round(statistics.median(ratios)), "", setting)


def processor() -> str:
    """Return the processor's name, or its family where the system tells no more."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    """Measure, print and record."""
    texts = [document.text for document in load("shakespeare").documents]
    tokenizer = CharTokenizer.train(texts)
    ids = encode_documents(tokenizer, texts)
    V = tokenizer.vocab_size
    rows = [*whole_shakespeare(ids, V), *against_nltk(ids, V), *against_transformers()]
    rows += stories_per_second()
    for row in rows:
        print(f"{row.name}: {row.value:g} {row.unit}".rstrip())
    circumstances = head("python -m benchmarks.run") | {
        "processor": processor(),
        "compared with": f"nltk {version('nltk')}, transformers {version('transformers')}",
    }
    write_recording("core", circumstances, [asdict(row) for row in rows], FOLDER)


if __name__ == "__main__":
    main()
