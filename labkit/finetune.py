"""From a language model to something else: heads, a loop that trains them, and LoRA.

B batch, T time, D model width, F width of an output, R rank, C classes. A body is any module that
turns ids (B, T) into vectors (B, T, D); `vectors_of` makes one of `labkit.gpt`'s GPT. Nothing here
changes the model that it is given, except `improve` and `fine_tune`, which train in place.
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labkit.functional import cross_entropy
from labkit.gpt import GPT
from labkit.metrics import token_log_probs
from labkit.model import LanguageModel
from labkit.training.config import TrainConfig
from labkit.training.optimiser import make_optimisers, set_learning_rate

Ids = Sequence[Sequence[int]]
"""Token ids of some texts, of any lengths."""
Pool = Callable[[Tensor, Tensor], Tensor]
"""From vectors (B, T, D) and lengths (B,) to what a head reads, such as (B, D)."""
Loss = Callable[[Tensor, Tensor], Tensor]
AT_ONCE = 64  # texts that are read together where nothing is trained


@dataclass(frozen=True, kw_only=True)
class LoRAConfig:
    """Which linear layers get a change of low rank, and how large. Built in notebook 51."""

    rank: int = 4
    """Rank of the change, R: numbers through which an input has to pass."""
    alpha: float = 8.0
    """The change is multiplied by alpha / rank, so that its size depends little on the rank."""
    layers: tuple[str, ...] = ("attention.qkv", "attention.out", "mlp.up", "mlp.down")
    """Ends of the names of the layers that are changed; `labkit.gpt`'s by default."""

    def __post_init__(self) -> None:
        """Raise ValueError for a rank below 1 and for no layers."""
        if self.rank < 1 or not self.layers:
            raise ValueError(f"expected a rank of at least 1 and some layers, got {self}")


class LoRA(nn.Module):
    """A frozen linear layer and a change of low rank that is trained beside it.

    y = W x + b + (alpha / R) · up (down x), with down (R, D) drawn and up (F, R) zero, so that at
    first nothing is changed. Source: Hu et al. 2021, section 4.1. Built in notebook 51.
    """

    def __init__(self, base: nn.Linear, config: LoRAConfig, generator: torch.Generator) -> None:
        """Freeze the layer and draw the way down, with deviation 1 / √D."""
        super().__init__()
        self.base, self.scale = base.requires_grad_(False), config.alpha / config.rank
        n_out, n_in = base.weight.shape
        drawn = torch.randn(config.rank, n_in, generator=generator) * n_in**-0.5
        self.down = nn.Parameter(drawn.to(base.weight))
        self.up = nn.Parameter(base.weight.new_zeros(n_out, config.rank))

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output with the change: (…, D) -> (…, F)."""
        return torch.add(self.base(x), x @ self.down.T @ self.up.T, alpha=self.scale)


def with_lora(model: nn.Module, config: LoRAConfig, *, generator: torch.Generator) -> nn.Module:
    """Return a copy of a model of which nothing is trained but low-rank changes.

    Raises ValueError if no linear layer has a name that ends as the config says.
    Built in notebook 51.
    """
    changed = copy.deepcopy(model).requires_grad_(False)
    linear = {name: m for name, m in changed.named_modules() if isinstance(m, nn.Linear)}
    chosen = [name for name in linear if name.endswith(config.layers)]
    if not chosen:
        ends, found = " or ".join(config.layers), ", ".join(linear) or "none"
        raise ValueError(f"expected linear layers with names that end in {ends}, got {found}")
    for name in chosen:
        changed.set_submodule(name, LoRA(linear[name], config, generator))
    return changed


def merge(model: nn.Module) -> nn.Module:
    """Return a copy with each change added to its weight: plain linear layers, the same output.

    All of it can be trained again. What was given keeps its changes apart. Built in notebook 51.
    """
    merged = copy.deepcopy(model)
    for name, part in list(merged.named_modules()):
        if isinstance(part, LoRA):
            part.base.weight.data += part.scale * (part.up @ part.down).detach()
            merged.set_submodule(name, part.base)
    return merged.requires_grad_(True)


def vectors_of(model: GPT) -> GPT:
    """Return a copy that ends before the scores: (B, T) -> (B, T, D). Built in notebook 51."""
    body = copy.deepcopy(model)
    body.head = nn.Identity()
    return body


def last_token(x: Tensor, lengths: Tensor) -> Tensor:
    """Take each text's vector at its last token: (B, T, D) -> (B, D). Built in notebook 51."""
    return x[torch.arange(len(x), device=x.device), lengths - 1]


def mean_token(x: Tensor, lengths: Tensor) -> Tensor:
    """Take the mean of each text's vectors: (B, T, D) -> (B, D). Built in notebook 51."""
    inside = torch.arange(x.shape[1], device=x.device) < lengths[:, None]  # (B, T)
    return (x * inside[..., None]).sum(1) / lengths[:, None]


class Classifier(nn.Module):
    """A body, a way to one vector per text, and a linear head that is zero at first.

    With a pool that returns (B, T, D), such as `lambda x, lengths: x`, each token gets scores.
    Built in notebook 51.
    """

    def __init__(
        self, body: nn.Module, width: int, n_classes: int, pool: Pool = last_token
    ) -> None:
        """Put the parts together; `width` is the body's D."""
        super().__init__()
        self.body, self.pool = body, pool
        self.head = nn.utils.skip_init(nn.Linear, width, n_classes)  # draws nothing
        for part in self.head.parameters():
            nn.init.zeros_(part)

    def vectors(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return what the head reads: (B, T), (B,) -> (B, D)."""
        return self.pool(self.body(ids), lengths)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the scores of the classes: (B, T), (B,) -> (B, C)."""
        return torch.as_tensor(self.head(self.vectors(ids, lengths)))


class Pointer(nn.Module):
    """A body whose last vector asks every token: does the answer start here, does it end here?

    What it asks is zero at first. Source: Vinyals et al. 2015, section 2.3. Built in notebook 52.
    """

    def __init__(self, body: nn.Module, width: int, n_places: int) -> None:
        """Put the parts together; `width` is the body's D, `n_places` that of the longest text."""
        super().__init__()
        self.body, self.n_places = body, n_places
        self.look = nn.Parameter(torch.zeros(2, width, width))

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return scores of starts and ends: (B, T), (B,) -> (B, 2, n_places), -inf after a text."""
        x = self.body(ids)
        asked = torch.einsum("bd,cde->bce", last_token(x, lengths), self.look)  # (B, 2, D)
        scores = asked @ x.transpose(1, 2) / math.sqrt(x.shape[-1])  # (B, 2, T)
        inside = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        scores = scores.masked_fill(~inside[:, None], -math.inf)
        return nn.functional.pad(scores, (0, self.n_places - x.shape[1]), value=-math.inf)


def best_spans(scores: Tensor, longest: int) -> Tensor:
    """Return first and last place of the most probable span of each text: (N, 2, T) -> (N, 2).

    A span has 1 to `longest` places; of equals, the first is taken. Built in notebook 52.
    """
    together = scores[:, 0, :, None] + scores[:, 1, None, :]  # (N, T, T): start, end
    n = scores.shape[-1]
    allowed = torch.ones(n, n, dtype=torch.bool).triu().tril(longest - 1)
    best = together.masked_fill(~allowed, -math.inf).flatten(1).argmax(1)
    return torch.stack([best // n, best % n], dim=1)


def pad(ids: Ids, fill: int = 0) -> tuple[Tensor, Tensor]:
    """Put texts into one array, `fill` after the shorter ones: ids (B, T), lengths (B,).

    Raises ValueError for a text without a token. Built in notebook 51.
    """
    lengths = torch.tensor([len(text) for text in ids])
    if not len(ids) or not lengths.min():
        raise ValueError(f"expected texts of at least one token, got lengths {lengths.tolist()}")
    rows = [torch.tensor(list(text)) for text in ids]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=fill), lengths


@torch.no_grad()
def read_all(model: Callable[[Tensor, Tensor], Tensor], ids: Ids) -> Tensor:
    """Return what a model makes of each text, a row each: (N, …). Built in notebook 51."""
    # Texts of like length are read together, which saves padding.
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    parts = [order[i : i + AT_ONCE] for i in range(0, len(order), AT_ONCE)]
    made = torch.cat([model(*pad([ids[i] for i in part])) for part in parts])
    return made[torch.tensor(order).argsort()]


def improve(
    model: nn.Module, n: int, loss_of: Callable[[list[int]], Tensor], config: TrainConfig
) -> Iterator[float]:
    """Train what is not frozen, in place; yield the loss of each update.

    `loss_of` says how bad the model is at some of n examples, given by their numbers; it may let
    the model write first. All examples come once before any comes again; the seed decides on their
    order and on dropout. The model is left in evaluation mode. Built in notebook 51.
    """
    devices = {weight.device for weight in model.parameters() if weight.is_cuda}
    optimisers = make_optimisers(model, config)
    order, waiting = torch.Generator().manual_seed(config.seed), list[int]()
    for step in range(config.max_steps):
        while len(waiting) < config.batch_size:
            waiting += torch.randperm(n, generator=order).tolist()
        now, waiting = waiting[: config.batch_size], waiting[config.batch_size :]
        set_learning_rate(optimisers, step, config)
        model.train()
        with torch.random.fork_rng(devices=devices):  # dropout has only the global generator
            torch.manual_seed(1_000_003 * config.seed + step)
            loss = loss_of(now)
        model.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        for optimiser in optimisers:
            optimiser.step()
        model.eval()
        yield float(loss.detach())


def fine_tune(
    model: nn.Module, ids: Ids, targets: Tensor, config: TrainConfig, *, loss: Loss = cross_entropy
) -> Iterator[float]:
    """Train what is not frozen by `improve`; yield the loss of each update.

    `model(ids, lengths)` is compared with the rows of `targets`, (N, …). Built in notebook 51.
    """

    def loss_of(now: list[int]) -> Tensor:
        return loss(model(*pad([ids[i] for i in now])), targets[now])

    return improve(model, len(ids), loss_of, config)


def label_log_probs(model: LanguageModel, ids: Ids, labels: Ids) -> Tensor:
    """Return log P(label | text), in nats, for each text and each label of some tokens: (N, C).

    Built in notebook 51.
    """

    def score(text: Sequence[int], label: Sequence[int]) -> float:
        return float(token_log_probs(model, torch.tensor([[*text, *label]]))[-len(label) :].sum())

    return torch.tensor([[score(text, label) for label in labels] for text in ids])
