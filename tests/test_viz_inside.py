"""The logit lens without a browser: the last layer is the model, each number is right, errors."""

import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from labkit.functional import rotate
from labkit.gpt import GPT, GPTConfig
from labkit.parts import NoPositions, own_head
from labkit.shipped import load_shipped
from labkit.tokenizers import BPETokenizer, ByteTokenizer, CharTokenizer
from labkit.viz import LogitLens, logit_lens
from viewers.logit_lens import log_probs_by_layer
from viewers.viewer import HERE

SCRIPT = HERE / "logit_lens.js"
TEXT = "a cab"
FIELDS = {field.name for field in dataclasses.fields(GPTConfig)}
SIZES = {"context_length": 16, "n_layers": 3, "n_heads": 2, "d_model": 16}


def tokenizer() -> CharTokenizer:
    return CharTokenizer.train(["a cab"])


def gpt(**changes: Any) -> GPT:
    """A model whose blocks say something, as after training."""
    sizes = {"vocab_size": 5, **SIZES} | {k: changes.pop(k) for k in FIELDS & changes.keys()}
    model = GPT(GPTConfig(**sizes), generator=torch.Generator().manual_seed(0), **changes)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(0.3 * torch.randn(weights.shape, generator=generator))
    return model


MODERN: dict[str, Any] = {
    "norm": nn.RMSNorm,
    "entry": nn.RMSNorm,
    "turn": rotate,
    "positions": NoPositions,
    "head": own_head,
    "ngram_order": 3,
    "ngram_rows": 31,
    "ngram_width": 4,
}


class Letters:
    """A tokenizer with the interface of transformers, for models of 5 tokens."""

    def encode(self, text: str) -> list[int]:
        return [" abc".index(char) for char in text]

    def decode(self, ids: list[int]) -> str:
        return "".join(" abc~"[i] for i in ids)


def gpt2() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=5, n_positions=16, n_embd=16, n_layer=3, n_head=2)
    return GPT2LMHeadModel(config).train()


def shown(lens: LogitLens) -> tuple[Any, ...]:
    """What the page is given: top ids, their log probabilities, entropy, and of what followed."""
    top, T = lens.meta["top"], len(lens.meta["ids"])
    cells = np.frombuffer(lens.cells, "<f4").reshape(lens.meta["layers"], T, 2 * top + 3)
    return cells[..., :top], cells[..., top : 2 * top], *np.moveaxis(cells[..., 2 * top :], -1, 0)


@pytest.mark.parametrize("changes", [{}, MODERN, {"head": own_head}, {"n_layers": 1}])
def test_the_last_layer_is_the_model(changes: dict[str, Any]) -> None:
    model = gpt(**changes)
    ids = tokenizer().encode(TEXT)
    scores = log_probs_by_layer(model, ids)
    assert scores.shape == (model.config.n_layers + 1, 5, 5)
    with torch.no_grad():
        real = model(torch.tensor([ids]))[0].log_softmax(dim=-1)
    assert (scores[-1] - real).abs().max() < 1e-5
    assert (scores[0] - real).abs().max() > 0.1


def test_the_shipped_model_in_its_own_words() -> None:
    shipped = load_shipped("tinyworld-en")
    text = "On a foggy evening, Ruby was in the garden."
    lens = logit_lens(shipped.model, text, shipped.tokenizer)
    with torch.no_grad():
        real = shipped.model(torch.tensor([lens.meta["ids"]]))[0].softmax(dim=-1)
    ids, log_probs, *_ = shown(lens)
    assert np.abs(np.exp(log_probs[-1]) - real.topk(5).values.numpy()).max() < 1e-5
    assert (ids[-1, :, 0] == real.argmax(dim=-1).numpy()).all()
    assert "".join(lens.meta["names"][str(i)] for i in lens.meta["ids"]).replace("␣", " ") == text


def test_layers_of_a_gpt2_of_transformers() -> None:
    model = gpt2()
    ids = Letters().encode(TEXT)
    scores = log_probs_by_layer(model, ids)
    assert model.training
    with torch.no_grad():
        out = model.eval()(torch.tensor([ids]), output_hidden_states=True)
        # The last of these has gone through the final norm already.
        early = [model.lm_head(model.transformer.ln_f(x)) for x in out.hidden_states[:-1]]
    for mine, theirs in zip(scores, [*early, out.logits], strict=True):
        assert (mine - theirs[0].log_softmax(dim=-1)).abs().max() < 1e-5
    lens = logit_lens(model, TEXT, Letters())
    assert lens.meta["names"]["0"] == "␣"


def test_each_layer_is_what_a_shorter_model_would_say() -> None:
    model = gpt(**MODERN)
    ids = tokenizer().encode(TEXT)
    scores = log_probs_by_layer(model, ids)
    for n in range(model.config.n_layers, -1, -1):
        del model.blocks[n:]
        with torch.no_grad():
            real = model(torch.tensor([ids]))[0].log_softmax(dim=-1)
        assert (scores[n] - real).abs().max() < 1e-5


def test_numbers_by_a_second_way() -> None:
    lens = logit_lens(gpt(), TEXT, tokenizer(), top=2)
    ids, log_probs, entropy, log_prob, rank = shown(lens)
    p = np.exp(log_probs_by_layer(gpt(), lens.meta["ids"]).double().numpy())
    order = np.argsort(-p, axis=-1)
    assert (ids == order[..., :2]).all()
    assert np.allclose(np.exp(log_probs), np.sort(p)[..., :-3:-1], atol=1e-6)
    assert np.allclose(entropy, -(p * np.log2(p)).sum(-1), atol=1e-5)
    for position, after in enumerate(lens.meta["ids"][1:]):
        assert np.allclose(np.exp(log_prob[:, position]), p[:, position, after], atol=1e-6)
        places = np.argwhere(order[:, position] == after)[:, 1]
        assert (rank[:, position] == places + 1).all()
    assert np.isnan(log_prob[:, -1]).all()
    assert np.isnan(rank[:, -1]).all()


def test_equal_scores_share_their_rank() -> None:
    model = gpt()
    nn.init.zeros_(model.tokens.weight)
    _, log_probs, entropy, _, rank = shown(logit_lens(model, TEXT, tokenizer()))
    assert (rank[:, :-1] == 1).all()
    assert np.allclose(entropy, math.log2(5), atol=1e-6)
    assert np.allclose(log_probs, -math.log(5), atol=1e-6)


def test_the_path_of_any_token_is_answered() -> None:
    lens = logit_lens(gpt(), TEXT, tokenizer())
    p = lens.scores
    for asked, found in (({"token": 2}, False), ({"text": "b"}, True)):
        message, buffers = lens.answer(asked) or ({}, [])
        assert message == {"token": 2, "name": "b", "found": found}
        path = np.frombuffer(buffers[0], "<f4").reshape(4, 5, 2)
        assert np.allclose(path[..., 0], p[..., 2], atol=1e-6)
        assert (path[..., 1] == 1 + (p > p[..., 2:3]).sum(-1).numpy()).all()
    for space in (" ", "␣"):
        assert (lens.answer({"text": space}) or ({}, []))[0]["token"] == 0
    assert lens.answer({"text": "ab"}) == (
        {"says": "No token is “ab”; a space before it counts."},
        [],
    )


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("make", [gpt, gpt2])
def test_the_model_is_left_as_it_was(make: Callable[[], Any], training: bool) -> None:
    model = make().train(training)
    frozen = next(part for part in model.modules() if isinstance(part, nn.LayerNorm)).train(False)
    before = [part.training for part in model.modules()]
    ids = tokenizer().encode(TEXT)
    log_probs_by_layer(model, ids)
    assert [part.training for part in model.modules()] == before
    assert not frozen.training
    assert not any(part._forward_pre_hooks for part in model.modules())
    assert all(weights.grad is None for weights in model.parameters())


def test_hooks_are_gone_after_an_error() -> None:
    model = gpt()

    def broken(x: Tensor, cache: None = None) -> Tensor:
        raise KeyboardInterrupt

    model.blocks[1].forward = broken
    model.train()
    with pytest.raises(KeyboardInterrupt):
        log_probs_by_layer(model, [0, 1])
    assert not any(part._forward_pre_hooks for part in model.modules())
    assert model.training


def test_dropout_is_off() -> None:
    model = gpt(dropout=0.5).train()
    lens = [logit_lens(model, TEXT, tokenizer()).cells for _ in range(2)]
    assert lens[0] == lens[1]


def test_a_text_of_one_token() -> None:
    lens = logit_lens(gpt(), "a", tokenizer())
    assert (lens.layer, lens.position, lens.tracked) == (3, 0, -1)
    assert "at 0 of 0 positions before the first block, at 0 after the last" in lens.says


def test_what_it_says_counts_hits() -> None:
    model = gpt()
    lens = logit_lens(model, TEXT, tokenizer(), title="Lens")
    ids = torch.tensor(lens.meta["ids"])
    best = lens.scores.argmax(dim=-1)[:, :-1]
    first, *_, last = (best == ids[1:]).sum(dim=1).tolist()
    assert lens.says == (
        f"Lens. What really followed is the most probable token at {first} of 4 positions before "
        f"the first block, at {last} after the last."
    )


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="text of 1 to 16 tokens, got 0: pass a part"):
        logit_lens(gpt(), "", tokenizer())
    with pytest.raises(ValueError, match="text of 1 to 16 tokens, got 17"):
        logit_lens(gpt(), "a" * 17, tokenizer())
    with pytest.raises(ValueError, match="text of 1 to 16 tokens, got 17"):
        logit_lens(gpt2(), "a" * 17, Letters())
    for top in (0, 6):
        with pytest.raises(ValueError, match=f"top from 1 to 5, the vocabulary, got {top}"):
            logit_lens(gpt(), TEXT, tokenizer(), top=top)
    with pytest.raises(TypeError, match="a labkit GPT or a GPT-2 of transformers, got Linear"):
        logit_lens(nn.Linear(2, 2), TEXT, tokenizer())


def test_scores_that_would_fill_the_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(log_probs_by_layer.__globals__, "MOST_SCORES", 4 * 5 * 3)
    with pytest.raises(ValueError, match="text of 1 to 3 tokens, got 5"):
        logit_lens(gpt(), TEXT, tokenizer())


def test_hostile_tokens_are_data() -> None:
    text = "<b></script>\u202eא👩‍👩‍👧\n猫"
    for made in (ByteTokenizer(), BPETokenizer.train([text * 4], 300), CharTokenizer.train([text])):
        model = gpt(vocab_size=made.vocab_size, context_length=64)
        lens = logit_lens(model, text, made)
        page = lens.html()
        assert page.count("</script") == 2  # the state's own end and the script's
        assert "https:" not in page
        state = page.split('type="application/json">')[1].split("</script>")[0]
        assert json.loads(state)["meta"]["names"] == lens.meta["names"]
        assert all(name.isprintable() for name in lens.meta["names"].values())


def test_the_script_is_safe() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 100
    for unsafe in ("innerHTML", "insertAdjacentHTML", "eval(", "Function(", "fetch(", "import "):
        assert unsafe not in text
