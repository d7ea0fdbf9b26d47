"""Tasks whose truth is known: questions, summaries, translations, wishes and more, from stories.

A task takes a world, a source of randomness and a number, and yields so many records:
`list(questions(TinyWorld.full("zh"), np.random.default_rng(0), 10))`. The code says how one record
is made from a drawn story. The words stand in tables, examples in `datasets/tinyworld_tasks.md`.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, pairwise, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from labkit.files import write_atomically
from tinyworld.judge import Fault, grammar, judge
from tinyworld.language import capitalise
from tinyworld.lexicon import KINDS, LANGUAGES, THINGS, compile_phrasing, read_table, world
from tinyworld.state import State
from tinyworld.tinyworld import Story, TinyWorld

FADES = {"mend", "fetch", "direct", "admit", "sorry"}
"""Events that may change a feeling without a word about it: no feeling is asked for after one."""
WHERE = {"people": "B", "places": "P", "containers": "K"}
NAMED = {"name": ("people",), "thing": THINGS, "place": ("places",)}
MOST_TRIES, MOST_STORIES = 20, 1000
Roles = dict[str, str]
Events = Sequence[tuple[str, ...]]
Facts = dict[tuple[tuple[str, str], ...], tuple[str, Roles]]
"""From the roles of a question to the form and the roles of its true answer."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One task and its true answer; what a task does not use is empty.

    `task` has its kind after a colon: "question: why". A `text`, be it a story, its beginning or a
    wish, and a `question` are given. Sentence number `evidence` made the `answer` true. A worse
    answer is `rejected` for a `reason`. The `messages` of a dialogue have "role" and "content".
    """

    task: str
    language: str
    text: str = ""
    question: str = ""
    answer: str = ""
    evidence: int = 0
    rejected: str = ""
    reason: str = ""
    messages: tuple[dict[str, str], ...] = ()


class _Draw(NamedTuple):
    """What a record is made from: a drawn story, and how many records there are already."""

    world: TinyWorld
    rng: np.random.Generator
    story: Story
    i: int

    @property
    def words(self) -> dict[str, Any]:
        return read_table(f"tasks_{LANGUAGES[self.world.language]}")

    def pick(self, choices: Sequence[Any]) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def say(self, template: str, roles: Mapping[str, str]) -> str:
        feelings = self.words["feelings"]
        roles = {role: feelings.get(name, name) for role, name in roles.items()}
        return say(template, roles, self.world.language)

    def join(self, sentences: Sequence[str]) -> str:
        return grammar(self.world.language).language.joint.join(sentences)

    def record(self, task: str, answer: str, **fields: Any) -> Record:
        known = {"task": task, "language": self.world.language, "text": self.story.text}
        return Record(**{**known, "answer": answer, **fields})


Task = Callable[[TinyWorld, np.random.Generator, int], Iterator[Record]]


def _task(make: Callable[[_Draw], Record | None]) -> Task:
    """Turn the way to make one record into a generator of n."""

    def generate(world: TinyWorld, rng: np.random.Generator, n: int) -> Iterator[Record]:
        for i in range(n):
            made = (make(_Draw(world, rng, world.sample(rng), i)) for _ in range(MOST_STORIES))
            record = next((record for record in made if record), None)
            if record is None:
                name, plots = make.__name__, world.limits.plots
                raise ValueError(f"expected plots for {name}, got {plots}; use TinyWorld.full")
            yield record

    generate.__name__, generate.__doc__ = make.__name__, make.__doc__
    return generate


def say(template: str, roles: Mapping[str, str], language: str = "en") -> str:
    """Fill the slots of a template; a pronoun stands only for {A.she} and the like.

    >>> say("{A} lost {X.new}.", {"A": "mia", "X": "kite", "X*": "red"})
    'Mia lost a red kite.'
    """
    rules, text = grammar(language).language, ""
    for piece in compile_phrasing(template, present=False, measured=rules.measured):
        role, form = ("", "") if isinstance(piece, str) else piece
        name = piece if isinstance(piece, str) else roles[role.rstrip("#")]
        if role[:1] not in KINDS:
            text += name
        elif role.endswith("#"):
            text += rules.measure(name)
        elif form == "noun":
            text += rules.first(role, form, name)
        else:
            text += rules.known(role, form, name, "", clear=False)[0][1]
    return capitalise(text)


def _feelings(events: Events) -> dict[str, tuple[str, str, Roles]]:
    """Return everybody's feeling after some events, the event it comes from, and its roles."""
    felt: dict[str, tuple[str, str, Roles]] = {}
    for name, *names in events:
        event = world().events[name]
        roles = dict(zip(event.roles, names, strict=True))
        felt = {} if name in FADES else felt
        felt |= {roles[e[1]]: (e[2], name, roles) for e in event.makes if e[0] == "feel"}
    return felt


def _named(events: Events, kind: str = "toys") -> list[str]:
    """Return who or what of a kind takes part in some events, in the order of coming up."""
    names = dict.fromkeys(name for event in events for name in event[1:])
    return [name for name in names if world().kind_of.get(name) == kind]


def _at(where: str | None, *who: str) -> tuple[str, Roles]:
    """Return the form and the roles of saying where something is, as believed by `who`."""
    letter = WHERE.get(world().kind_of.get(where or "", ""), "unknown")
    return "self" if where in who else letter, {letter: where or ""}


FACTS: dict[str, Callable[[State, Events], Facts]] = {
    "where_person": lambda s, e: {(("A", a),): _at(s.place(a)) for a in _named(e, "people")},
    "where_thing": lambda s, e: {(("X", x),): _at(s.at.get(x)) for x in _named(e)},
    "who_has": lambda s, e: {(("X", x),): _at(s.at.get(x)) for x in _named(e)},
    "belief": lambda s, e: {
        (("A", a), ("X", x)): _at(w, a) for (a, x), w in s.knows.items() if x in _named(e)
    },
    "people": lambda _, e: {(): ("N", {"N": str(len(_named(e, "people")))})},
    "mentions": lambda _, e: {
        (("X", x),): ("N", {"N": str(sum(x in c for c in e))}) for x in _named(e)
    },
    "feels": lambda _, e: {(("A", a),): ("H", {"H": f[0]}) for a, f in _feelings(e).items()},
    "why": lambda _, e: {(("A", a), ("H", f[0])): f[1:] for a, f in _feelings(e).items()},
}
"""What is true after some events, for each kind of question."""
QUESTIONS = (*FACTS, "truth")


def _ask(draw: _Draw, kind: str, ends: Iterable[int]) -> Record | None:
    """Ask a question of a kind about the first k sentences, k one of `ends`, if there is one."""
    story, words, states = draw.story, draw.words, draw.story.states
    base = draw.pick(["where_person", "where_thing"]) if kind == "truth" else kind
    facts = [FACTS[base](state, story.events[:k]) for k, state in enumerate(states, 1)]
    known = words["statements" if kind == "truth" else "answers"][base]
    found = [
        (k, asked)
        for k in ends
        for asked, (form, _) in facts[k - 1].items()
        if form in known and not any(("broken", x) in states[k - 1].facts for _, x in asked)
    ]
    if kind == "belief" and draw.i // len(QUESTIONS) % 2:  # every second one a false belief
        there = [FACTS["where_thing"](s, story.events) for s in states]
        found = [(k, a) for k, a in found if facts[k - 1][a][1] != there[k - 1][a[1:]][1]]
    if not found:
        return None
    k, asked = draw.pick(found)
    roles, now, true = dict(asked), facts[k - 1][asked], draw.rng.random() < 0.5
    form, told = now
    if kind == "truth" and not true:
        ((letter, name),) = told.items()
        same = world().kind_of[name]
        pools = (_named(story.events[:k], same), world().things[same])
        told = {letter: draw.pick(next(filter(None, (sorted({*p} - {name}) for p in pools))))}
    answer = draw.say(known[form], roles | told)
    if kind == "truth":
        roles["T"], answer = answer, words["truths"]["true" if true else "false"]
    return draw.record(
        f"question: {kind}",
        answer,
        text=draw.join(story.sentences[:k]),
        question=draw.say(draw.pick(words["questions"][kind]), roles),
        evidence=max(j for j in range(1, k + 1) if j == 1 or facts[j - 2].get(asked) != now),
    )


@_task
def questions(draw: _Draw) -> Record | None:
    """Ask about a moment before the last sentence; the kinds of question take turns."""
    return _ask(draw, QUESTIONS[draw.i % len(QUESTIONS)], range(1, len(draw.story.events)))


@_task
def sentiments(draw: _Draw) -> Record | None:
    """Ask how somebody feels: happy or not in turns; after the whole story in one of four."""
    size, happy = len(draw.story.events), draw.say("{H}", {"H": "happy"})
    record = _ask(draw, "feels", [size] if draw.i % 4 == 0 else range(1, size))
    wanted = record and record.answer.startswith(happy) == (draw.i % 2 == 0)
    return replace(record, task="sentiment") if record and wanted else None


@_task
def dialogues(draw: _Draw) -> Record:
    """Ask three times while the story goes on, so that answers change."""
    sentences, messages = draw.story.sentences, list[dict[str, str]]()
    ends = sorted(draw.rng.choice(np.arange(1, len(sentences)), 3, replace=False).tolist())
    for start, end in pairwise([0, *ends]):
        asked = (_ask(draw, str(kind), [end]) for kind in draw.rng.permutation(QUESTIONS))
        turn = next(record for record in asked if record)
        content = f"{draw.join(sentences[start:end])}\n{turn.question}"
        messages.append({"role": "user", "content": content})
        messages.append({"role": "assistant", "content": turn.answer})
    return draw.record("dialogue", "", text="", messages=tuple(messages))


@_task
def summaries(draw: _Draw) -> Record:
    """Say a story in one sentence."""
    template = draw.pick(draw.words["summaries"][draw.story.plot])
    return draw.record("summary", draw.say(template, draw.story.roles))


@_task
def translations(draw: _Draw) -> Record:
    """Tell a story in the other language."""
    other = TinyWorld("en" if draw.world.language == "zh" else "zh", draw.world.limits)
    return draw.record("translation", other.retell(draw.story, draw.rng).text)


@_task
def tenses(draw: _Draw) -> Record:
    """Put a story into the present tense and leave all else as it is; English only."""
    if draw.world.language != "en":
        raise ValueError(f"expected the language 'en', got {draw.world.language!r}; use 'en'")
    seed = int(draw.rng.integers(2**32))  # the same choices twice: the same words in both tenses
    past = draw.world.retell(draw.story, np.random.default_rng(seed))
    present = draw.world.retell(draw.story, np.random.default_rng(seed), present=True)
    return draw.record("tense", present.text, text=past.text)


@_task
def plain_words(draw: _Draw) -> Record | None:
    """Tell a story in the simplest words."""
    plain = draw.world.retell(draw.story, draw.rng, plain=True).text
    return draw.record("plain words", plain) if plain != draw.story.text else None


def _spoil(
    draw: _Draw, right: list[str], start: int, rules: Sequence[Sequence[str]], unless: str = ""
) -> tuple[list[str], Fault] | None:
    """Put a wrong form for a pattern, where the judge then finds a fault that is not `unless`."""
    ways = [
        (k, match.string[: match.start()] + match.expand(wrong) + match.string[match.end() :])
        for k in range(start, len(right))
        for pattern, *wrongs in rules
        for match in re.finditer(pattern, right[k])
        for wrong in wrongs
    ]
    for j in draw.rng.permutation(len(ways))[:MOST_TRIES]:
        spoiled = [*right[: ways[j][0]], ways[j][1], *right[ways[j][0] + 1 :]]
        fault = draw.world.judge(draw.join(spoiled)).fault
        if fault and fault.kind != unless:
            return spoiled, fault
    return None


@_task
def corrections(draw: _Draw) -> Record | None:
    """Correct a mistake that the judge finds; the kinds of mistake take turns."""
    kind, rules = list(draw.words["mistakes"].items())[draw.i % len(draw.words["mistakes"])]
    right = draw.story.sentences[: int(draw.rng.integers(3, 7))]
    found, answer = _spoil(draw, right, 0, rules), draw.join(right)
    return found and draw.record(f"correction: {kind}", answer, text=draw.join(found[0]))


@_task
def preferences(draw: _Draw) -> Record | None:
    """Go on with a story; a name, thing or place in the rejected way contradicts it."""
    kind = list(NAMED)[draw.i % len(NAMED)]
    names = chain(*(world().things[sort] for sort in NAMED[kind]))
    words = list(map(grammar(draw.world.language).language.noun, names))
    start = int(draw.rng.integers(2, len(draw.story.events) - 1))
    right = draw.story.sentences[: start + 3]
    found = _spoil(draw, right, start, [(word, *words) for word in words], unless="spelling")
    text, answer = draw.join(right[:start]), draw.join(right[start:])
    new = found and {"rejected": draw.join(found[0][start:]), "reason": found[1].reason}
    return draw.record(f"preference: {kind}", answer, text=text, **new) if new else None


@_task
def instructions(draw: _Draw) -> Record:
    """Wish for a story with certain people, things and events; the answer fulfils the wish."""
    openings, wishes = draw.words["instructions"].values()
    template = draw.pick(openings).replace("{T}", wishes[draw.story.plot][0])
    return draw.record("instruction", draw.story.text, text=draw.say(template, draw.story.roles))


def follows(instruction: str, text: str, language: str = "en") -> bool:
    """Tell whether a text fulfils a wish of `instructions`.

    It must be a complete story without a fault, in which those people do those things in that
    order, with such a thing: what the text tells, worded as a wish, must be the instruction.
    """
    openings, wishes = read_table(f"tasks_{LANGUAGES[language]}")["instructions"].values()
    if not instruction.startswith(tuple(opening.split("{")[0] for opening in openings)):
        raise ValueError(f"expected a text that begins like {openings}, got {instruction!r}")
    verdict, rules = judge(text, language), grammar(language).language
    for opening, (wish, *wanted) in product(openings, wishes.values()):
        roles = _bind(verdict.events, wanted)
        adjectives = {f"{role}*": "" for role in roles} | {  # "": a text need not name any
            f"{role}*": word
            for role, name in roles.items()
            for word in world().adjectives.get(world().kind_of[name], ())
            if rules.adjective(word) + rules.noun(name) in text
        }
        template = opening.replace("{T}", wish)
        if roles and say(template, roles | adjectives, language) == instruction:
            return verdict.consistent and verdict.complete
    return False


def _bind(events: Events, wanted: Sequence[str]) -> Roles:
    """Return who and what fills the roles of wanted events; nobody if they do not all happen."""
    roles, left = Roles(), iter(events)
    for kind, *letters in map(str.split, wanted):
        given = (dict(zip(letters, names, strict=False)) for name, *names in left if name == kind)
        roles |= next((new for new in given if new | roles == roles | new), {"missing": kind})
    return {} if "missing" in roles else roles


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write records as lines of JSON, empty fields left out; the file is either whole or absent."""
    rows = ({key: value for key, value in asdict(record).items() if value} for record in records)
    write_atomically(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
