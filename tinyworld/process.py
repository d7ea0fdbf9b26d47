"""Texts drawn piece by piece from known probabilities, and what follows exactly from that.

A process starts in a state; a state offers options, each with a probability, a piece of text and
where it leads. Drawing a text, the probability of any text, the distribution of the next character
and the list of all texts are then the same walk with different bookkeeping. Where different paths
never spell the same text, as in TinyWorld, the path is the text's only derivation; nothing here
depends on that, for probabilities of several readings are added.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

END = ""
"""Stands for the end of the text where a next character is asked for."""


class Option(NamedTuple):
    """One way to go on, with its probability and what is written, which may be nothing.

    The probabilities of a state's options sum to one. `move` is what `Process.advance` needs to
    know; None ends the text.
    """

    prob: float
    text: str
    move: Any


class Process(Protocol):
    """What draws texts."""

    start: Any
    """The state before anything is written."""

    def options(self, state: Any) -> Sequence[Option]:
        """Return every way to go on from a state."""

    def advance(self, state: Any, option: Option) -> Any:
        """Return the state after an option was taken; the old state is left as it was."""


def draw(process: Process, rng: np.random.Generator) -> tuple[str, float, Any]:
    """Draw one text; return it, its probability and the last state."""
    state, prob = process.start, 1.0
    pieces: list[str] = []
    while True:
        chance = rng.random()
        for option in process.options(state):
            chance -= option.prob
            if chance < 0:
                break
        prob *= option.prob
        if option.move is None:
            return "".join(pieces), prob, state
        pieces.append(option.text)
        state = process.advance(state, option)


def readings(process: Process, text: str) -> Iterator[tuple[float, str]]:
    """Walk along `text` on every path that spells it; yield (probability, next character).

    The next character is `END` where the text may end. A path's probability is that of spelling the
    text and going on with the option that gives the next character, so all of them together are the
    probability that a text begins so.
    """
    waiting = [(process.start, 0, 1.0)]
    while waiting:
        state, at, so_far = waiting.pop()
        rest = len(text) - at
        for option in process.options(state):
            prob = so_far * option.prob
            if option.move is None:
                if rest == 0:
                    yield prob, END
            elif text.startswith(option.text, at):
                waiting.append((process.advance(state, option), at + len(option.text), prob))
            elif rest < len(option.text) and option.text.startswith(text[at:]):
                yield prob, option.text[rest]


def probability(process: Process, text: str) -> float:
    """Return the probability that exactly this text is drawn; 0.0 for one that cannot be."""
    return math.fsum(prob for prob, follows in readings(process, text) if follows == END)


def count_readings(process: Process, text: str) -> int:
    """Count the paths that spell exactly this text."""
    return sum(follows == END for _, follows in readings(process, text))


def next_characters(process: Process, prefix: str) -> dict[str, float]:
    """Return P(next character | prefix), most likely first, `END` for the end of the text.

    Empty for a prefix with which no text begins.
    """
    mass: defaultdict[str, float] = defaultdict(float)
    for prob, follows in readings(process, prefix):
        mass[follows] += prob
    total = sum(mass.values())
    return {char: p / total for char, p in sorted(mass.items(), key=lambda item: -item[1])}


def enumerate_texts(process: Process) -> Iterator[tuple[str, float]]:
    """Yield every text with its probability, path by path."""
    waiting = [(process.start, "", 1.0)]
    while waiting:
        state, text, so_far = waiting.pop()
        for option in process.options(state):
            prob = so_far * option.prob
            if option.move is None:
                yield text, prob
            else:
                waiting.append((process.advance(state, option), text + option.text, prob))
