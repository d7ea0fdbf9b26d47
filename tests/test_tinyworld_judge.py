"""The judge finds nothing wrong with true stories, and the right thing wrong with false ones."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyworld import TinyWorld
from tinyworld.lexicon import world
from tinyworld.state import State

EN, ZH = TinyWorld.full("en"), TinyWorld.full("zh")
WORLDS = {"en": EN, "zh": ZH}
START = "One sunny morning, Mia was in the barn. She had a red kite. "
FAULTS = {
    START + "Ben gave it back to Mia.": ("holds", "the kite is with Mia"),
    START + "Mia went to the barn.": ("away", "Mia is already in the barn"),
    START + "Mia went to the lake. Mia went back to the park.": ("is_been", "has not been there"),
    START + "The blue kite": ("spelling", "no sentence"),
    START + "There she met Ben. Mia showed the blue kite to Ben.": ("adjective", "red, not blue"),
    START + "There she met Ben. There Mia saw Anna. She ran to the lake.": ("unclear", "“She”"),
    START + "And so the evening ended well.": ("is_day", "not that time of day"),
    START + "And so the rainy morning ended well.": (
        "adjective",
        "the morning is sunny, not",
    ),
    START + "Then he went to the lake.": ("unclear", "“he”"),
    START + "She was very happy.": ("feels", "Mia does not feel happy"),
    START + "Ben had a blue clock.": ("placed", "nobody knows where Ben is"),
    START + "Mia had a blue kite.": ("new", "the kite is already part of the story"),
    START + "And so the morning ended well. Birds were singing.": ("over", "already ended"),
    START + "Mia showed the kite to her.": ("twice", "Mia cannot"),
    START + "Mia showed the kite to Mia.": ("twice", "Mia cannot be on both sides"),
    "Birds were singing.": ("is_begun", "not begun"),
    START + "mia went to the lake.": ("spelling", ""),
    START + "Mia has an blue clock.": ("spelling", ""),
    "On an sunny morning, Mia was in the barn.": ("spelling", ""),
    "One sunny morning, Mia was on the barn.": ("spelling", ""),
    "一个晴朗的早晨，小红在谷仓里。小红有一把红色风筝。": ("spelling", ""),
    "一个晴朗的早晨，小红在谷仓里。小红有一只红色风筝。她去了谷仓。": (
        "away",
        "小红已经在谷仓里",
    ),
}


@pytest.mark.parametrize("code", WORLDS)
def test_every_drawn_story_is_faultless_complete_and_understood(code: str) -> None:
    for story in WORLDS[code].stories(5000, seed=2):
        verdict = WORLDS[code].judge(story.text)
        assert verdict.fault is None, verdict.fault
        assert verdict.consistent
        assert verdict.complete
        assert verdict.grammatical == 1
        assert verdict.events == story.events


@pytest.mark.parametrize("text", FAULTS)
def test_the_first_fault_is_named(text: str) -> None:
    kind, words = FAULTS[text]
    verdict = (EN if text.isascii() else ZH).judge(text)
    assert verdict.fault is not None
    assert verdict.fault.kind == kind
    assert words in verdict.fault.reason
    assert verdict.fault.sentence == verdict.sentences or kind == "over"
    assert not verdict.consistent


def test_the_position_is_where_the_sentence_begins() -> None:
    text = START + "Mia went to the barn. Birds were singing."
    fault = EN.judge(text).fault
    assert fault is not None
    assert text[fault.position :].startswith("Mia went to the barn")
    assert fault.reason == "sentence 3: Mia went to the barn, but Mia is already in the barn"


@pytest.mark.parametrize("code", WORLDS)
def test_a_story_without_its_end_is_consistent_and_incomplete(code: str) -> None:
    for story in WORLDS[code].stories(100, seed=3):
        joint = " " if code == "en" else ""
        cut = WORLDS[code].judge(joint.join(story.sentences[:-1]))
        assert cut.consistent
        assert not cut.complete


@pytest.mark.parametrize("code", WORLDS)
def test_half_a_sentence_is_a_fault_at_the_end(code: str) -> None:
    for story in WORLDS[code].stories(50, seed=4):
        cut = WORLDS[code].judge(story.text[:-3])
        assert cut.fault is not None
        assert cut.fault.sentence == cut.sentences
        assert cut.grammatical == pytest.approx(1 - 1 / cut.sentences)


def test_another_persons_name_is_noticed_almost_always() -> None:
    """Exchange one later mention of a person for somebody who is not in the story."""
    noticed = []
    for story in EN.stories(300, seed=5):
        names = [n for n in ("Mia", "Ben", "Anna", "Tom") if story.text.count(n) > 2]
        if names and "Theo" not in story.text:
            first, _, rest = story.text.partition(names[0])
            changed = first + names[0] + rest.replace(names[0], "Theo", 1)
            noticed.append(not EN.judge(changed).consistent)
    assert len(noticed) > 30
    assert np.mean(noticed) > 0.9


def test_novel_is_not_in_the_training_set() -> None:
    known, other = (story.text for story in EN.stories(2, seed=6))
    assert EN.judge(known).novel is None
    assert EN.judge(known, {known}).novel is False
    assert EN.judge(other, {known}).novel is True


def test_the_other_language_is_not_grammatical() -> None:
    for story in ZH.stories(20, seed=7):
        assert EN.judge(story.text).grammatical == 0
    for story in EN.stories(20, seed=7):
        assert ZH.judge(story.text).grammatical == 0


def mutations(rng: np.random.Generator, n: int) -> list[str]:
    """Return strings that try to break a reader: mutated stories, noise, other scripts."""
    stories = [s.text for code in WORLDS for s in WORLDS[code].stories(200, seed=8)]
    pieces = ['"', "“", "”", ".", "。", "!", " ", "\n", "\x00", "Mia", "她", "🙂", "é", "Ω", ""]
    found = []
    for _ in range(n):
        text = list(stories[int(rng.integers(len(stories)))])
        for _ in range(int(rng.integers(1, 12))):
            place = int(rng.integers(len(text)))
            text[place] = pieces[int(rng.integers(len(pieces)))]
        kind = int(rng.integers(5))
        mutated = "".join(text)
        noise = "".join(map(chr, rng.integers(1, 0xD7FF, int(rng.integers(0, 300)))))
        half = mutated[: len(mutated) // 2]
        found.append([mutated, mutated[::-1], half, noise, mutated * 2][kind])
    return found


def test_ten_thousand_hostile_strings_raise_nothing() -> None:
    for i, text in enumerate(mutations(np.random.default_rng(9), 10_000)):
        verdict = WORLDS["zh" if i % 2 else "en"].judge(text)
        assert 0 <= verdict.grammatical <= 1
        assert verdict.consistent == (verdict.fault is None and verdict.sentences > 0)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(), st.binary()))
def test_anything_is_judged(text: str | bytes) -> None:
    for judge in (EN.judge, ZH.judge):
        assert not judge(text).complete


@pytest.mark.parametrize(
    "unit",
    [
        "Mia went to the lake. ",
        "She ran. ",
        '"',
        '". ',
        "x",
        "“。",
        ".",
        START,
        "小红去了湖边。",
        "\x00 ",
    ],
)
def test_time_grows_with_length_and_no_faster(unit: str) -> None:
    """Ten megabytes in all; twice the text takes about twice the processor time."""

    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        began = time.process_time()
        EN.judge(text)
        return time.process_time() - began

    seconds(10_000)
    short = min(seconds(250_000) for _ in range(2))
    assert seconds(1_000_000) < 4 * 3 * (short + 0.02)


@pytest.mark.parametrize("unit", ["x", '"', "“。", "\x00 ", START])
def test_ten_megabytes_of_anything_are_judged(unit: str) -> None:
    verdict = EN.judge(unit * (10_000_000 // len(unit)))
    assert not verdict.consistent
    assert not verdict.complete


def test_who_was_not_there_does_not_know() -> None:
    """A false belief: Mia leaves, Ben moves the kite, Mia still believes the old place."""
    state = State()
    for event in [
        ("open", "mia", "barn", "morning"),
        ("have", "mia", "kite"),
        ("join", "ben", "mia"),
        ("store", "mia", "kite", "box"),
        ("go", "mia", "lake"),
        ("move", "ben", "kite", "box", "bag"),
    ]:
        kind, *names = event
        assert state.missing(world().events[kind], names) is None
        state.happen(world().events[kind], names)
    assert state.knows["mia", "kite"] == "box"
    assert state.knows["ben", "kite"] == "bag"
    assert state.at["kite"] == "bag"
    assert state.place("kite") == "barn"
    assert state.problems == {"kite"}


def test_states_keep_the_laws_of_the_world() -> None:
    """Nothing is in two places, what is held travels, and the last state has no problem left."""
    for story in EN.stories(300, seed=10):
        for state in story.states:
            for name, where in state.at.items():
                assert where in world().kind_of
                assert name != where
        assert story.states[-1].ended
        assert not story.states[-1].problems
        before = story.states[0].copy()
        story.states[0].at.clear()
        assert story.states[0] == before
