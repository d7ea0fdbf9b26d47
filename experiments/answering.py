"""Questions about TinyWorld: answers that are written, pointed at, or guessed by a rule.

Every answer of every system to every test question is kept, so that chapter 52 can count them in
its own ways. The questions are drawn again from their seeds; a row names one by its number.
"""

import copy
import re
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch

from labkit.finetune import (
    Pointer,
    best_spans,
    fine_tune,
    label_log_probs,
    read_all,
    vectors_of,
)
from labkit.gpt import GPT
from labkit.shipped import load_shipped
from labkit.tasks import Writer, asked, encode_tasks, loss_on_answers, write_answers
from labkit.training import TrainConfig
from tinyworld import TinyWorld, tasks
from tinyworld.judge import grammar
from tinyworld.lexicon import world
from tinyworld.tasks import Record

SEEDS = {"names": 0, "train": 1, "test": 2, "changed": 5}
RECORDS = {"names": 900, "train": 4500, "test": 900, "changed": 3600}
"""Questions of each part, as many of each kind; "names" are those about which one may ask."""
REFUSAL = "The story does not say."
REFUSING = ("where_person", "where_thing", "who_has")
"""Kinds of question that are also asked about somebody or something that never comes up."""
POINTED = ("where_person", "who_has")
"""Kinds whose answer names one place or person that stands in the text."""
TUNING = TrainConfig(
    max_steps=600,
    batch_size=16,
    context_length=224,
    learning_rate=1.5e-3,
    warmup_steps=20,
    weight_decay=0.01,
)
REFUSING_STEPS, POINTING_STEPS = 120, 160
LONGEST_ANSWER = 24
"""Tokens that are written at most."""
MOST_LABELS = 30
"""A kind with more answers than this is not asked by label likelihood."""
STRANGER, ELSEWHERE = "Kate", "museum"
"""A person and a place that no story of TinyWorld knows."""


def kind_of(record: Record) -> str:
    """Return the kind of a question, such as "who_has"."""
    return record.task.removeprefix("question: ")


def prompt(record: Record) -> str:
    """Return what is given: the story, a space, the question."""
    return f"{record.text} {record.question}"


@lru_cache
def drawn(part: str) -> tuple[Record, ...]:
    """Draw the questions of a part; equal seeds give equal questions."""
    rng = np.random.default_rng(SEEDS[part])
    return tuple(tasks.questions(TinyWorld.full("en"), rng, RECORDS[part]))


def distance(record: Record) -> int:
    """Return how many sentences of the text come after the evidence."""
    return len(list(grammar("en").sentences(record.text))) - record.evidence


def named(record: Record) -> str:
    """Return the last word of the answer: of the two kinds one can point at, its place or name."""
    return words(record.answer)[-1]


def words(text: str) -> list[str]:
    """Cut a text into words without signs."""
    return re.findall(r"\w+", text)


def unanswerable(records: Sequence[Record], seed: int) -> list[Record]:
    """Ask the questions of three kinds about somebody or something that the text never names."""
    rng, asked_for = np.random.default_rng(seed), defaultdict[str, set[str]](set)
    for record in drawn("names"):
        asked_for[kind_of(record)].add(subject(record))
    made = []
    for record in records:
        kind = kind_of(record)
        if kind in REFUSING:
            missing = sorted(name for name in asked_for[kind] if name not in record.text)
            question = record.question.replace(
                subject(record), missing[int(rng.integers(len(missing)))]
            )
            made.append(replace(record, question=question, answer=REFUSAL, evidence=0))
    return made


def subject(record: Record) -> str:
    """Return who or what a question of where or who is about."""
    return re.sub(r"^(Where is|Who has) (the )?| now|\?$", "", record.question)


def changed(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Change stories so that their answers change too, in ways that no story was ever told."""
    new_place, new_name, turned = [], [], []
    for record in records:
        if kind_of(record) == "where_person" and named(record) in record.text:
            new_place.append(with_word(record, named(record), ELSEWHERE))
        if kind_of(record) == "who_has":
            new_name.append(with_word(record, named(record), STRANGER))
            turned += turned_round(record)
    return {"new place": new_place[:100], "new name": new_name[:100], "turned round": turned}


def with_word(record: Record, old: str, new: str) -> Record:
    """Put one word for another in the text and in the answer."""
    pattern = rf"\b{old}\b"
    text, answer = (re.sub(pattern, new, part) for part in (record.text, record.answer))
    return replace(record, text=text, answer=answer)


def turned_round(record: Record) -> list[Record]:
    """Exchange the two who are named in the evidence, so that the wrong one has the thing."""
    sentences = [sentence for _, sentence in grammar("en").sentences(record.text)]
    evidence, holder = sentences[record.evidence - 1], named(record)
    people = {word for word in words(evidence) if word.lower() in world().things["people"]}
    if len(people) != 2 or holder not in people:
        return []
    (other,) = people - {holder}
    swap = {holder: other, other: holder}
    sentences[record.evidence - 1] = re.sub(
        rf"\b({holder}|{other})\b", lambda m: swap[m.group()], evidence
    )
    return [replace(record, text=" ".join(sentences), answer=f"{other}.")]


# ── Rules that read no sentence ──────────────────────────────────────────────────────────────────


@lru_cache
def known_answers() -> dict[str, Counter[str]]:
    """Return the answers that training gives to each kind of question, with how often."""
    known: dict[str, Counter[str]] = defaultdict(Counter)
    for record in drawn("train"):
        known[kind_of(record)][record.answer] += 1
    return dict(known)


def most_frequent(record: Record) -> str:
    """Answer what was right most often for this kind of question."""
    return known_answers()[kind_of(record)].most_common(1)[0][0]


def last_mentioned(record: Record) -> str:
    """Answer with the last word of the text that some answer to this kind of question ends with.

    Of answers such as "Ben has it." the first word is taken. Where none of these words is in the
    text, answer what was right most often.
    """
    ends: dict[str, str] = {}
    for answer, _ in reversed(known_answers()[kind_of(record)].most_common()):
        word = words(answer)[0 if answer.endswith("has it.") else -1].lower()
        ends[word] = answer
    for word in reversed(words(record.text.lower())):
        if word in ends:
            return ends[word]
    return most_frequent(record)


# ── Models ───────────────────────────────────────────────────────────────────────────────────────


def train_writer(model: GPT, records: Sequence[Record], config: TrainConfig) -> GPT:
    """Return a copy of a model that was trained to write the answers."""
    tuned, tokenizer = copy.deepcopy(model), load_shipped("tinyworld-en").tokenizer
    pieces = [asked(prompt(record), f" {record.answer}") for record in records]
    ids, targets = encode_tasks(tokenizer, pieces, config.context_length)
    for _ in fine_tune(Writer(tuned), ids, targets, config, loss=loss_on_answers):
        pass
    return tuned.eval()


@lru_cache
def writers() -> dict[str, tuple[GPT, float]]:
    """Train a writer, and that one further, to say when a story does not tell; with CPU-seconds."""
    records = drawn("train")
    started = time.process_time()
    plain = train_writer(load_shipped("tinyworld-en").model, records, TUNING)
    first = time.process_time() - started
    config = replace(TUNING, max_steps=REFUSING_STEPS, seed=1)
    refusing = train_writer(plain, [*records, *unanswerable(records, 3)], config)
    return {
        "written": (plain, first),
        "written, may refuse": (refusing, time.process_time() - started),
    }


@torch.no_grad()
def write(model: GPT, records: Sequence[Record]) -> list[tuple[str, float]]:
    """Return what a model writes to each question, and the probability that it gives to that."""
    tokenizer = load_shipped("tinyworld-en").tokenizer
    prompts = [[(prompt(record), False)] for record in records]
    generator = torch.Generator().manual_seed(0)
    written = write_answers(model, tokenizer, prompts, LONGEST_ANSWER, generator=generator)
    pieces = [asked(p[0][0], answer) for p, answer in zip(prompts, written, strict=True)]
    ids, targets = encode_tasks(tokenizer, pieces, TUNING.context_length)
    sure = [
        float(torch.exp(-loss_on_answers(model(torch.tensor([row])), wanted[None]) * n))
        for row, wanted in zip(ids, targets, strict=True)
        for n in [(wanted >= 0).sum()]
    ]
    return [(answer.strip(), p) for answer, p in zip(written, sure, strict=True)]


def likeliest(records: Sequence[Record]) -> list[tuple[str, float]]:
    """Let the model as it ships choose among the known answers of a kind.

    Chosen is the answer whose probability after text and question is most above that after the
    question alone; the other number returned is its share of what all answers get.
    """
    shipped = load_shipped("tinyworld-en")
    tokenizer, chosen = shipped.tokenizer, list[tuple[str, float]]()
    for record in records:
        labels = sorted(known_answers()[kind_of(record)])
        texts = [prompt(record), record.question]
        ids = [[tokenizer.end, *tokenizer.encode(text)] for text in texts]
        scores = label_log_probs(shipped.model, ids, [tokenizer.encode(f" {a}") for a in labels])
        share = (scores[0] - scores[1]).softmax(0)
        chosen.append((labels[int(share.argmax())], float(share.max())))
    return chosen


def few_answers(record: Record) -> bool:
    """Whether a question is of a kind with few answers, so that all can be tried."""
    return len(known_answers()[kind_of(record)]) <= MOST_LABELS


def pointed_ids(records: Sequence[Record]) -> tuple[list[list[int]], list[tuple[int, int] | None]]:
    """Return the ids of each text and question, and the last span with the answer's last word."""
    tokenizer = load_shipped("tinyworld-en").tokenizer
    ids, spans = list[list[int]](), list[tuple[int, int] | None]()
    for record in records:
        text = [tokenizer.end, *tokenizer.encode(record.text)]
        word = tokenizer.encode(f" {named(record)}")
        n = len(word)
        starts = [t for t in range(len(text)) if text[t : t + n] == word]
        spans.append((starts[-1], starts[-1] + n - 1) if starts else None)
        ids.append([*text, *tokenizer.encode(f" {record.question}")])
    return ids, spans


def pointable(record: Record) -> bool:
    """Whether a question is of a kind that the pointer is asked."""
    return kind_of(record) in POINTED


@lru_cache
def pointer() -> tuple[Pointer, float]:
    """Train a model to point at the word that answers, with the CPU-seconds it took."""
    started = time.process_time()
    model = load_shipped("tinyworld-en").model
    chosen = [record for record in drawn("train") if pointable(record)]
    pairs = [pair for pair in zip(*pointed_ids(chosen), strict=True) if pair[1]]
    made = Pointer(vectors_of(model), model.config.d_model, model.config.context_length)
    config = replace(TUNING, max_steps=POINTING_STEPS)
    spans = torch.tensor([span for _, span in pairs])
    for _ in fine_tune(made, [ids for ids, _ in pairs], spans, config):
        pass
    return made, time.process_time() - started


def point(records: Sequence[Record]) -> list[tuple[str, float]]:
    """Return the span that is pointed at for each question, and its probability."""
    tokenizer, ids = load_shipped("tinyworld-en").tokenizer, pointed_ids(records)[0]
    log_probs = read_all(pointer()[0], ids).log_softmax(-1)
    spans = best_spans(log_probs, 6).tolist()
    return [
        (tokenizer.decode(row[i : j + 1]).strip(), float((p[0, i] + p[1, j]).exp()))
        for row, p, (i, j) in zip(ids, log_probs, spans, strict=True)
    ]
