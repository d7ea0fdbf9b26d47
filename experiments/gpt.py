"""Small GPTs on Shakespeare: two minutes of processor time each, by characters and by tokens."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from math import log

import torch

from experiments.counting import Row, league_row, split_texts
from labkit.datasets import load
from labkit.gpt import GPT, GPTConfig
from labkit.metrics import evaluate
from labkit.tokenizers import BPETokenizer, CharTokenizer, Tokenizer, encode_documents
from labkit.training import TrainConfig, train

RECIPE = TrainConfig(
    max_steps=2600,
    batch_size=16,
    context_length=64,
    learning_rate=3e-3,
    final_learning_rate=1.5e-4,
    warmup_steps=100,
    evaluate_every=200,
    evaluation_batches=40,
    seed=0,
)
QUICK_STEPS = 200
BPE_SIZE = 1024
CHARACTERS, TOKENS = "GPT, characters", f"GPT, {BPE_SIZE:,} tokens"
RECIPES = {
    CHARACTERS: replace(RECIPE, learning_rate=5e-3, final_learning_rate=2.5e-4),
    TOKENS: RECIPE,
}
"""Not tuned. In trials of 800 steps, 5e-3 was better than 3e-3 on the validation works for both:
by 0.12 bits per character for characters, by 0.02 for tokens."""


@dataclass(frozen=True)
class Text:
    """One way of cutting the plays into tokens."""

    tokenizer: Tokenizer
    train_ids: torch.Tensor
    val_ids: torch.Tensor
    bits_per_nat: float
    """Turns nats per token of the validation text into bits per character."""


def shakespeare(name: str) -> Text:
    """Cut the plays into characters or tokens."""
    train_texts, val, _ = split_texts(load("shakespeare"))
    return text_of(name, train_texts, val)


def text_of(name: str, texts: list[str], val: list[str]) -> Text:
    """Cut texts into characters or tokens."""
    tokenizer: Tokenizer = (
        CharTokenizer.train(texts) if name == CHARACTERS else BPETokenizer.train(texts, BPE_SIZE)
    )
    val_ids = torch.tensor(encode_documents(tokenizer, val))
    n_chars = sum(map(len, val)) + len(val)
    train_ids = torch.tensor(encode_documents(tokenizer, texts))
    return Text(tokenizer, train_ids, val_ids, len(val_ids) / n_chars / log(2))


def model_for(text: Text) -> GPT:
    """Make the small GPT of the league."""
    sizes = {"context_length": RECIPE.context_length, "n_layers": 3, "n_heads": 4, "d_model": 96}
    config = GPTConfig(vocab_size=text.tokenizer.vocab_size, **sizes)
    return GPT(config, generator=torch.Generator().manual_seed(RECIPE.seed))


def _curve(name: str, text: Text, model: GPT, recipe: TrainConfig) -> Iterator[Row]:
    """Train, and yield a row per evaluation."""
    for record in train(model, text.train_ids, text.val_ids, recipe):
        yield {
            "model": name,
            "step": record.step,
            "tokens": record.tokens,
            "bits_per_char": round(record.val_loss * text.bits_per_nat, 4),
            "cpu_seconds": round(record.cpu_seconds, 1),
            "quick": "yes" if (name, record.step) == (TOKENS, QUICK_STEPS) else "",
        }


def training_rows(quick: bool = False) -> Iterator[Row]:
    """Record the learning curves; quickly, only one early evaluation of the model on tokens."""
    for name in [TOKENS] if quick else [CHARACTERS, TOKENS]:
        text = shakespeare(name)
        for row in _curve(name, text, model_for(text), RECIPES[name]):
            if not quick or row["quick"]:
                yield row
            if quick and row["quick"]:
                return


def league_rows() -> Iterator[Row]:
    """Train each model for its full length and score it on the test works."""
    _, _, test = split_texts(load("shakespeare"))
    for name in (CHARACTERS, TOKENS):
        text = shakespeare(name)
        model = model_for(text)
        recipe = replace(RECIPES[name], evaluate_every=RECIPE.max_steps)
        started = time.process_time()
        *_, last = train(model, text.train_ids, text.val_ids, recipe)
        seconds = time.process_time() - started
        row = league_row(
            name,
            "33",
            evaluate(model.eval(), text.tokenizer, test),
            parameters=model.n_parameters,
            train_tokens=last.tokens,
            cpu_seconds=seconds,
        )
        yield asdict(row) | {"quick": ""}
