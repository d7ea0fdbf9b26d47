"""What chapter 52 records: every answer to every question, and what the answers are worth.

The help topics of Python are asked in sentences with a gap: one quoted name is taken out of a
sentence, the sentence out of its topic, and the rest has to tell which topic and which name.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import bm25s
import numpy as np
import torch

from experiments.answering import (
    POINTED,
    changed,
    distance,
    drawn,
    few_answers,
    kind_of,
    last_mentioned,
    likeliest,
    most_frequent,
    named,
    point,
    pointable,
    pointer,
    unanswerable,
    words,
    write,
    writers,
)
from experiments.counting import Row
from experiments.intervals import redrawn, shares
from labkit.datasets import load
from labkit.finetune import label_log_probs
from labkit.shipped import load_shipped
from labkit.tasks import answer_words, word_f1
from tinyworld.tasks import Record

NAME = re.compile(r'"([A-Za-z_]\w*)(?:\(\))?"')
GAPS, MOST_NAMES, GAP = 200, 12, "which"
Answer = Callable[[Sequence[Record]], list[tuple[str, float]]]
RULES = {"most frequent": most_frequent, "last mentioned": last_mentioned}


# ── TinyWorld ────────────────────────────────────────────────────────────────────────────────────


@lru_cache
def asked_sets() -> dict[str, list[Record]]:
    """Return the questions by set: as drawn, about what is never named, and of changed stories."""
    test, other = drawn("test"), changed(drawn("changed"))
    return {"test": [*test], "never named": unanswerable(test, 4), **other}


@lru_cache
def systems() -> dict[str, tuple[Answer, Callable[[Record], bool]]]:
    """Return how each system answers, and which questions it is asked."""
    rules = {
        name: (lambda records, rule=rule: [(rule(r), 1.0) for r in records], lambda record: True)
        for name, rule in RULES.items()
    }
    taught = {
        name: (lambda records, model=model: write(model, records), lambda record: True)
        for name, (model, _) in writers().items()
    }
    return {
        **rules,
        "likeliest": (likeliest, few_answers),
        **taught,
        "pointed": (point, pointable),
    }


def answer_rows(quick: bool = False) -> Iterator[Row]:
    """Give every answer of every system but the rules; quick is the first answer of one rule."""
    first = drawn("test")[0]
    yield answer_row("test", "last mentioned", 0, first, (last_mentioned(first), 1.0), quick=True)
    if quick:
        return
    for name, given in all_answers().items():
        for (of, i, record), answer in given:
            if name not in RULES:
                yield answer_row(of, name, i, record, answer)


def answer_row(
    of: str, system: str, i: int, record: Record, answer: tuple[str, float], *, quick: bool = False
) -> Row:
    """Return one answer: of which set and system, to which question, and how sure."""
    return {
        "set": of,
        "system": system,
        "i": i,
        "kind": kind_of(record),
        "distance": distance(record) if record.evidence else "",
        "answer": record.answer,
        "written": answer[0],
        "sure": round(answer[1], 4),
        "quick": "yes" if quick else "",
    }


Given = list[tuple[tuple[str, int, Record], tuple[str, float]]]


@lru_cache
def all_answers() -> dict[str, Given]:
    """Return what each system says, beside the set, the number and the question."""
    given: dict[str, Given] = {}
    for name, (answer, is_asked) in systems().items():
        chosen = [
            (of, i, record)
            for of, records in asked_sets().items()
            for i, record in enumerate(records)
            if is_asked(record) and (of == "test" or name not in (*RULES, "likeliest"))
        ]
        given[name] = list(zip(chosen, answer([record for *_, record in chosen]), strict=True))
    return given


def table_rows(quick: bool = False) -> Iterator[Row]:
    """Measure the systems on TinyWorld and on the help topics; quick is one rule on TinyWorld."""
    test = drawn("test")
    right = [float(same_words(last_mentioned(record), record.answer)) for record in test]
    yield table_row("tinyworld", "last mentioned", "exact match", right, 0, quick=True)
    if quick:
        return
    seconds = {name: cost for name, (_, cost) in writers().items()} | {"pointed": pointer()[1]}
    for name, given in all_answers().items():
        now = [(r, said) for (of, _, r), (said, _) in given if of == "test"]
        cost = seconds.get(name, 0)
        if name not in ("likeliest", "pointed"):
            if name != "last mentioned":
                exact = [float(same_words(said, r.answer)) for r, said in now]
                yield table_row("tinyworld", name, "exact match", exact, cost)
            shared = [word_f1(said, r.answer) for r, said in now]
            yield table_row("tinyworld", name, "F1", shared, cost)
        last = [float(words(said)[-1:] == [named(r)]) for r, said in now if pointable(r)]
        yield table_row(f"tinyworld, {' and '.join(POINTED)}", name, "last word", last, cost)
    yield from doc_rows()


def same_words(written: str, truth: str) -> bool:
    """Whether two answers have the same words in the same order."""
    return answer_words(written) == answer_words(truth)


def table_row(
    data: str,
    system: str,
    metric: str,
    values: Sequence[float],
    seconds: float,
    *,
    quick: bool = False,
) -> Row:
    """Return a mean and its 95 % interval: Wilson's for shares, else a bootstrap of 2,000 draws."""
    found = shares(values) if set(values) <= {0.0, 1.0} else redrawn(values, 2000)
    value, low, high = (round(number, 4) for number in found)
    return {
        "task": "question answering",
        "data": data,
        "system": system,
        "metric": metric,
        "value": value,
        "low": low,
        "high": high,
        "cpu_seconds": round(seconds, 1),
        "quick": "yes" if quick else "",
    }


# ── Python's help topics ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Gap:
    """A sentence with a gap, where it comes from, and what stood there."""

    topic: str
    sentence: str
    name: str

    @property
    def question(self) -> str:
        """The sentence with another word wherever the name stood."""
        return re.sub(rf'"{self.name}(\(\))?"', GAP, self.sentence)


@lru_cache
def topics() -> dict[str, str]:
    """Return all help topics, their white space made even."""
    docs = load("python_docs")
    return {d.name: " ".join(d.text.split()) for d in (*docs.train, *docs.val, *docs.test)}


@lru_cache
def gaps() -> tuple[Gap, ...]:
    """Draw sentences of ten words or more whose first quoted name also stands elsewhere."""
    found = []
    for topic, text in topics().items():
        for sentence in re.split(r"(?<=[.:])\s+(?=[A-Z\"])", text):
            names = NAME.findall(sentence)
            usable = re.match(r"[A-Z].*\.$", sentence) and len(words(sentence)) >= 10
            if names and usable and len(sentence) < 300:
                gap = Gap(topic, sentence, names[0])
                if names[0] in NAME.findall(text.replace(sentence, "")):
                    found.append(gap)
    order = np.random.default_rng(0).permutation(len(found))
    return tuple(found[i] for i in order[:GAPS])


def tokens(texts: Sequence[str]) -> list[list[str]]:
    """Cut texts into words in small letters, common English ones left out."""
    cut = bm25s.tokenize(list(texts), return_ids=False, show_progress=False)
    assert isinstance(cut, list)
    return cut


def best(corpus: Sequence[list[str]], question: str, k: int) -> list[int]:
    """Return the k texts, already cut into words, that BM25 ranks first for a question."""
    ranker = bm25s.BM25()
    ranker.index(list(corpus), show_progress=False)
    found = ranker.retrieve(tokens([question]), k=min(k, len(corpus)), show_progress=False)
    return [int(i) for i in found.documents[0]]


@lru_cache
def retrieved() -> list[list[str]]:
    """Return for each gap the five topics that rank first, its own without its sentence."""
    names, ranked = list(topics()), []
    cut = dict(zip(names, tokens(list(topics().values())), strict=True))
    for gap in gaps():
        (home,) = tokens([topics()[gap.topic].replace(gap.sentence, "")])
        corpus = {**cut, gap.topic: home}
        ranked.append([names[i] for i in best(list(corpus.values()), gap.question, 5)])
    return ranked


def candidates(gap: Gap, topic: str) -> list[str]:
    """Return the names quoted in a topic and not in the question, the most frequent first."""
    text = topics()[topic].replace(gap.sentence, "")
    counts = Counter(NAME.findall(text))
    return [name for name, _ in counts.most_common() if name not in NAME.findall(gap.question)]


def by_sentence(gap: Gap, topic: str) -> str:
    """Answer with the first name in the sentence of the topic that BM25 ranks first."""
    text = topics()[topic].replace(gap.sentence, "")
    names = set(candidates(gap, topic))
    told = [s for s in re.split(r"(?<=[.:])\s+", text) if names & {*NAME.findall(s)}]
    if not told:
        return ""
    return next(n for n in NAME.findall(told[best(tokens(told), gap.question, 1)[0]]) if n in names)


@torch.no_grad()
def by_storyteller(gap: Gap, topic: str) -> str:
    """Answer with the name that gains most from what stands before the gap."""
    shipped = load_shipped("tinyworld-en")
    names = candidates(gap, topic)[:MOST_NAMES]
    before = gap.sentence.split(f'"{gap.name}')[0] + '"'
    texts = ([shipped.tokenizer.end, *shipped.tokenizer.encode(t)][-150:] for t in (before, '"'))
    labels = [shipped.tokenizer.encode(name)[:20] for name in names]
    if not names:
        return ""
    scores = label_log_probs(shipped.model, list(texts), labels)
    return names[int((scores[0] - scores[1]).argmax())]


def doc_rows() -> Iterator[Row]:
    """Measure finding the topic, and then finding the name in the topic that was found."""
    longest = sorted(topics(), key=lambda name: -len(topics()[name]))
    for system, ranked in (("longest topics", [longest] * len(gaps())), ("BM25", retrieved())):
        for k in (1, 5):
            found = [float(g.topic in r[:k]) for g, r in zip(gaps(), ranked, strict=True)]
            yield table_row("python_docs", system, f"recall@{k}", found, 0)
    readers: dict[str, Callable[[Gap, str], str]] = {
        "BM25, most frequent name": lambda gap, topic: (candidates(gap, topic) or [""])[0],
        "BM25, name in the best sentence": by_sentence,
        "BM25, storyteller chooses": by_storyteller,
    }
    for system, read in readers.items():
        started = time.process_time()
        pairs = zip(gaps(), retrieved(), strict=True)
        right = [float(read(gap, ranked[0]) == gap.name) for gap, ranked in pairs]
        seconds = time.process_time() - started
        yield table_row("python_docs", system, "exact match", right, seconds)
