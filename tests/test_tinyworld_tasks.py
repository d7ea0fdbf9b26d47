"""The truth of every task, found again in another way."""

import dataclasses
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from tinyworld import Limits, TinyWorld, tasks
from tinyworld.judge import grammar
from tinyworld.lexicon import LANGUAGES, read_table, world
from tinyworld.state import State
from tinyworld.tasks import Record, Task, follows, write_records

WORLDS = {code: TinyWorld.full(code) for code in ("en", "zh")}
OTHER = {"en": "zh", "zh": "en"}
EVERY: tuple[Task, ...] = (
    tasks.questions,
    tasks.sentiments,
    tasks.dialogues,
    tasks.summaries,
    tasks.translations,
    tasks.plain_words,
    tasks.corrections,
    tasks.preferences,
    tasks.instructions,
)
both = pytest.mark.parametrize("code", ["en", "zh"])


def made(task: Task, code: str, n: int, seed: int = 0) -> list[Record]:
    return list(task(WORLDS[code], np.random.default_rng(seed), n))


@lru_cache
def asked(code: str) -> list[Record]:
    return made(tasks.questions, code, 180)


def of_kind(code: str, kind: str) -> list[Record]:
    found = [record for record in asked(code) if record.task == f"question: {kind}"]
    assert len(found) == 20
    return found


@lru_cache
def events_of(text: str, code: str) -> list[tuple[str, ...]]:
    """The events of a text as the judge reads them: nothing the generator knew is used."""
    verdict = WORLDS[code].judge(text)
    assert verdict.consistent, verdict.fault
    return list(verdict.events)


def told(text: str, code: str) -> tuple[list[tuple[str, ...]], State]:
    """The events of a text, and how things are after it."""
    state, events = State(), events_of(text, code)
    for name, *arguments in events:
        state.happen(world().events[name], arguments)
    return events, state


def named_in(text: str, code: str, kind: str) -> list[str]:
    """Who or what of a kind is named in a text, in the order of the text."""
    language = grammar(code).language
    places = {name: text.find(language.noun(name)) for name in world().things[kind]}
    found = [name for name in places if places[name] >= 0]
    longest = [
        name
        for name in found
        if not any(language.noun(name) in language.noun(other) for other in found if other != name)
    ]
    return sorted(longest, key=places.__getitem__)


def where(text: str, code: str) -> str:
    """The name of the one place, container or person that an answer names."""
    found = [n for kind in ("places", "containers", "people") for n in named_in(text, code, kind)]
    assert len(found) == 1, (text, found)
    return found[0]


@both
@pytest.mark.parametrize("task", EVERY)
def test_equal_seeds_give_equal_records(task: Task, code: str) -> None:
    first, again, other = (made(task, code, 5, seed) for seed in (3, 3, 4))
    assert first == again
    assert first != other
    assert len(first) == 5
    assert {record.language for record in first} == {code}


@both
def test_there_are_words_for_every_plot_feeling_and_question(code: str) -> None:
    words = read_table(f"tasks_{LANGUAGES[code]}")
    plots = set(world().plots)
    assert set(words["summaries"]) == set(words["instructions"]["wishes"]) == plots
    effects = [(e.name, f) for e in world().events.values() for f in e.makes if f[0] == "feel"]
    assert set(words["answers"]["why"]) == {name for name, _ in effects}
    assert set(words["feelings"]) == {feeling for _, (_, _, feeling) in effects}
    assert set(words["questions"]) == {*tasks.FACTS, "truth"}


@both
def test_questions_take_turns_and_quote_the_beginning_of_a_story(code: str) -> None:
    records = asked(code)
    assert set(Counter(r.task for r in records).values()) == {180 // len(tasks.QUESTIONS)}
    for record in records:
        assert 1 <= record.evidence <= len(events_of(record.text, code))
        assert "{" not in record.question + record.answer
    ends = {WORLDS[code].judge(record.text).complete for record in records}
    assert ends == {False}, "after its last sentence a story moves people without saying so"


@both
def test_where_somebody_is(code: str) -> None:
    for record in of_kind(code, "where_person"):
        events, state = told(record.text, code)
        (person,) = named_in(record.question, code, "people")
        assert where(record.answer, code) == state.place(person)
        assert person in events[record.evidence - 1]


@both
def test_where_something_is_and_who_has_it(code: str) -> None:
    unknown = read_table(f"tasks_{LANGUAGES[code]}")["answers"]["where_thing"]["unknown"]
    kinds, moving = Counter[str](), TinyWorld(code, Limits(plots=("search", "belief", "lost")))
    more = tasks.questions(moving, np.random.default_rng(0), 135)
    for record in [*more, *of_kind(code, "where_thing"), *of_kind(code, "who_has")]:
        if record.task not in ("question: where_thing", "question: who_has"):
            continue
        events, state = told(record.text, code)
        (thing,) = named_in(record.question, code, "toys")
        place = None if record.answer == unknown else where(record.answer, code)
        assert place == state.at.get(thing)
        assert thing in events[record.evidence - 1]
        kinds[world().kind_of[place] if place else "unknown"] += 1
    assert set(kinds) == {"people", "places", "containers", "unknown"}


@both
def test_the_evidence_is_the_sentence_that_changed_the_answer(code: str) -> None:
    for record in [*of_kind(code, "where_thing"), *of_kind(code, "where_person")]:
        sentences = [s for _, s in grammar(code).sentences(record.text)]
        subject = named_in(record.question, code, "toys") or named_in(
            record.question, code, "people"
        )
        joint = grammar(code).language.joint
        ends = (record.evidence - 1, record.evidence, len(sentences))
        before, then, now = (
            told(joint.join(sentences[:k]), code)[1].at.get(subject[0]) if k else "nothing"
            for k in ends
        )
        assert then == now
        assert before != then or record.evidence == 1 or then is None


@both
def test_beliefs_are_those_of_the_person_and_half_of_them_false(code: str) -> None:
    self_said, differ = 0, []
    records = of_kind(code, "belief")
    for record in records:
        _, state = told(record.text, code)
        (person,), (thing,) = (named_in(record.question, code, k) for k in ("people", "toys"))
        spots = [
            n
            for kind in ("places", "containers", "people")
            for n in named_in(record.answer, code, kind)
            if n != person
        ]
        self_said += not spots
        assert (spots or [person]) == [state.knows[person, thing]]
        differ.append(state.knows[person, thing] != state.at.get(thing))
    assert self_said
    assert 0.3 < sum(differ) / len(differ) < 0.9


@both
def test_counts(code: str) -> None:
    for record in of_kind(code, "people"):
        assert int(re.findall(r"\d+", record.answer)[0]) == len(
            named_in(record.text, code, "people")
        )
    for record in of_kind(code, "mentions"):
        events = events_of(record.text, code)
        (thing,) = named_in(record.question, code, "toys")
        mentions = [k for k, event in enumerate(events, 1) if thing in event]
        assert int(re.findall(r"\d+", record.answer)[0]) == len(mentions)
        assert record.evidence == mentions[-1]


@both
def test_feelings_and_their_reasons(code: str) -> None:
    words = read_table(f"tasks_{LANGUAGES[code]}")
    for record in [*of_kind(code, "feels"), *of_kind(code, "why")]:
        events, state = told(record.text, code)
        person = named_in(record.question, code, "people")[0]
        feeling = words["feelings"][state.feels[person]]
        said = record.answer if record.task.endswith("feels") else record.question
        assert feeling.lower() in said.lower()
        cause = events[record.evidence - 1]
        effects = world().events[cause[0]].makes
        assert ("feel", state.feels[person]) in {(e[0], e[-1]) for e in effects}
        assert person in cause
        assert not tasks.FADES & {name for name, *_ in events[record.evidence :]}
        if record.task.endswith("why"):
            for kind in ("toys", "foods", "containers"):
                assert set(named_in(record.answer, code, kind)) <= set(cause)


@both
def test_true_statements_are_true_and_false_ones_false(code: str) -> None:
    truths = read_table(f"tasks_{LANGUAGES[code]}")["truths"]
    answers = Counter[str]()
    for record in of_kind(code, "truth"):
        _, state = told(record.text, code)
        things, people = (named_in(record.question, code, k) for k in ("toys", "people"))
        subject = (things or people)[0]
        spots = [
            n
            for kind in ("places", "containers", "people")
            for n in named_in(record.question, code, kind)
            if n != subject
        ]
        holds = state.at.get(subject) == spots[0]
        assert record.answer == truths[str(holds).lower()], record
        answers[record.answer] += 1
    assert len(answers) == 2
    assert min(answers.values()) > 0.25 * answers.total()


@both
def test_answers_change_as_a_story_goes_on(code: str) -> None:
    changed = 0
    for record in made(tasks.dialogues, code, 12):
        assert [m["role"] for m in record.messages] == ["user", "assistant"] * 3
        parts = [m["content"].split("\n") for m in record.messages if m["role"] == "user"]
        text = grammar(code).language.joint.join(part for part, _ in parts)
        assert WORLDS[code].judge(text).consistent
        for k, (_, question) in enumerate(parts):
            seen = grammar(code).language.joint.join(part for part, _ in parts[: k + 1])
            people, things, places = (
                named_in(question, code, kind) for kind in ("people", "toys", "places")
            )
            answer = record.messages[2 * k + 1]["content"]
            found = named_in(answer, code, "places")
            if len(people) == 1 and not (things or places) and len(found) == 1:
                assert told(seen, code)[1].place(people[0]) == found[0]
                changed += found[0] != told(parts[0][0], code)[1].place(people[0])
    assert changed


@both
def test_sentiment_is_told_by_the_text_and_balanced(code: str) -> None:
    words, whole = read_table(f"tasks_{LANGUAGES[code]}")["feelings"], 0
    records = made(tasks.sentiments, code, 48)
    for record in records:
        state = told(record.text, code)[1]
        person = named_in(record.question, code, "people")[0]
        assert record.answer.lower().startswith(words[state.feels[person]])
        whole += WORLDS[code].judge(record.text).complete
    happy = [r for r in records if r.answer.lower().startswith(words["happy"])]
    assert (len(happy), whole) == (24, 12)
    assert len({record.answer for record in records}) >= 4


@both
def test_a_summary_names_whom_and_what_the_story_names(code: str) -> None:
    for record in made(tasks.summaries, code, 40):
        assert len(list(grammar(code).sentences(record.answer))) == 1
        for kind in ("people", "toys", "foods", "places"):
            named = named_in(record.answer, code, kind)
            assert set(named) <= set(named_in(record.text, code, kind))
        assert len(named_in(record.answer, code, "people")) == 2
        assert {"toys", "foods"} & {k for k in world().things if named_in(record.answer, code, k)}


@both
def test_translations_tell_the_same_events(code: str) -> None:
    for record in made(tasks.translations, code, 15):
        assert events_of(record.text, code) == events_of(record.answer, OTHER[code])


@both
def test_plain_words_tell_the_same_events_in_fewer_words(code: str) -> None:
    texts, plain = Counter[str](), Counter[str]()
    for record in made(tasks.plain_words, code, 25):
        assert events_of(record.text, code) == events_of(record.answer, code)
        texts.update(record.text.split() if code == "en" else record.text)
        plain.update(record.answer.split() if code == "en" else record.answer)
    assert len(plain) < len(texts)


def test_tenses_differ_in_verbs_only() -> None:
    table = read_table("english")["say"]
    tensed = {
        word
        for phrasings in table.values()
        for text in phrasings
        for match in re.findall(r"\[([^|\]]*)\|([^\]]*)\]", text)
        for form in match
        for word in form.split()
    }
    for record in made(tasks.tenses, "en", 20):
        events_of(record.text, "en")
        past, present = (re.findall(r"[\w']+", text) for text in (record.text, record.answer))
        assert past != present
        assert [w for w in past if w not in tensed] == [w for w in present if w not in tensed]


def test_chinese_has_no_tenses() -> None:
    with pytest.raises(ValueError, match="expected the language 'en', got 'zh'"):
        made(tasks.tenses, "zh", 1)


@both
def test_corrections_take_out_one_small_fault(code: str) -> None:
    kinds = Counter[str]()
    for record in made(tasks.corrections, code, 40):
        assert WORLDS[code].judge(record.text).fault is not None
        assert WORLDS[code].judge(record.answer).consistent
        texts = (record.text, record.answer)
        units = [re.findall(r"\w+", t) if code == "en" else list(t) for t in texts]
        gone, come = Counter(units[0]) - Counter(units[1]), Counter(units[1]) - Counter(units[0])
        assert gone.total() <= 1
        assert come.total() <= 1
        kind = record.task.removeprefix("correction: ")
        assert (gone == come) == (kind == "order")
        kinds[kind] += 1
    assert set(kinds) == set(read_table(f"tasks_{LANGUAGES[code]}")["mistakes"])
    assert set(kinds.values()) == {10}


@both
def test_the_rejected_way_is_at_fault_and_differs_in_one_word(code: str) -> None:
    joint, kinds = grammar(code).language.joint, Counter[str]()
    for record in made(tasks.preferences, code, 24):
        good, bad = (
            WORLDS[code].judge(joint.join([record.text, way]))
            for way in (record.answer, record.rejected)
        )
        assert good.consistent
        assert bad.fault
        assert bad.grammatical == 1.0
        assert bad.fault.reason == record.reason
        assert bad.fault.sentence > WORLDS[code].judge(record.text).sentences
        kinds[record.task] += 1
        kind = {"name": "people", "place": "places"}.get(record.task.split(": ")[1])
        for other in ("people", "places"):
            if other != kind:
                assert named_in(record.answer, code, other) == named_in(
                    record.rejected, code, other
                )
    assert set(kinds.values()) == {8}


def wishes(code: str, n: int = 25) -> Iterator[tuple[str, str]]:
    for record in made(tasks.instructions, code, n):
        yield record.text, record.answer


@both
def test_a_story_follows_its_own_instruction_and_no_other(code: str) -> None:
    pairs, rng = list(wishes(code)), np.random.default_rng(1)
    for i, (wish, story) in enumerate(pairs):
        assert follows(wish, story, code)
        assert not follows(wish, pairs[i - 1][1], code)
        drawn = WORLDS[code].sample(rng)
        assert not follows(wish, drawn.text, code)
        sentences = [s for _, s in grammar(code).sentences(story)]
        joint = grammar(code).language.joint
        assert not follows(wish, joint.join(sentences[:-1]), code), "incomplete"
        twice = joint.join([sentences[0], *sentences])
        assert WORLDS[code].judge(twice).complete
        assert not follows(wish, twice, code), "inconsistent"


@both
def test_an_instruction_is_not_followed_with_another_name_thing_or_adjective(code: str) -> None:
    language, changes = grammar(code).language, Counter[str]()
    for wish, story in wishes(code, 15):
        for kind in ("people", "toys"):
            for old in named_in(wish, code, kind):
                girl = old in world().girls
                alike = [
                    n
                    for n in world().things[kind]
                    if language.noun(n) not in story
                    and ((n in world().girls) == girl)
                    and language.measure(n) == language.measure(old)
                ]
                if not alike:  # a Chinese lantern has its measure word for itself
                    continue
                new = alike[0]
                changed = story.replace(language.noun(old), language.noun(new))
                assert not follows(wish, changed, code)
                changes[kind] += 1
                if WORLDS[code].judge(changed).consistent:
                    asked = wish.replace(language.noun(old), language.noun(new))
                    assert follows(asked, changed, code)
                    changes["renamed throughout"] += 1
        for old in world().adjectives["toys"]:
            if language.adjective(old) in wish:
                others = [a for a in world().adjectives["toys"] if a[0] == old[0] and a != old]
                for new in others:
                    changed = story.replace(language.adjective(old), language.adjective(new))
                    assert not follows(wish, changed, code)
                    changes["adjective"] += 1
    assert {"people", "toys", "adjective", "renamed throughout"} <= set(changes)


@both
def test_a_story_that_never_says_what_the_thing_is_like_follows_no_instruction(code: str) -> None:
    language = grammar(code).language
    words = [language.adjective(name) for name in world().adjectives["toys"]]
    changed = 0
    for wish, story in wishes(code, 30):
        if any(word in wish for word in words):
            plain = re.sub("|".join(map(re.escape, words)), "", story)
            assert not follows(wish, plain, code)
            changed += 1
    assert changed > 10


def test_wanted_events_happen_in_order_and_to_the_same_people_and_things() -> None:
    wanted = ["lose A X", "find B X"]
    lost, found = ("lose", "mia", "kite"), ("find", "ben", "kite")
    assert tasks._bind([lost, found], wanted) == {"A": "mia", "X": "kite", "B": "ben"}
    assert tasks._bind([lost, ("find", "ben", "drum")], wanted) == {}
    assert tasks._bind([found, lost], wanted) == {}
    assert tasks._bind([lost], wanted) == {}


def test_an_unknown_instruction_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected a text that begins like .*, got 'Sing!'"):
        follows("Sing!", "", "en")


def test_nothing_follows_from_an_empty_text() -> None:
    wish, _ = next(wishes("en"))
    assert not follows(wish, "", "en")


def test_a_world_without_such_stories_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "MOST_STORIES", 50)
    small = TinyWorld("en", Limits(plots=("sharing",)))
    with pytest.raises(
        ValueError, match=r"expected plots for questions, got .*; use TinyWorld\.full"
    ):
        list(tasks.questions(small, np.random.default_rng(0), 9))


@both
def test_records_are_written_as_lines_of_json(code: str, tmp_path: Path) -> None:
    records = [record for task in EVERY for record in made(task, code, 3)]
    write_records(tmp_path / "new" / "tasks.jsonl", records)
    text = (tmp_path / "new" / "tasks.jsonl").read_text(encoding="utf-8")
    assert "\\u" not in text
    lines = [json.loads(line) for line in text.splitlines()]
    assert all(all(line.values()) for line in lines), "empty fields are left out"
    back = [Record(**{**line, "messages": tuple(line.get("messages", ()))}) for line in lines]
    assert back == records
    assert dataclasses.is_dataclass(Record)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["tasks.jsonl"]


def test_torch_is_not_needed() -> None:
    code = "import sys, tinyworld.tasks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
