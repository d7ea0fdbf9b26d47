"""Summaries and rewriting: one sentence for a story or a docstring, and texts put right.

A true summary of a TinyWorld story is known when it is seen. The docstrings are those of the
interpreter that runs, split by module, so their numbers belong to one version of Python.
"""

import ast
import copy
import hashlib
import re
import sysconfig
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from rouge_score.rouge_scorer import RougeScorer

from experiments.counting import Row
from experiments.written import (
    CONFIG,
    MODEL,
    Pairs,
    Work,
    answered,
    mean_row,
    new_gpt,
    remembered,
    share_row,
)
from labkit.shipped import load_shipped
from labkit.tokenizers import BPETokenizer
from tinyworld import Story, TinyWorld, tasks
from tinyworld.judge import grammar
from tinyworld.lexicon import read_table

SUMMARISE = "{}\nIn short:"
PACKAGES: tuple[str, ...] = (
    "asyncio",
    "collections",
    "concurrent",
    "email",
    "http",
    "importlib",
    "json",
    "logging",
)
PACKAGES += ("multiprocessing", "tkinter", "unittest", "urllib", "xml")
FEWEST, MOST = 8, 40
"""Words of a docstring's rest: with fewer it is left out, of more the first are read."""
KINDS = {"correction": "Correct", "tense": "In the present tense", "plain words": "In plain words"}
SEEDS = (0, 1, 2)
"""Of the order of the examples and of dropout."""
REWRITERS = (tasks.corrections, tasks.tenses, tasks.plain_words)


def words_of(text: str) -> list[str]:
    """Cut a text into words in small letters."""
    return re.findall(r"\w+", text.lower())


def from_source(text: str, summary: str) -> float:
    """Return the share of a summary's words that stand in the text."""
    known, words = set(words_of(text)), words_of(summary)
    return sum(word in known for word in words) / max(len(words), 1)


def summary_scores(
    name: str, texts: Sequence[str], right: Sequence[str], said: Sequence[str], seconds: float
) -> Iterator[Row]:
    """Measure ROUGE, from 0 to 100, what was copied, and the length beside the right one's."""
    scorer = RougeScorer(["rouge1", "rougeL"], use_stemmer=False)
    scores = [scorer.score(a, b) for a, b in zip(right, said, strict=True)]
    for kind, called in (("rouge1", "ROUGE-1"), ("rougeL", "ROUGE-L")):
        yield mean_row(name, called, [100 * each[kind].fmeasure for each in scores], seconds)
    copied = [from_source(a, b) for a, b in zip(texts, said, strict=True)]
    yield mean_row(name, "words from the source", copied, seconds)
    length = [len(words_of(b)) / len(words_of(a)) for a, b in zip(right, said, strict=True)]
    yield mean_row(name, "length ratio", length, seconds)


def true_summaries(story: Story) -> list[str]:
    """Return the sentences that sum a story up; there are two for each plot."""
    templates = read_table("tasks_english")["summaries"][story.plot]
    return [tasks.say(template, story.roles) for template in templates]


def story_rows() -> Iterator[Row]:
    """Say a story of TinyWorld in one sentence."""
    world, shipped = TinyWorld.full("en"), load_shipped("tinyworld-en")
    rng, room = np.random.default_rng(0), 178
    stories = [world.sample(rng) for _ in range(2800)]
    stories = [s for s in stories if len(shipped.tokenizer.encode(s.text)) <= room]
    test, train = stories[:200], stories[200:]
    pairs = [(SUMMARISE.format(s.text), f" {rng.choice(true_summaries(s))}") for s in train]
    prompts, right = [SUMMARISE.format(s.text) for s in test], [true_summaries(s) for s in test]
    work = Work(
        train=pairs,
        prompts=prompts,
        tokenizer=shipped.tokenizer,
        model=shipped.model,
        config=replace(CONFIG, batch_size=8, max_steps=150),
        n_tokens=44,
    )
    systems: dict[str, tuple[list[str], float]] = {
        "first sentence": ([s.sentences[0] for s in test], 0.0),
        "nearest text's summary": remembered(pairs, prompts),
        MODEL: answered(work),
    }
    for system, (answers, seconds) in systems.items():
        name, said = f"summary | tinyworld | {system}", [text.strip() for text in answers]
        texts = [s.text for s in test]
        yield from summary_scores(name, texts, [two[0] for two in right], said, seconds)
        true = [text in two for text, two in zip(said, right, strict=True)]
        yield share_row(name, "true", true, seconds)


def docstring_pairs() -> dict[str, list[tuple[str, str]]]:
    """Return the rest of docstrings with their first lines, in train and test by module.

    The rest begins with the name of what it is about. A first line or a rest comes once.
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    files = [*root.glob("*.py"), *(f for p in PACKAGES for f in (root / p).rglob("*.py"))]
    found: dict[str, list[tuple[str, str]]] = {"train": [], "test": []}
    seen: set[str] = set()
    for file in sorted(files):
        module = file.relative_to(root).parts[0].removesuffix(".py")
        number = int(hashlib.sha256(module.encode()).hexdigest(), 16)
        for rest, first in documented(ast.parse(file.read_bytes())):
            if not seen & {rest, first}:
                found["test" if number % 5 == 0 else "train"].append((rest, first))
            seen |= {rest, first}
    return found


def documented(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield rest and first line of the docstrings of a module's functions and classes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first, _, rest = (ast.get_docstring(node) or "").partition("\n\n")
            words = rest.split()
            if "\n" not in first and first.endswith(".") and len(words) >= FEWEST:
                yield f"{node.name}: {' '.join(words[:MOST])}", first


def docstring_rows() -> Iterator[Row]:
    """Write the first line of a docstring from its rest, with a model that has read no more.

    How far it gets is largely chance, so it is trained with several seeds.
    """
    found = docstring_pairs()
    pairs = [(SUMMARISE.format(rest), f" {first}") for rest, first in found["train"]]
    prompts = [SUMMARISE.format(rest) for rest, _ in found["test"]]
    tokenizer = BPETokenizer.train([a + b for a, b in pairs], 2048)
    work = Work(
        train=pairs,
        prompts=prompts,
        tokenizer=tokenizer,
        model=new_gpt(tokenizer, dropout=0.1),
        config=replace(CONFIG, batch_size=8, max_steps=200, weight_decay=0.1),
        n_tokens=40,
    )
    systems: dict[str, tuple[list[str], float]] = {
        "docstrings | first sentence": ([first_sentence(rest) for rest, _ in found["test"]], 0.0),
        "docstrings | nearest text's summary": remembered(pairs, prompts),
    }
    for seed in SEEDS:
        one = replace(work, model=copy.deepcopy(work.model), config=replace(work.config, seed=seed))
        part = f", seed {seed}" if seed else ""
        systems[f"docstrings{part} | {MODEL}"] = answered(one)
    texts, right = ([pair[i] for pair in found["test"]] for i in (0, 1))
    for name, (said, seconds) in systems.items():
        texts_said = [text.strip() for text in said]
        yield from summary_scores(f"summary | {name}", texts, right, texts_said, seconds)


def first_sentence(rest: str) -> str:
    """Return the first sentence after the name."""
    return re.split(r"(?<=[.:]) ", rest.partition(": ")[2])[0]


def sentences(text: str) -> list[str]:
    """Cut an English text of TinyWorld into sentences, as the judge does."""
    return [sentence for _, sentence in grammar("en").sentences(text)]


def rewriting_pairs(seed: int, n: int) -> dict[str, Pairs]:
    """Return n records of each way to rewrite; of whole stories, their sentences in pairs."""
    world, pairs = TinyWorld.full("en"), dict[str, Pairs]()
    for rewriter in REWRITERS:
        number = n if rewriter is tasks.corrections else n // 8  # a story has many sentences
        records = list(rewriter(world, np.random.default_rng(seed), number))
        if rewriter is tasks.corrections:
            pairs["correction"] = [(r.text, r.answer) for r in records]
        else:
            told = [map(sentences, (r.text, r.answer)) for r in records]
            flat = [pair for a, b in told for pair in zip(a, b, strict=True)]
            pairs[records[0].task] = flat
    return pairs


def rewriting_rows() -> Iterator[Row]:
    """Correct mistakes, tell in the present tense and in plain words: one model for all three."""
    shipped, seen = load_shipped("tinyworld-en"), rewriting_pairs(0, 1600)
    test = {kind: pairs[:250] for kind, pairs in rewriting_pairs(1, 200).items()}
    told = {kind: f"{KINDS[kind]}: {{}}\n" for kind in KINDS}
    prompts = {k: [told[k].format(a) for a, _ in test[k]] for k in test}
    work = Work(
        train=[(told[k].format(a), b) for k in seen for a, b in seen[k]],
        prompts=[prompt for k in test for prompt in prompts[k]],
        tokenizer=shipped.tokenizer,
        model=shipped.model,
        config=replace(CONFIG, batch_size=8, max_steps=450),
        n_tokens=90,
    )
    answers, seconds = answered(work)
    left = iter(answers)
    for kind, pairs in test.items():
        started = time.process_time()
        table = word_table(seen[kind])
        ruled = [by_rule(text, table) for text, _ in pairs]
        spent = time.process_time() - started
        systems = {
            "copy": ([text for text, _ in pairs], 0.0),
            "rules": (ruled, spent),
            MODEL: ([next(left) for _ in pairs], seconds),
        }
        for system, (said, cost) in systems.items():
            yield from rewriting_scores(f"rewriting | {kind} | {system}", pairs, said, cost)


def rewriting_scores(name: str, pairs: Pairs, said: Sequence[str], seconds: float) -> Iterator[Row]:
    """Measure what is exactly right, and of corrections what the judge finds in order."""
    exact = [text == right for text, (_, right) in zip(said, pairs, strict=True)]
    yield share_row(name, "exact", exact, seconds)
    if "correction" in name:
        judge = TinyWorld.full("en").judge
        kept = [
            (v := judge(text)).fault is None and v.events == judge(right).events
            for text, (_, right) in zip(said, pairs, strict=True)
        ]
        yield share_row(name, "same events", kept, seconds)


def word_table(pairs: Pairs) -> dict[str, str]:
    """Return for each word the one that most often stands in its place in the right text."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for a, b in pairs:
        one, other = a.split(), b.split()
        if len(one) == len(other):
            for mine, theirs in zip(one, other, strict=True):
                found[mine][theirs] += 1
    return {word: counts.most_common(1)[0][0] for word, counts in found.items()}


def by_rule(text: str, table: Mapping[str, str]) -> str:
    """Rewrite word by word: as the table says, or as it says for the most similar known word."""
    words = text.split()
    near = (
        word if word in table else (get_close_matches(word, table, 1) or [""])[0] for word in words
    )
    return " ".join(table.get(one, word) for one, word in zip(near, words, strict=True))


def all_rows() -> Iterator[Row]:
    """Measure stories, rewriting and docstrings."""
    yield from story_rows()
    yield from rewriting_rows()
    yield from docstring_rows()
