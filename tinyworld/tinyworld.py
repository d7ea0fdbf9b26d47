"""`TinyWorld`: draw stories, score texts, judge them, and know the truth about both."""

import hashlib
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Self

import numpy as np
from scipy import stats
from tqdm.auto import tqdm

from labkit.files import write_atomically
from tinyworld import process
from tinyworld.judge import Verdict, grammar, judge
from tinyworld.lexicon import world
from tinyworld.plan import Call
from tinyworld.state import State
from tinyworld.story import Bound, Limits, Node, Retelling, Teller

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Story:
    """A story and everything that is true about it."""

    text: str
    """What a reader sees, on one line."""
    language: str
    """"en" or "zh"."""
    plot: str
    """Name of the plot, such as "lost"."""
    events: tuple[tuple[str, ...], ...]
    """One per sentence: the kind of event, then who and what takes part."""
    roles: Bound = field(repr=False)
    """From roles, such as "A", to who and what fills them; "X*" is the adjective of "X"."""
    log2_prob: float
    """Logarithm to base 2 of the probability that this story is drawn."""
    calls: tuple[Call, ...] = field(repr=False)
    """The events with the roles they were called with."""

    @property
    def sentences(self) -> list[str]:
        """The sentences of the text, one per event."""
        return [sentence for _, sentence in grammar(self.language).sentences(self.text)]

    @property
    def states(self) -> list[State]:
        """The state of the world after each sentence."""
        state, states = State(), []
        for name, *arguments in self.events:
            state = state.copy()
            state.happen(world().events[name], arguments)
            states.append(state)
        return states


@dataclass(frozen=True, kw_only=True)
class Entropy:
    """How much surprise there is in a story on average: the floor for every model's bits.

    The mean of -log2 of a drawn story's probability, in bits, and the same per character, the end
    of the story counted as one, each with half of its 95 % interval; so many `stories` were drawn.
    """

    bits_per_story: float
    story_half: float
    bits_per_char: float
    char_half: float
    stories: int


class TinyWorld:
    """A world that is known completely, told in one language."""

    def __init__(self, language: str = "en", limits: Limits | None = None) -> None:
        """Choose the language, "en" or "zh", and how rich the world is."""
        self.language, self.limits = language, limits or Limits()
        self._teller = Teller(grammar(language).language, self.limits)

    @classmethod
    def full(cls, language: str = "en") -> Self:
        """Return the whole world."""
        return cls(language)

    @classmethod
    def small(cls, language: str = "en") -> Self:
        """Return a world so small that all its stories can be listed."""
        few = {"people": 3, "places": 2, "toys": 1, "adjectives": 1, "phrasings": 1}
        return cls(language, Limits(**few, connectives=1, plots=("sharing",)))

    def sample(self, rng: np.random.Generator) -> Story:
        """Draw a story."""
        return self._story(*process.draw(self._teller, rng))

    def retell(
        self, story: Story, rng: np.random.Generator, *, present: bool = False, plain: bool = False
    ) -> Story:
        """Tell the events of a story in this world's language, in other words.

        So a story and its translation are a parallel pair. `present` tells it in the present tense,
        where the language has one; `plain` uses the simplest phrasing of each event. The result's
        probability is that of the wording, given the events.
        """
        limits = Limits(phrasings=1, connectives=0) if plain else Limits()
        teller = Teller(self._teller.language, limits, present=present)
        return self._story(*process.draw(Retelling(teller, story.calls, story.roles), rng))

    def _story(self, text: str, prob: float, node: Node) -> Story:
        return Story(
            text=text,
            language=self.language,
            plot=node.plan[0].plot,
            events=tuple((name, *(node.roles[r] for r in roles)) for name, *roles in node.calls),
            roles={role: name for role, name in node.roles.items() if role[-1] != "#"},
            log2_prob=math.log2(prob),
            calls=node.calls,
        )

    def log2_prob(self, text: str) -> float:
        """Return log2 of the probability that exactly this text is drawn, its end included.

        -inf for every text that is no story of this world.
        """
        prob = process.probability(self._teller, text)
        return math.log2(prob) if prob > 0 else -math.inf

    def count_derivations(self, text: str) -> int:
        """Count the ways in which a text can be drawn: one for a story, none for another text."""
        return process.count_readings(self._teller, text)

    def next_distribution(self, prefix: str) -> dict[str, float]:
        """Return the true P(next character | prefix), most likely first.

        The end of the story is the empty string. Raises ValueError if no story begins so.
        """
        found = process.next_characters(self._teller, prefix)
        if not found:
            raise ValueError(f"expected the beginning of a story, got {prefix[-60:]!r} at its end")
        return found

    def enumerate(self) -> Iterator[tuple[str, float]]:
        """Yield every story with its probability; for `small`, since `full` never ends."""
        return process.enumerate_texts(self._teller)

    def entropy(self, rng: np.random.Generator, n: int = 10_000) -> Entropy:
        """Estimate the entropy from n drawn stories; raise ValueError for fewer than two."""
        if n < 2:
            raise ValueError(f"expected at least 2 stories to estimate the entropy, got {n}")
        stories = [self.sample(rng) for _ in range(n)]
        bits = np.array([-story.log2_prob for story in stories])
        chars = np.array([len(story.text) + 1 for story in stories])
        ratio, scale = bits.sum() / chars.sum(), stats.t.ppf(0.975, n - 1) / math.sqrt(n)
        return Entropy(
            bits_per_story=float(bits.mean()),
            story_half=float(scale * bits.std(ddof=1)),
            bits_per_char=float(ratio),
            char_half=float(scale * (bits - ratio * chars).std(ddof=1) / chars.mean()),
            stories=n,
        )

    def judge(self, text: str | bytes, training: Collection[str] | None = None) -> Verdict:
        """Say whether a text, any text, is grammatical, consistent, complete and new."""
        return judge(text, self.language, training)

    def stories(self, n: int, *, seed: int, split: str = "train") -> Iterator[Story]:
        """Draw n stories of a split; splits and seeds are independent of each other.

        Raises ValueError for a split that is not train, val or test.
        """
        if split not in SPLITS:
            raise ValueError(f"expected one of the splits {SPLITS}, got {split!r}")
        rng = np.random.default_rng([seed, SPLITS.index(split)])
        for _ in range(n):
            yield self.sample(rng)


def write_corpus(
    path: Path, tiny: TinyWorld, n_stories: int, *, seed: int, split: str = "train"
) -> int:
    """Write n stories to a file, one on each line, with a progress bar; return its size in bytes.

    Equal settings give equal bytes, whatever the machine; until they are whole, the file keeps what
    it held. Raises ValueError for fewer than one story, OSError where it cannot be written.
    """
    if n_stories < 1:
        raise ValueError(f"expected at least 1 story, got {n_stories}")
    stories = tiny.stories(n_stories, seed=seed, split=split)
    shown = tqdm(stories, total=n_stories, unit=" stories", desc=path.name)
    data = "".join(f"{story.text}\n" for story in shown).encode()
    write_atomically(path, data)
    return len(data)


def is_new_combination(story: Story) -> bool:
    """Tell whether a story has a pair that the compositional split keeps out of training.

    Pairs are of a person and a toy, and of the plot and a place; one in twelve is held out, by its
    hash. Train on stories where this is False, and test on those where it is True.
    """
    people, toys, places = (
        [name for name in story.roles.values() if world().kind_of.get(name) == kind]
        for kind in ("people", "toys", "places")
    )
    pairs = [*product(people, toys), *product([story.plot], places)]
    digests = (hashlib.sha256(":".join(pair).encode()).digest() for pair in pairs)
    return any(int.from_bytes(digest[:4], "big") % 12 == 0 for digest in digests)
