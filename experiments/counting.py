"""The counting rows of the league table, and Kneser-Ney by order on two texts."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from math import log

from labkit.datasets import Dataset, load
from labkit.metrics import LeagueRow, Score, evaluate
from labkit.ngram import NGram, add_k, count_ngrams, kneser_ney
from labkit.tokenizers import CharTokenizer, encode_documents

Row = dict[str, object]
NAMES = ("unigram", "bigram", "trigram", "4-gram", "5-gram", "6-gram", "7-gram", "8-gram")
LONGEST = 10


def split_texts(dataset: Dataset) -> tuple[list[str], list[str], list[str]]:
    """Return the texts of train, val and test."""
    parts = (dataset.train, dataset.val, dataset.test)
    train, val, test = ([document.text for document in part] for part in parts)
    return train, val, test


def _count(texts: list[str], order: int) -> tuple[CharTokenizer, NGram, int, float]:
    """Count and smooth; return tokenizer, model, tokens read, and CPU-seconds."""
    tokenizer = CharTokenizer.train(texts)
    ids = encode_documents(tokenizer, texts)
    started = time.process_time()
    model = kneser_ney(count_ngrams(ids, order, tokenizer.vocab_size), order)
    return tokenizer, model, len(ids), time.process_time() - started


def league_row(model: str, chapter: str, score: Score, **cost: float) -> LeagueRow:
    """Make a row from a score and the costs `parameters`, `train_tokens` and `cpu_seconds`."""
    return LeagueRow(
        model=model,
        chapter=chapter,
        bits_per_char=round(score.bits_per_char, 4),
        low=round(score.low, 4),
        high=round(score.high, 4),
        parameters=int(cost["parameters"]),
        train_tokens=int(cost["train_tokens"]),
        cpu_seconds=round(cost["cpu_seconds"], 1),
    )


def league_rows(quick: bool = False) -> Iterator[Row]:
    """Score uniform guessing and Kneser-Ney models on Shakespeare's held-out plays.

    The order of the last row is the one that does best on the validation plays.
    """
    train, val, test = split_texts(load("shakespeare"))
    if not quick:
        tokenizer = CharTokenizer.train(train)
        counts = count_ngrams(encode_documents(tokenizer, train[:1]), 1, tokenizer.vocab_size)
        uniform = add_k(counts, 1, k=1e12)
        score = evaluate(uniform, tokenizer, test)
        row = league_row("uniform", "12", score, parameters=0, train_tokens=0, cpu_seconds=0.0)
        yield asdict(row) | {"quick": ""}
    for order in [3] if quick else [1, 2, 3, 5, best_order(train, val)]:
        tokenizer, model, n_tokens, seconds = _count(train, order)
        row = league_row(
            f"{NAMES[order - 1]}, Kneser-Ney" if order > 1 else "unigram",
            "12",
            evaluate(model, tokenizer, test),
            parameters=model.n_parameters,
            train_tokens=n_tokens,
            cpu_seconds=seconds,
        )
        yield asdict(row) | {"quick": "yes" if order == 3 else ""}


def best_order(train: list[str], val: list[str]) -> int:
    """Return the order of Kneser-Ney that does best on the validation plays."""
    tokenizer = CharTokenizer.train(train)
    counts = count_ngrams(encode_documents(tokenizer, train), len(NAMES), tokenizer.vocab_size)
    orders = range(1, len(NAMES) + 1)
    scores = {n: evaluate(kneser_ney(counts, n), tokenizer, val) for n in orders}
    return min(orders, key=lambda n: scores[n].bits_per_char)


def tinyshakespeare_rows(quick: bool = False) -> Iterator[Row]:
    """Score Kneser-Ney by order on the last tenth of the one-file Shakespeare sample."""
    train, val, test = split_texts(load("tinyshakespeare"))
    held_out = val + test
    for order in [5] if quick else range(1, LONGEST + 1):
        tokenizer, model, _, seconds = _count(train, order)
        bits = evaluate(model, tokenizer, ["".join(held_out)]).bits_per_char
        yield {
            "order": order,
            "bits_per_char": round(bits, 4),
            "nats_per_char": round(bits * log(2), 4),
            "cpu_seconds": round(seconds, 2),
            "quick": "yes" if order == 5 else "",
        }
