"""Exercises of chapter 54: what is learned of a dialogue, and four losses of preferences."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from labkit.checks import Exercise

Array = NDArray[np.float64]
IGNORED = -100


def _dialogues(rng: np.random.Generator) -> Iterator[tuple[list[int], list[bool]]]:
    yield [0, 5, 6, 7, 0], [False, False, False, True, True]
    yield [0, 3, 0, 4, 8, 0], [False, True, True, False, True, True]
    for length in (2, 9, 14):
        wanted = [False, *(rng.random(length - 1) < 0.5).tolist()]
        wanted[-1] = True
        yield rng.integers(0, 9, length).tolist(), wanted


def _targets(ids: list[int], wanted: list[bool]) -> list[int]:
    pairs = zip(ids[1:], wanted[1:], strict=True)
    return [token if is_wanted else IGNORED for token, is_wanted in pairs]


chat_targets = Exercise(
    name="my_chat_targets",
    points=3,
    reference=_targets,
    cases=_dialogues,
    expected="for each token but the last the one after it, or -100 where that one is given",
    wrong=(
        lambda ids, wanted: _targets(ids, [True] * len(ids)),
        lambda ids, wanted: _targets(ids, [*wanted[1:], True]),
        lambda ids, wanted: _targets(ids, [False, *wanted[:-1]]),
        lambda ids, wanted: [i if w else IGNORED for i, w in zip(ids, wanted, strict=True)][:-1],
        lambda ids, wanted: [0 if t == IGNORED else t for t in _targets(ids, wanted)],
    ),
    withheld=("labkit.tasks.encode_pieces",),
)


def _rewards_of_pairs(rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
    yield np.array([2.0]), np.array([2.0])
    yield np.array([1.0, 0.0]), np.array([0.0, 2.0])
    for n in (3, 8):
        yield rng.normal(size=n) * 2, rng.normal(size=n) * 2


def _preference_loss(better: Array, worse: Array) -> float:
    return float(np.logaddexp(0, worse - better).mean())


preference_loss = Exercise(
    name="my_preference_loss",
    points=3,
    reference=_preference_loss,
    cases=_rewards_of_pairs,
    tolerance=1e-6,
    expected="the mean of -log σ(reward of the better answer - reward of the worse one)",
    wrong=(
        lambda better, worse: _preference_loss(worse, better),
        lambda better, worse: -_preference_loss(better, worse),
        lambda better, worse: float(np.logaddexp(0, worse - better).sum()),
        lambda better, worse: float((1 / (1 + np.exp(worse - better))).mean()),
        lambda better, worse: float(np.logaddexp(0, (worse - better).mean())),
        lambda better, worse: float(np.maximum(0, 1 - better + worse).mean()),
    ),
    withheld=("labkit.preferences.reward_loss", "labkit.preferences.dpo_loss"),
)

Pairs = tuple[Array, Array, Array, Array, float]


def _log_probs_of_pairs(rng: np.random.Generator) -> Iterator[Pairs]:
    yield np.array([-3.0]), np.array([-5.0]), np.array([-4.0]), np.array([-4.0]), 0.5
    for n, beta in ((1, 0.1), (4, 0.1), (6, 2.0)):
        better, worse, old_better, old_worse = -20 * rng.random((4, n))
        yield better, worse, old_better, old_worse, beta


def _margins(
    better: Array, worse: Array, old_better: Array, old_worse: Array, beta: float
) -> Array:
    return beta * ((better - old_better) - (worse - old_worse))


dpo_margins = Exercise(
    name="my_dpo_margins",
    points=4,
    reference=_margins,
    cases=_log_probs_of_pairs,
    tolerance=1e-5,
    expected="beta times how much more the better answer has gained on the reference than the "
    "worse one, (B,)",
    wrong=(
        lambda b, w, ob, ow, beta: beta * (b - w),
        lambda b, w, ob, ow, beta: _margins(b, w, ob, ow, 1.0),
        lambda b, w, ob, ow, beta: _margins(w, b, ow, ob, beta),
        lambda b, w, ob, ow, beta: beta * ((b - ob) + (w - ow)),
        lambda b, w, ob, ow, beta: _margins(b, w, ob, ow, 1 / beta),
        lambda b, w, ob, ow, beta: beta * ((b - ow) - (w - ob)),
    ),
    withheld=("labkit.preferences.dpo_loss",),
)


def _groups(rng: np.random.Generator) -> Iterator[tuple[Array]]:
    yield (np.array([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]),)
    yield (np.array([[0.0, 10.0], [3.0, 3.0]]),)
    for shape in ((1, 8), (3, 5)):
        yield (rng.normal(size=shape) * 3 + 5,)


def _advantages(rewards: Array, ddof: int = 1) -> Array:
    spread = rewards.std(axis=1, ddof=ddof, keepdims=True)
    centred: Array = rewards - rewards.mean(axis=1, keepdims=True)
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-9)


group_advantages = Exercise(
    name="my_advantages",
    points=4,
    reference=_advantages,
    cases=_groups,
    tolerance=1e-3,
    expected="each reward less the mean of its own row, in standard deviations of that row "
    "(divided by G - 1), and 0 in a row whose rewards are all equal, (P, G)",
    wrong=(
        lambda rewards: rewards - rewards.mean(axis=1, keepdims=True),
        lambda rewards: _advantages(rewards, ddof=0),
        lambda rewards: _advantages(rewards.reshape(1, -1)).reshape(rewards.shape),
        lambda rewards: -_advantages(rewards),
        lambda rewards: _advantages(rewards.T).T if len(rewards) > 1 else 0 * rewards,
        lambda rewards: _advantages(rewards) + rewards.mean(axis=1, keepdims=True),
    ),
    withheld=("labkit.preferences.advantages",),
)


def _ratios(rng: np.random.Generator) -> Iterator[tuple[Array, Array, float]]:
    yield np.array([1.5, 1.5, 0.5, 0.5]), np.array([1.0, -1.0, 1.0, -1.0]), 0.2
    for n, clip in ((1, 0.2), (6, 0.1), (20, 0.3)):
        yield np.exp(rng.normal(size=n) * 0.4), rng.normal(size=n), clip


def _gains(ratio: Array, advantage: Array, clip: float) -> Array:
    held = np.clip(ratio, 1 - clip, 1 + clip)
    gains: Array = np.minimum(ratio * advantage, held * advantage)
    return gains


clipped_gains = Exercise(
    name="my_clipped_gains",
    points=4,
    reference=_gains,
    cases=_ratios,
    tolerance=1e-6,
    expected="the smaller of ratio times advantage and clipped ratio times advantage, (T,)",
    wrong=(
        lambda ratio, advantage, clip: ratio * advantage,
        lambda ratio, advantage, clip: np.clip(ratio, 1 - clip, 1 + clip) * advantage,
        lambda ratio, advantage, clip: np.minimum(ratio, 1 + clip) * advantage,
        lambda ratio, advantage, clip: -_gains(ratio, -advantage, clip),
        lambda ratio, advantage, clip: np.clip(ratio * advantage, 1 - clip, 1 + clip),
        lambda ratio, advantage, clip: -_gains(ratio, advantage, clip),
    ),
    withheld=("labkit.preferences.policy_loss",),
)
