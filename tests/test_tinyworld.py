"""TinyWorld is exact: sums to one, one derivation a text, and the scorer knows the sampler."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyworld import Limits, TinyWorld
from tinyworld.judge import grammar
from tinyworld.language import clear
from tinyworld.lexicon import Slot, world
from tinyworld.plan import Planner, parse_beat
from tinyworld.process import (
    END,
    Option,
    count_readings,
    draw,
    next_characters,
    probability,
    readings,
)
from tinyworld.story import Teller

LANGUAGES = ("en", "zh")
FULL = {code: TinyWorld.full(code) for code in LANGUAGES}
SAMPLES = {code: list(FULL[code].stories(5000, seed=1)) for code in LANGUAGES}
SMALL = {code: TinyWorld.small(code) for code in LANGUAGES}
LISTED = {code: list(SMALL[code].enumerate()) for code in LANGUAGES}
MAY_FOLLOW = {code: dict(texts) for code, texts in LISTED.items()}

seeds = st.integers(0, 2**32 - 1)
codes = st.sampled_from(LANGUAGES)


@pytest.mark.parametrize("code", LANGUAGES)
def test_all_texts_of_the_small_world_sum_to_one_and_differ(code: str) -> None:
    listed = LISTED[code]
    assert len(listed) > 10_000
    assert len(MAY_FOLLOW[code]) == len(listed)
    assert math.fsum(MAY_FOLLOW[code].values()) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_scorer_agrees_with_the_sampler_and_finds_one_derivation(code: str) -> None:
    teller = Teller(grammar(code).language, Limits())
    for story in SAMPLES[code]:
        (prob,) = [prob for prob, follows in readings(teller, story.text) if follows == END]
        assert math.log2(prob) == pytest.approx(story.log2_prob, abs=1e-9)
    for story in SAMPLES[code][:200]:
        assert FULL[code].log2_prob(story.text) == pytest.approx(story.log2_prob, abs=1e-9)
        assert FULL[code].count_derivations(story.text) == 1


@pytest.mark.parametrize("code", LANGUAGES)
def test_texts_of_the_small_world_are_scored_as_they_were_listed(code: str) -> None:
    chosen = np.random.default_rng(0).permutation(len(MAY_FOLLOW[code]))[:500]
    texts = list(MAY_FOLLOW[code])
    for i in chosen:
        expected = math.log2(MAY_FOLLOW[code][texts[i]])
        assert SMALL[code].log2_prob(texts[i]) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_sampler_draws_as_often_as_the_listing_says(code: str) -> None:
    rng, first = np.random.default_rng(3), Counter[str]()
    for text, prob in MAY_FOLLOW[code].items():
        first[text[:40]] += prob  # type: ignore[assignment] # a counter of probabilities
    n = 4000
    drawn = Counter(SMALL[code].sample(rng).text[:40] for _ in range(n))
    assert drawn.keys() <= first.keys()
    distance = sum(abs(drawn[begin] / n - prob) for begin, prob in first.items()) / 2
    expected = sum(math.sqrt(prob * (1 - prob) / n / (2 * math.pi)) for prob in first.values())
    assert distance < 1.5 * expected + 0.02


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_next_character_is_the_one_that_the_listing_gives(code: str) -> None:
    rng = np.random.default_rng(5)
    for _ in range(12):
        text = SMALL[code].sample(rng).text
        prefix = text[: int(rng.integers(0, len(text) + 1))]
        mass = Counter[str]()
        for known, prob in MAY_FOLLOW[code].items():
            if known.startswith(prefix):
                mass[known[len(prefix) : len(prefix) + 1]] += prob  # type: ignore[assignment]
        total = sum(mass.values())
        found = SMALL[code].next_distribution(prefix)
        assert found.keys() == mass.keys()
        for char, prob in found.items():
            assert prob == pytest.approx(mass[char] / total, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(code=codes, seed=seeds)
def test_the_next_characters_multiply_to_the_probability_of_the_text(code: str, seed: int) -> None:
    story = FULL[code].sample(np.random.default_rng(seed))
    bits = 0.0
    for i in range(len(story.text) + 1):
        following = FULL[code].next_distribution(story.text[:i])
        assert sum(following.values()) == pytest.approx(1, abs=1e-9)
        bits += math.log2(following[story.text[i : i + 1]])
    assert bits == pytest.approx(story.log2_prob, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(code=codes, seed=seeds, data=st.data())
def test_a_changed_text_is_no_story_or_another_one(
    code: str, seed: int, data: st.DataObject
) -> None:
    story = FULL[code].sample(np.random.default_rng(seed))
    place = data.draw(st.integers(0, len(story.text) - 1))
    other = data.draw(st.sampled_from("aeMBt .,她红了。") | st.just(""))
    changed = story.text[:place] + other + story.text[place + 1 :]
    found = FULL[code].log2_prob(changed)
    if changed == story.text:
        assert found == pytest.approx(story.log2_prob)
    else:
        assert found == -math.inf


def test_another_wording_has_its_own_probability() -> None:
    text = next(s.text for s in SAMPLES["en"] if s.text.startswith("One sunny morning, Mia"))
    swapped = text.replace("One sunny", "One rainy", 1)
    same_words = "sunny" not in text[12:]
    assert (FULL["en"].log2_prob(swapped) > -math.inf) == same_words
    assert FULL["en"].log2_prob(text.replace("One", "Two", 1)) == -math.inf


@pytest.mark.parametrize("text", ["", " ", "\x00", "Mia", "🙂" * 100, "One sunny morning, "])
def test_what_is_no_story_has_no_probability(text: str) -> None:
    for code in LANGUAGES:
        assert FULL[code].log2_prob(text) == -math.inf


@settings(max_examples=25, deadline=None)
@given(code=codes, seed=seeds)
def test_a_story_retold_in_the_other_language_tells_the_same_events(code: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    story, other = FULL[code].sample(rng), FULL["zh" if code == "en" else "en"]
    told = other.retell(story, rng)
    assert told.events == story.events
    assert other.judge(told.text).events == story.events
    back = FULL[code].retell(told, rng)
    assert FULL[code].judge(back.text).events == story.events
    assert FULL[code].log2_prob(back.text) > -math.inf


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_retold_story_and_its_events_multiply_to_the_whole(code: str) -> None:
    """P(text) / P(wording | events) is P(events), so it is the same for any two wordings."""
    rng = np.random.default_rng(2)
    for story in SAMPLES[code][:20]:
        first, second = (FULL[code].retell(story, rng) for _ in range(2))
        events = [FULL[code].log2_prob(told.text) - told.log2_prob for told in (first, second)]
        assert events[0] == pytest.approx(events[1], abs=1e-9)


def test_both_languages_draw_the_same_events() -> None:
    """The probability of a sequence of events does not depend on the language."""
    rng = np.random.default_rng(4)
    for story in SAMPLES["en"][:20]:
        here, there = FULL["en"].retell(story, rng), FULL["zh"].retell(story, rng)
        ours = FULL["en"].log2_prob(here.text) - here.log2_prob
        assert FULL["zh"].log2_prob(there.text) - there.log2_prob == pytest.approx(ours, abs=1e-9)


def test_present_and_plain_retellings() -> None:
    rng, story = np.random.default_rng(0), SAMPLES["en"][0]
    plain = {FULL["en"].retell(story, rng, plain=True).sentences[0] for _ in range(5)}
    assert len(plain) == 1
    present = FULL["en"].retell(story, rng, present=True)
    assert " was " not in present.text
    assert present.events == story.events


def test_the_entropy_is_the_mean_surprise_and_its_interval_holds_the_truth() -> None:
    small = SMALL["en"]
    true = -math.fsum(p * math.log2(p) for p in MAY_FOLLOW["en"].values())
    chars = math.fsum(p * (len(text) + 1) for text, p in MAY_FOLLOW["en"].items())
    found = small.entropy(np.random.default_rng(0), 4000)
    assert abs(found.bits_per_story - true) < 1.5 * found.story_half
    assert abs(found.bits_per_char - true / chars) < 1.5 * found.char_half
    assert 0 < found.story_half < 0.02 * true
    with pytest.raises(ValueError, match="at least 2 stories"):
        small.entropy(np.random.default_rng(0), 1)


def test_splits_are_independent_and_repeatable() -> None:
    def texts(**how: object) -> list[str]:
        return [story.text for story in FULL["en"].stories(50, **how)]  # type: ignore[arg-type]

    assert texts(seed=0) == texts(seed=0, split="train")
    four = [texts(seed=0), texts(seed=1), texts(seed=0, split="val"), texts(seed=0, split="test")]
    assert all(not set(a) & set(b) for a, b in itertools.combinations(four, 2))
    with pytest.raises(ValueError, match="one of the splits"):
        next(FULL["en"].stories(1, seed=0, split="dev"))


def test_bad_arguments_get_one_clear_sentence() -> None:
    with pytest.raises(ValueError, match=r"expected one of the languages \['en', 'zh'\], got 'de'"):
        TinyWorld("de")
    with pytest.raises(ValueError, match="expected the beginning of a story"):
        FULL["en"].next_distribution("Two")


def test_the_world_is_as_rich_as_it_says() -> None:
    things = world().things
    assert len(things["people"]) == 24
    assert len(things["places"]) >= 14
    assert sum(len(things[kind]) for kind in ("toys", "containers", "foods")) == 48
    assert len(world().events) >= 14
    assert len(world().plots) >= 8
    lengths = {len(story.events) for story in SAMPLES["en"]}
    assert min(lengths) >= 6
    assert max(lengths) <= 16
    assert {story.plot for story in SAMPLES["en"]} == set(world().plots)


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_phrasing_mentions_everybody_who_takes_part(code: str) -> None:
    language = grammar(code).language
    for name, event in world().events.items():
        ways = language.phrasings(name, event.roles, False)
        assert len(ways) >= 3
        for pieces in ways:
            roles = {piece.role[0] for piece in pieces if isinstance(piece, Slot)}
            assert roles - {"t"} == set(event.roles), (name, pieces)
        assert len(set(language.table["say"][name])) == len(ways)


@pytest.mark.parametrize("code", LANGUAGES)
def test_no_phrasing_lacks_its_stop_or_has_two(code: str) -> None:
    for story in SAMPLES[code][:500]:
        assert len(story.sentences) == len(story.events)
        assert (" " if code == "en" else "").join(story.sentences) == story.text


def test_limits_limit() -> None:
    limits = Limits(people=4, places=3, toys=2, adjectives=1, plots=("lost",))
    stories = list(TinyWorld("en", limits).stories(200, seed=0))
    people = {name for s in stories for r, name in s.roles.items() if r in "ABC"}
    assert people == {"mia", "ben", "anna", "tom"}
    assert {s.plot for s in stories} == {"lost"}


class Coin:
    """Heads with 3/4: two paths that spell the same text for tails."""

    start = ""

    def options(self, state: str) -> list[Option]:
        if state:
            return [Option(1.0, "", None)]
        return [Option(0.75, "H", "H"), Option(0.125, "T", "T"), Option(0.125, "T", "t")]

    def advance(self, state: str, option: Option) -> str:
        return str(option.move)


def test_readings_that_spell_the_same_are_added() -> None:
    assert probability(Coin(), "T") == 0.25
    assert count_readings(Coin(), "T") == 2
    assert next_characters(Coin(), "") == {"H": 0.75, "T": 0.25}
    assert probability(Coin(), "HT") == 0
    drawn = Counter(draw(Coin(), np.random.default_rng(i))[0] for i in range(400))
    assert 270 < drawn["H"] < 330


def test_a_plan_follows_all_plots_until_they_differ() -> None:
    planner = Planner({"one": [["a", "b ? 0.25", "c"]], "two": [["a", "d"]]})
    (first,) = planner.next(planner.start)
    assert first[:2] == (1.0, ("a",))
    following = {call[0]: prob for prob, call, _ in planner.next(first[2])}
    assert following == {"b": 0.125, "c": 0.375, "d": 0.5}
    after_d = next(plan for _, call, plan in planner.next(first[2]) if call == ("d",))
    assert [place.plot for place in after_d] == ["two"]
    assert planner.next(after_d) == ()
    with pytest.raises(ValueError, match="last beat"):
        Planner({"open": [["a", "b ? 0.5"]]})
    assert parse_beat("a | b X").calls == (("a",), ("b", "X"))


def test_a_pronoun_is_clear_only_without_a_rival() -> None:
    assert clear("mia", ["mia", "ben", "kite"])
    assert not clear("kite", ["kite", "box"])
    assert not clear("mia", ["ben"])
