"""From what people prefer, or a rule rewards, to what a model writes: the losses behind ChatGPT.

An answer's log-probability is the sum over the tokens that the model has to write. Of two answers
to one prompt, one is better and one worse; of several, each has a reward. B pairs or answers, T
time, V vocabulary, P prompts, G answers to each prompt. All logarithms are natural.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.model import LanguageModel
from labkit.tasks import IGNORED


@dataclass(frozen=True, kw_only=True)
class LeashConfig:
    """How far a model may move while it is rewarded. Built in notebook 54."""

    clip: float = 0.2
    """A token may become so much more or less likely, as a share, before its reward counts no more;
    measured from the model that wrote it."""
    beta: float = 0.04
    """What a nat of distance from the reference costs."""


@dataclass(frozen=True)
class Tried:
    """Answers that a model wrote, and what became of them. Built in notebook 54."""

    old: Tensor
    """log P of each token under the model that wrote it, (B, T)."""
    reference: Tensor
    """The same under the model that may not be left, (B, T)."""
    wanted: Tensor
    """Which tokens the model wrote, (B, T)."""
    advantage: Tensor
    """How much better each answer is than others, (B,)."""


def written_log_probs(logits: Tensor, targets: Tensor) -> Tensor:
    """Return log P of each token that the model has to write, 0 elsewhere: (B, T, V) -> (B, T).

    Targets, (B, S) with S of T or more, are `labkit.tasks.encode_tasks`'s. Built in notebook 54.
    """
    targets = targets[:, : logits.shape[1]]
    wanted = targets != IGNORED
    chosen = targets.where(wanted, 0)[..., None]
    return logits.log_softmax(-1).gather(-1, chosen)[..., 0].where(wanted, 0.0)


def reward_loss(better: Tensor, worse: Tensor) -> Tensor:
    """Return the mean surprise that the better answer won, -log σ(r_b - r_w): (B,), (B,) -> ().

    Source: Bradley and Terry 1952; Ouyang et al. 2022, equation 1. Built in notebook 54.

    >>> reward_loss(torch.tensor([2.0]), torch.tensor([2.0])).exp()
    tensor(2.)
    """
    return -F.logsigmoid(better - worse).mean()


def dpo_loss(
    better: Tensor,
    worse: Tensor,
    reference_better: Tensor,
    reference_worse: Tensor,
    beta: float = 0.1,
) -> Tensor:
    """Return the loss of direct preference optimisation from log-probabilities: four (B,) -> ().

    An answer's reward is beta times how much likelier it is than under the reference; the loss is
    `reward_loss` of these. Source: Rafailov et al. 2023, equation 7. Built in notebook 54.

    >>> none = torch.zeros(1)
    >>> dpo_loss(none, none, none, none).exp()
    tensor(2.)
    """
    return reward_loss(beta * (better - reference_better), beta * (worse - reference_worse))


def advantages(rewards: Tensor, eps: float = 1e-4) -> Tensor:
    """Return how much better each answer is than the others to its prompt: (P, G) -> (P, G).

    Rewards less their mean, in standard deviations; 0 where all are equal. Source: Shao et al.
    2024, section 4.1.2. Built in notebook 54.

    >>> advantages(torch.tensor([[1.0, 0.0], [1.0, 1.0]])).round(decimals=2)
    tensor([[ 0.7100, -0.7100],
            [ 0.0000,  0.0000]])
    """
    spread = rewards.std(dim=1, keepdim=True)
    return (rewards - rewards.mean(dim=1, keepdim=True)) / (spread + eps)


def distance(log_probs: Tensor, reference: Tensor) -> Tensor:
    """Estimate, at each token that the model wrote, its divergence from the reference: (…) -> (…).

    r - 1 - log r, where r is how much likelier the reference finds the token: never below 0, and
    on average over what the model writes KL(model ‖ reference). Source: Schulman 2020, "k3".
    Built in notebook 54.
    """
    ratio = reference - log_probs
    return ratio.exp() - 1 - ratio


def policy_loss(log_probs: Tensor, tried: Tried, config: LeashConfig) -> Tensor:
    """Return the loss whose descent makes rewarded answers likelier, near the reference: -> ().

    `log_probs`, (B, T), are the model's now. The mean is over each answer's tokens and then over
    answers. Source: Shao et al. 2024, equation 3. Built in notebook 54.
    """
    ratio = (log_probs - tried.old).exp()
    held = ratio.clamp(1 - config.clip, 1 + config.clip)
    advantage = tried.advantage[:, None]
    gain = torch.minimum(ratio * advantage, held * advantage)
    each = (gain - config.beta * distance(log_probs, tried.reference)) * tried.wanted
    return -(each.sum(1) / tried.wanted.sum(1).clamp(min=1)).mean()


def written_targets(written: Tensor, n_given: int, stop: int) -> Tensor:
    """Return what a model that wrote `written` after `n_given` tokens had to write: -> (B, T - 1).

    That is each next token up to and with the first `stop` after the prompt, (B, T), `IGNORED`
    elsewhere. Built in notebook 54.

    >>> written_targets(torch.tensor([[0, 5, 7, 0, 0]]), 2, stop=0)
    tensor([[-100,    7,    0, -100]])
    """
    targets = written[:, 1:].clone()
    targets[:, : n_given - 1] = IGNORED
    ends = targets == stop
    return targets.masked_fill(ends.cumsum(1) - ends.long() > 0, IGNORED)


@torch.no_grad()
def look_back(
    model: LanguageModel,
    reference: LanguageModel,
    written: Tensor,
    targets: Tensor,
    rewards: Tensor,
) -> Tried:
    """Return what is known of answers, (P · G, T), once each has its reward, (P, G).

    Built in notebook 54.
    """
    old, known = (
        written_log_probs(reader(written[:, :-1]), targets) for reader in (model, reference)
    )
    return Tried(old, known, targets != IGNORED, advantages(rewards).flatten())
