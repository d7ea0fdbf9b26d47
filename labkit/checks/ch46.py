"""Exercises of chapter 46, meaning: a small judge, the excess, and a distance."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from labkit.checks import Exercise

Numbers = NDArray[np.float64]
Event = tuple[str, ...]
PEOPLE, THINGS = ("Mia", "Ben", "Zoe"), ("kite", "drum")


def _happen(event: Event, holder: dict[str, str]) -> bool:
    """Tell whether an event may happen, and let it happen in any case."""
    kind, person, thing, *rest = event
    fits = thing not in holder if kind == "find" else holder.get(thing) == person
    if kind == "lose":
        holder.pop(thing, None)
    else:
        holder[thing] = rest[0] if kind == "give" else person
    return fits


def _first_fault(events: list[Event]) -> int:
    holder: dict[str, str] = {}
    for i, event in enumerate(events):
        if not _happen(event, holder):
            return i
    return -1


def _draw_event(rng: np.random.Generator) -> Event:
    kind = ("find", "lose", "give")[rng.integers(3)]
    a, b = rng.permutation(PEOPLE)[:2].tolist()
    thing = THINGS[rng.integers(len(THINGS))]
    return (kind, a, thing, b) if kind == "give" else (kind, a, thing)


def _histories(rng: np.random.Generator) -> Iterator[tuple[list[Event]]]:
    found, given = ("find", "Mia", "kite"), ("give", "Mia", "kite", "Ben")
    yield ([found, given, ("lose", "Ben", "kite"), ("find", "Zoe", "kite")],)
    yield ([found, ("find", "Mia", "drum"), ("find", "Ben", "kite")],)
    yield ([],)
    yield ([found, given, ("give", "Mia", "kite", "Zoe")],)
    yield ([found, ("give", "Ben", "kite", "Zoe")],)
    yield ([found, ("lose", "Ben", "kite")],)
    yield ([("lose", "Mia", "kite"), found],)
    for _ in range(10):
        events: list[Event] = []
        holder: dict[str, str] = {}
        for _ in range(int(rng.integers(2, 9))):
            event = _draw_event(rng)
            trial = dict(holder)
            if _happen(event, trial):
                events, holder = [*events, event], trial
        yield (events,)
        yield ([*events, _draw_event(rng), _draw_event(rng)],)


def _who_gave_is_forgotten(events: list[Event]) -> int:
    """Never move the thing to the one who got it."""
    return _first_fault([event[:3] if event[0] == "give" else event for event in events])


def _ends_at_the_last(events: list[Event]) -> int:
    holder: dict[str, str] = {}
    faults = [i for i, event in enumerate(events) if not _happen(event, holder)]
    return faults[-1] if faults else -1


def _lost_for_good(events: list[Event]) -> int:
    """Let nobody find what was found before."""
    found: set[str] = set()
    for i, (kind, _, thing, *_) in enumerate(events):
        if kind == "find" and thing in found:
            return min(i, _first_fault(events) % (len(events) + 1))
        found.add(thing)
    return _first_fault(events)


def _what_was_given_is_kept(events: list[Event]) -> int:
    """Let the giver hold the thing too."""
    held: set[tuple[str, str]] = set()
    for i, (kind, person, thing, *rest) in enumerate(events):
        if kind == "find" and thing in {each for _, each in held}:
            return i
        if kind != "find" and (person, thing) not in held:
            return i
        if kind == "lose":
            held = {pair for pair in held if pair[1] != thing}
        else:
            held.add((rest[0] if kind == "give" else person, thing))
    return -1


first_fault = Exercise(
    name="my_first_fault",
    points=4,
    reference=_first_fault,
    cases=_histories,
    wrong=(
        _who_gave_is_forgotten,
        _ends_at_the_last,
        lambda events: _first_fault(events) + 1,
        lambda events: _first_fault([e for e in events if e[0] != "lose"]),
        lambda events: _first_fault([(e[0], "Mia", e[2], "Mia") for e in events]),
        _what_was_given_is_kept,
        _lost_for_good,
    ),
)


def _scores(rng: np.random.Generator) -> Iterator[tuple[Numbers, Numbers, Numbers]]:
    for n in (1, 2, 7, 40):
        chars = rng.integers(200, 700, n).astype(np.float64)
        true = -0.15 * chars * rng.uniform(0.8, 1.2, n)
        yield -true + rng.uniform(-40, 90, n), true, chars  # by chance, a model may need less


def _excess(bits: Numbers, log2_probs: Numbers, chars: Numbers) -> float:
    return float((bits + log2_probs).sum() / chars.sum())


excess = Exercise(
    name="my_excess",
    points=3,
    reference=_excess,
    cases=_scores,
    tolerance=1e-6,
    wrong=(
        lambda bits, log2_probs, chars: float((bits - log2_probs).sum() / chars.sum()),
        lambda bits, log2_probs, chars: float(((bits + log2_probs) / chars).mean()),
        lambda bits, log2_probs, chars: float((bits + log2_probs).mean()),
        lambda bits, log2_probs, chars: float(bits.sum() / chars.sum()),
        lambda bits, log2_probs, chars: float(np.abs(bits + log2_probs).sum() / chars.sum()),
    ),
    withheld=("labkit.metrics.ratio_interval",),
)


def _pairs(rng: np.random.Generator) -> Iterator[tuple[Numbers, Numbers]]:
    yield np.array([0.5, 0.5]), np.array([0.25, 0.75])
    yield np.array([1.0, 0.0, 0.0]), np.array([0.5, 0.5, 0.0])
    for size in (2, 5, 30):
        p, q = rng.dirichlet(np.full(size, 0.5)), rng.dirichlet(np.ones(size))
        p[0] = 0.0
        yield p / p.sum(), q


def _kl(true: Numbers, model: Numbers) -> float:
    some = true > 0
    return float((true[some] * np.log2(true[some] / model[some])).sum())


def _nats(true: Numbers, model: Numbers) -> float:
    return _kl(true, model) * math.log(2)


def _masked_late(true: Numbers, model: Numbers) -> float:
    """Multiply by zero what is no number."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float((true * (np.log2(true + 1e-12) - np.log2(model))).sum())


kl_bits = Exercise(
    name="my_kl_bits",
    points=3,
    reference=_kl,
    cases=_pairs,
    tolerance=1e-5,
    wrong=(
        _nats,
        _masked_late,
        lambda true, model: _kl(model + 1e-300, true + 1e-300),
        lambda true, model: float(np.abs(true - model).sum() / 2),
        lambda true, model: _kl(true, np.full_like(true, 1 / len(true))),
    ),
)


def _looks(rng: np.random.Generator) -> Iterator[tuple[Numbers, list[int]]]:
    for L, H, T in ((1, 1, 1), (2, 3, 4), (3, 2, 9), (4, 4, 12)):
        weights = rng.dirichlet(np.full(T, 0.3), size=(L, H, T))
        yield weights, rng.choice(T, size=min(T, 3), replace=False).tolist()
    yield np.full((2, 2, 3, 3), 1 / 3), [0, 1]
    chosen = np.full((2, 4, 5, 5), 0.2)
    chosen[0, 0, -1] = [0.65, 0.0, 0.0, 0.15, 0.2]  # takes most of the first of three places
    chosen[0, 1, -1] = [0.35, 0.3, 0.0, 0.15, 0.2]  # takes most of the first two
    chosen[0, 2, -1] = [0.0, 0.0, 0.65, 0.15, 0.2]  # takes most of the last
    chosen[1, 0, 0] = [0.4, 0.3, 0.3, 0.0, 0.0]  # takes most at the first query
    chosen[1, 1, :4] = [0.4, 0.3, 0.3, 0.0, 0.0]  # takes most at all queries but the last
    chosen[1, 2, -1] = [0.5, 0.02, 0.2, 0.08, 0.2]  # takes most of all three together
    yield chosen, [0, 1, 2]


def _taken(weights: Numbers, places: list[int]) -> Numbers:
    return np.asarray(weights[:, :, -1, places].sum(axis=-1))


def _pair(scores: Numbers) -> tuple[int, int]:
    return divmod(int(scores.argmax()), scores.shape[1])


def _head_for(weights: Numbers, places: list[int]) -> tuple[int, int]:
    return _pair(_taken(weights, places))


head_for = Exercise(
    name="my_head_for",
    points=3,
    reference=_head_for,
    cases=_looks,
    wrong=(
        lambda weights, places: _head_for(weights, places)[::-1],
        lambda weights, places: _pair(weights[:, :, :, places].sum(axis=(-2, -1))),
        lambda weights, places: _pair(weights[:, :, -1, places].max(axis=-1)),
        lambda weights, places: _pair(weights[:, :, -1, places].prod(axis=-1)),
        lambda weights, places: _pair(weights[:, :, -1, places[-1]]),
        lambda weights, places: _pair(weights[:, :, -1, places[:2]].sum(axis=-1)),
        lambda weights, places: _pair(weights[:, :, places, -1].sum(axis=-1)),
        lambda weights, places: _pair(weights[:, :, 0, places].sum(axis=-1)),
        lambda weights, places: divmod(int(_taken(weights, places).argmax()), len(weights) + 1),
    ),
)
