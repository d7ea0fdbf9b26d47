"""Translation: one model for both ways, beside a translation memory and the truth.

On TinyWorld the judge says whether a sentence still tells what it should. On the texts of an
interface there is only what other people wrote.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from functools import lru_cache

import numpy as np

from corpora.turns import letters
from experiments import summaries
from experiments.counting import Row
from experiments.written import (
    CONFIG,
    MEMORY,
    MODEL,
    Pairs,
    Work,
    answered,
    nearest,
    new_gpt,
    overlap_rows,
    remembered,
    share_row,
)
from labkit.datasets import load
from labkit.tokenizers import BPETokenizer
from tinyworld import Story, TinyWorld

ALIKE = 0.8
"""Share of letters from which a test text counts as a near repeat."""
JOINTS = {"en": " ", "zh": ""}
TO = {"en": "In English: {}\n", "zh": "In Chinese: {}\n"}
"""How a translation is asked for, by the language to translate into."""


def keeps_events(language: str, sentences: Sequence[str], k: int, said: str) -> bool:
    """Tell whether a text can stand for sentence k of a telling, and the same still happens."""
    joint, world = JOINTS[language], TinyWorld.full(language)
    told = world.judge(joint.join([*sentences[:k], said, *sentences[k + 1 :]]))
    return told.fault is None and told.events == world.judge(joint.join(sentences)).events


@lru_cache
def tellings(seed: int, n: int) -> list[dict[str, Story]]:
    """Draw stories in Chinese, told twice more in each language."""
    rng, zh, en = np.random.default_rng(seed), TinyWorld.full("zh"), TinyWorld.full("en")
    drawn = [zh.sample(rng) for _ in range(n)]
    return [
        {"zh": s}
        | {
            name: world.retell(s, rng)
            for name, world in (("en", en), ("en again", en), ("zh again", zh))
        }
        for s in drawn
    ]


def story_pairs(told: list[dict[str, Story]], source: str, target: str) -> Pairs:
    """Return the sentences of stories with those of another telling, in pairs."""
    return [
        (TO[target[:2]].format(a), b)
        for each in told
        for a, b in zip(each[source].sentences, each[target].sentences, strict=True)
    ]


def world_rows() -> Iterator[Row]:
    """Translate TinyWorld, both ways by one model, beside a memory and a second true telling."""
    train, test = tellings(0, 1500), tellings(1, 60)
    both = {to: story_pairs(train, source, to) for source, to in (("zh", "en"), ("en", "zh"))}
    asked_for = {to: story_pairs(test, source, to) for source, to in (("zh", "en"), ("en", "zh"))}
    texts = [text for pair in both["en"] for text in pair]
    tokenizer = BPETokenizer.train(texts, 2048)
    work = Work(
        train=both["en"] + both["zh"],
        prompts=[prompt for to in both for prompt, _ in asked_for[to]],
        tokenizer=tokenizer,
        model=new_gpt(tokenizer),
        config=replace(CONFIG, max_steps=600),
        n_tokens=48,
    )
    said, seconds = answered(work)
    for to, source in (("en", "zh"), ("zh", "en")):
        prompts = [prompt for prompt, _ in asked_for[to]]
        mine = said[: len(prompts)] if to == "en" else said[-len(prompts) :]
        again = [b for _, b in story_pairs(test, source, f"{to} again")]
        name = f"translation {source}-{to} | tinyworld | "
        yield from world_scores(name + MODEL, test, to, mine, seconds)
        yield from world_scores(name + MEMORY, test, to, *remembered(both[to], prompts))
        yield from world_scores(name + "told again, truly", test, to, again, 0.0)


def world_scores(
    name: str, test: list[dict[str, Story]], to: str, said: list[str], seconds: float
) -> Iterator[Row]:
    """Measure overlap with one true telling, and what the judge reads."""
    right = [sentence for each in test for sentence in each[to].sentences]
    yield from overlap_rows(name, said, right, to, seconds)
    places = [(each[to].sentences, k) for each in test for k in range(len(each[to].sentences))]
    kept = [keeps_events(to, *place, text) for place, text in zip(places, said, strict=True)]
    yield share_row(name, "same events", kept, seconds)


def interface_rows(quick: bool = False) -> Iterator[Row]:
    """Translate JupyterLab's interface; test texts with and without a near repeat apart."""
    data = load("interface_en_zh")
    both = {
        to: [(TO[to].format(d.turns[a]), d.turns[1 - a]) for d in data.train]
        for to, a in (("zh", 0), ("en", 1))
    }
    asked_for = {
        to: [(TO[to].format(d.turns[a]), d.turns[1 - a]) for d in data.test]
        for to, a in (("zh", 0), ("en", 1))
    }
    prompts = {to: [prompt for prompt, _ in asked_for[to]] for to in both}
    answers = {(to, MEMORY): remembered(both[to], prompts[to]) for to in both}
    if not quick:
        tokenizer = BPETokenizer.train([text for d in data.train for text in d.turns], 2048)
        work = Work(
            train=both["zh"] + both["en"],
            prompts=prompts["zh"] + prompts["en"],
            tokenizer=tokenizer,
            model=new_gpt(tokenizer, dropout=0.1),
            config=replace(CONFIG, max_steps=500, context_length=100, weight_decay=0.1),
            n_tokens=64,
        )
        said, seconds = answered(work)
        half = len(data.test)
        answers |= {("zh", MODEL): (said[:half], seconds), ("en", MODEL): (said[half:], seconds)}
    near = near_repeats([d.turns[0] for d in data.train], [d.turns[0] for d in data.test])
    for (to, system), (texts, seconds) in answers.items():
        for part, chosen in (("", None), (", near repeats", True), (", others", False)):
            some = [i for i, is_near in enumerate(near) if chosen in (None, is_near)]
            name = f"translation {'en-zh' if to == 'zh' else 'zh-en'} | interface_en_zh{part} | "
            right = [asked_for[to][i][1] for i in some]
            yield from overlap_rows(name + system, [texts[i] for i in some], right, to, seconds)


def near_repeats(known: Sequence[str], texts: Sequence[str]) -> list[bool]:
    """Tell of each text whether its nearest known one has four fifths of its letters."""
    pairs = zip(texts, (known[i] for i in nearest(known, texts)), strict=True)
    same = (SequenceMatcher(None, letters(a), letters(b)).ratio() for a, b in pairs)
    return [ratio >= ALIKE for ratio in same]


def table_rows(quick: bool = False) -> Iterator[Row]:
    """Measure every system of chapter 53 on every task."""
    if quick:
        yield from (one for one in interface_rows(quick=True) if one["quick"])
        return
    yield from interface_rows()
    yield from world_rows()
    yield from summaries.all_rows()
