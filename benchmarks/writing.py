"""Writing with a cache, token by token, beside `generate` of transformers with the same weights.

Both write the same greedy text, one sequence at a time, on one thread, and take turns.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.measure import Measurement, alternately, ratios
from labkit.checkpoints import from_hugging_face, to_hugging_face
from labkit.generation import generate
from labkit.gpt import GPT, GPTConfig

SIZES = ((4, 128, 4, 1024, 256, 250), (4, 192, 6, 1024, 256, 250), (12, 768, 12, 50257, 1024, 60))
"""Layers, width, heads, vocabulary, context, tokens to write."""
ROUNDS = 7
SPREAD = 0.2
"""Deviation of what is added to the starting weights, so that the text does not stand still."""


def writing_against_transformers() -> Iterator[Measurement]:
    """Measure all sizes.

    Raises RuntimeError if the two texts differ, for then they did not do the same.
    """
    for layers, width, heads, vocab_size, context, n_tokens in SIZES:
        config = GPTConfig(
            vocab_size=vocab_size,
            context_length=context,
            n_layers=layers,
            n_heads=heads,
            d_model=width,
        )
        chance = torch.Generator().manual_seed(0)
        model = GPT(config, generator=chance).eval()
        with torch.no_grad():
            for weight in model.parameters():
                noise = torch.randn(weight.shape, generator=chance)
                weight.add_(SPREAD / width**0.5 * noise)
        million = model.n_parameters / 1e6
        setting = f"{million:.1f} M weights, {layers} layers, {n_tokens} tokens, one at a time"
        yield from take_turns(writers(model, n_tokens), n_tokens, setting)


def writers(model: GPT, n_tokens: int) -> dict[str, Callable[[], Tensor]]:
    """Return the two ways to write greedily from one token; ours with the weights from there."""
    begin, chance = torch.tensor([[1]]), torch.Generator()
    theirs: Any = to_hugging_face(model)
    ours = from_hugging_face(theirs)
    settings = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0, "use_cache": True}
    return {
        "ours": partial(generate, ours, begin, n_tokens, temperature=0, generator=chance),
        "theirs": partial(
            theirs.generate,
            begin,
            attention_mask=torch.ones_like(begin),
            max_new_tokens=n_tokens,
            **settings,
        ),
    }


def take_turns(
    work: dict[str, Callable[[], Tensor]], n_tokens: int, setting: str
) -> Iterator[Measurement]:
    """Write with both, round by round; the first round, which warms up, does not count."""
    alternately(work, 1)
    texts, seconds = alternately(work, ROUNDS)
    if not all(torch.equal(texts["ours"][0], text) for who in texts for text in texts[who]):
        raise RuntimeError("expected one greedy text of both, got two")
    speeds = tuple(n_tokens / taken for taken in seconds["ours"])
    yield Measurement("writing", speeds, "tokens per CPU-second", setting)
    times = ratios(seconds["theirs"], seconds["ours"])
    yield Measurement("speed beside transformers' GPT-2, writing", times, "×", setting)
