"""What each part of a block is worth: parts changed one at a time, the loss measured.

Two stacks on Shakespeare's characters: a shallow one, in which every part is changed, and a deep
and narrow one, for residuals and normalisation. Everything else is equal: text, steps, batches.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from math import log
from typing import Any

import torch
from torch import Tensor, nn

from experiments.counting import Row, split_texts
from labkit.cache import LayerCache
from labkit.datasets import load
from labkit.functional import rotate
from labkit.gpt import GPT, MLP, Block, GPTConfig, Sinusoids
from labkit.parts import NoPositions
from labkit.tokenizers import CharTokenizer, encode_documents
from labkit.training import TrainConfig, train

RECIPE = TrainConfig(
    max_steps=1000,
    batch_size=16,
    context_length=32,
    learning_rate=1e-2,
    final_learning_rate=1e-3,
    warmup_steps=50,
    weight_decay=0.0,
    evaluate_every=250,
    evaluation_batches=40,
)
SHALLOW = {"context_length": 32, "n_layers": 2, "n_heads": 4, "d_model": 64}
DEEP = SHALLOW | {"n_layers": 12, "n_heads": 2, "d_model": 32}
DEEP_RECIPE = replace(RECIPE, max_steps=400, evaluate_every=100)
RATES = (1e-2, 1e-3)
"""Learning rates of the deep stack. 1e-2 was not tuned: for the whole shallow one it was as good as
5e-3 in a trial, by 0.02 bits better."""
SLOWER = 3e-3
SEEDS = (0, 1)
ONE, TWO = {"n_heads": 1}, {"n_heads": 2}
WHOLE, RELU, RELU_TWICE = "whole block", "ReLU", "ReLU inside and outside"


class NoResidual(Block):
    """Hand on what each half computes, without what came in."""

    def forward(self, x: Tensor, cache: LayerCache | None = None) -> Tensor:
        """Replace each token's vector: (B, T, D) -> (B, T, D)."""
        return self.mlp(self.norm_2(self.attention(self.norm_1(x), cache)))


class PostNorm(Block):
    """Normalise the stream itself after each addition, as the first Transformer did."""

    def forward(self, x: Tensor, cache: LayerCache | None = None) -> Tensor:
        """Refine each token's vector: (B, T, D) -> (B, T, D)."""
        x = self.norm_1(x + self.attention(x, cache))
        return self.norm_2(x + self.mlp(x))


class NoAttention(Block):
    """Keep the feed-forward half alone."""

    def forward(self, x: Tensor, cache: LayerCache | None = None) -> Tensor:
        """Work on each token by itself: (B, T, D) -> (B, T, D)."""
        return x + self.mlp(self.norm_2(x))


class NoMLP(nn.Module):
    """Add nothing where the feed-forward layer stood."""

    def __init__(self, config: GPTConfig) -> None:
        """Take the configuration and need nothing of it."""
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Return zeros: (B, T, D) -> (B, T, D)."""
        return torch.zeros_like(x)


class LinearMLP(MLP):
    """Two linear maps and nothing between them."""

    def forward(self, x: Tensor) -> Tensor:
        """Work on each token by itself: (B, T, D) -> (B, T, D)."""
        return self.down(self.up(x))


class ReluMLP(MLP):
    """A corner in place of GELU's round one."""

    def forward(self, x: Tensor) -> Tensor:
        """Work on each token by itself: (B, T, D) -> (B, T, D)."""
        return self.down(self.up(x).relu())


class ReluTwiceMLP(MLP):
    """A ReLU inside and another outside."""

    def forward(self, x: Tensor) -> Tensor:
        """Work on each token by itself, adding numbers ≥ 0 alone: (B, T, D) -> (B, T, D)."""
        return self.down(self.up(x).relu()).relu()


def no_norm(width: int) -> nn.Module:
    """Leave the vectors as they are."""
    return nn.Identity()


@dataclass(frozen=True)
class Variant:
    """One change to the model."""

    parts: dict[str, Callable[..., Any]] = field(default_factory=dict)
    """Arguments of `GPT` in place of its own parts."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Sizes that differ."""


VARIANTS = {
    WHOLE: Variant(),
    "two heads": Variant(sizes=TWO),
    "one head": Variant(sizes=ONE),
    "no attention": Variant({"block": NoAttention}),
    "no positions": Variant({"positions": NoPositions}),
    "sinusoids": Variant({"positions": Sinusoids}),
    "rotary positions": Variant({"positions": NoPositions, "turn": rotate}),
    "rotary, two heads": Variant({"positions": NoPositions, "turn": rotate}, TWO),
    "rotary, one head": Variant({"positions": NoPositions, "turn": rotate}, ONE),
    "no residual": Variant({"block": NoResidual}),
    "post-norm": Variant({"block": PostNorm}),
    "no norm": Variant({"norm": no_norm}),
    "no feed-forward": Variant({"mlp": NoMLP}),
    "no feed-forward, three times the blocks": Variant({"mlp": NoMLP}, {"n_layers": 6}),
    "linear feed-forward": Variant({"mlp": LinearMLP}),
    RELU: Variant({"mlp": ReluMLP}),
    RELU_TWICE: Variant({"mlp": ReluTwiceMLP}),
}
FEWER_ROTARY = ("rotary, two heads", "rotary, one head")
DEEP_VARIANTS = (WHOLE, "no residual", "post-norm", "no norm")


def characters() -> tuple[int, Tensor, Tensor]:
    """Return the size of the vocabulary, and training and validation text as ids."""
    train_texts, val_texts, _ = split_texts(load("shakespeare"))
    tokenizer = CharTokenizer.train(train_texts)
    train_ids = torch.tensor(encode_documents(tokenizer, train_texts))
    return tokenizer.vocab_size, train_ids, torch.tensor(encode_documents(tokenizer, val_texts))


def model_of(name: str, sizes: dict[str, int], vocab_size: int, seed: int) -> GPT:
    """Make a model with one change."""
    variant = VARIANTS[name]
    config = GPTConfig(vocab_size=vocab_size, **(sizes | variant.sizes))
    generator = torch.Generator().manual_seed(seed)
    return GPT(config, generator=generator, **variant.parts)


def at_rate(recipe: TrainConfig, rate: float) -> TrainConfig:
    """Change the learning rate, from its height to its end."""
    return replace(recipe, learning_rate=rate, final_learning_rate=rate / 10)


Trial = tuple[str, str, dict[str, int], TrainConfig]
"""Stack, variant, sizes, recipe."""


def all_runs() -> Iterator[Trial]:
    """Yield every run of the experiment, the quick one first."""
    for seed in SEEDS:
        for name in (name for name in VARIANTS if name not in FEWER_ROTARY):
            yield "shallow", name, SHALLOW, replace(RECIPE, seed=seed)
        for name in (WHOLE, RELU, RELU_TWICE):
            yield "shallow", name, SHALLOW, at_rate(replace(RECIPE, seed=seed), SLOWER)
        for rate in RATES:
            for name in DEEP_VARIANTS:
                yield "deep", name, DEEP, at_rate(replace(DEEP_RECIPE, seed=seed), rate)


def check_runs() -> Iterator[Trial]:
    """Yield the runs that two results of the others ask for: fewer heads, a slower post-norm."""
    for seed in SEEDS:
        for name in FEWER_ROTARY:
            yield "shallow", name, SHALLOW, replace(RECIPE, seed=seed)
        yield "shallow", "post-norm", SHALLOW, at_rate(replace(RECIPE, seed=seed), SLOWER)


def block_rows(quick: bool = False) -> Iterator[Row]:
    """Record every part changed in turn."""
    yield from rows_of(all_runs(), quick)


def check_rows(quick: bool = False) -> Iterator[Row]:
    """Record the runs that were asked for afterwards."""
    yield from rows_of(check_runs(), quick)


def rows_of(runs: Iterator[Trial], quick: bool) -> Iterator[Row]:
    """Record every evaluation; quickly, the first run's first one after the start."""
    vocab_size, train_ids, val_ids = characters()
    wanted = True
    for stack, name, sizes, recipe in runs:
        model = model_of(name, sizes, vocab_size, recipe.seed)
        for record in train(model, train_ids, val_ids, recipe):
            is_quick = wanted and record.step > 0
            if is_quick or not quick:
                yield {
                    "stack": stack,
                    "variant": name,
                    "seed": recipe.seed,
                    "learning_rate": recipe.learning_rate,
                    "step": record.step,
                    "parameters": model.n_parameters,
                    "bits_per_char": round(record.val_loss / log(2), 4),
                    "cpu_seconds": round(record.cpu_seconds, 1),
                    "quick": "yes" if is_quick else "",
                }
            if is_quick:
                wanted = False
                if quick:
                    return
