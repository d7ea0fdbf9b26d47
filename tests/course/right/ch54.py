"""Right answers to chapter 54's exercises, written otherwise than ours: each must earn all points.

A name is that of the exercise's function, two underscores, and the style. Each function holds all
that it needs, as an answer cell does.
"""

from typing import Any


def my_chat_targets__by_index(ids: list[int], wanted: list[bool]) -> list[int]:
    """Walk along the places and look one ahead."""
    found = []
    for t in range(len(ids) - 1):
        found.append(ids[t + 1] if wanted[t + 1] else -100)
    return found


def my_chat_targets__with_arrays(ids: list[int], wanted: list[bool]) -> Any:
    """Choose between two arrays, shifted together."""
    import numpy as np

    return np.where(np.array(wanted), np.array(ids), -100)[1:]


def my_chat_targets__as_tensor(ids: list[int], wanted: list[bool]) -> Any:
    """Fill in where nothing is to be learned."""
    import torch

    after = torch.tensor(ids).roll(-1)
    return after.masked_fill(~torch.tensor(wanted).roll(-1), -100)[:-1]


def my_preference_loss__by_sigmoid(better: Any, worse: Any) -> float:
    """Write the formula down."""
    import numpy as np

    return float(-np.log(1 / (1 + np.exp(-(better - worse)))).mean())


def my_preference_loss__as_softmax(better: Any, worse: Any) -> Any:
    """Let the two answers compete for one probability."""
    import torch

    scores = torch.tensor([list(better), list(worse)])
    return -scores.log_softmax(dim=0)[0].mean()


def my_preference_loss__plain(better: Any, worse: Any) -> float:
    """Add up pair by pair."""
    import math

    total = 0.0
    for b, w in zip(better, worse, strict=True):
        total += math.log(1 + math.exp(w - b))
    return total / len(better)


def my_dpo_margins__of_two_gains(
    better: Any, worse: Any, old_better: Any, old_worse: Any, beta: float
) -> Any:
    """Take the reward of each answer, and then their difference."""
    return beta * (better - old_better) - beta * (worse - old_worse)


def my_dpo_margins__of_two_models(
    better: Any, worse: Any, old_better: Any, old_worse: Any, beta: float
) -> list[float]:
    """Compare the preference of the model with that of the reference."""
    rows = zip(better, worse, old_better, old_worse, strict=True)
    return [float(beta * ((b - w) - (ob - ow))) for b, w, ob, ow in rows]


def my_dpo_margins__as_tensor(
    better: Any, worse: Any, old_better: Any, old_worse: Any, beta: float
) -> Any:
    """The same in PyTorch, in 32 bits."""
    import torch

    b, w, ob, ow = (torch.tensor(x).float() for x in (better, worse, old_better, old_worse))
    return beta * (b - ob - w + ow)


def my_advantages__with_epsilon(rewards: Any) -> Any:
    """Add a little to the deviation, so that nothing is divided by zero."""
    import torch

    r = torch.tensor(rewards)
    return (r - r.mean(dim=1, keepdim=True)) / (r.std(dim=1, keepdim=True) + 1e-6)


def my_advantages__row_by_row(rewards: Any) -> list[list[float]]:
    """Use the standard library for each prompt."""
    import statistics

    found = []
    for row in rewards.tolist():
        spread = statistics.stdev(row)
        found.append([(r - statistics.mean(row)) / spread if spread else 0.0 for r in row])
    return found


def my_advantages__where(rewards: Any) -> Any:
    """Divide everywhere, and put zero where that made no sense."""
    import numpy as np

    spread = rewards.std(axis=1, ddof=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = (rewards - rewards.mean(axis=1, keepdims=True)) / spread
    return np.where(spread > 0, z, 0)


def my_clipped_gains__by_cases(ratio: Any, advantage: Any, clip: float) -> list[float]:
    """Say for each sign which bound holds."""
    found = []
    for r, a in zip(ratio, advantage, strict=True):
        if a > 0:
            found.append(float(min(r, 1 + clip) * a))
        else:
            found.append(float(max(r, 1 - clip) * a))
    return found


def my_clipped_gains__as_tensor(ratio: Any, advantage: Any, clip: float) -> Any:
    """Clamp, and take the smaller."""
    import torch

    r, a = torch.tensor(ratio), torch.tensor(advantage)
    return torch.min(r * a, r.clamp(1 - clip, 1 + clip) * a)


def my_clipped_gains__where(ratio: Any, advantage: Any, clip: float) -> Any:
    """Choose the bound by the sign of the advantage."""
    import numpy as np

    bound = np.where(advantage > 0, np.minimum(ratio, 1 + clip), np.maximum(ratio, 1 - clip))
    return bound * advantage
