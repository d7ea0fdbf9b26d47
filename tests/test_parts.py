"""Parts have names, names have parts, and a model that starts silent says what its tokens say."""

import pytest
import torch
from torch import nn

from labkit.gpt import GPT, GPTConfig
from labkit.parts import PARTS, named_parts, names_of_parts
from labkit.training.recipe import Recipe

SMALL = GPTConfig(
    vocab_size=11, context_length=8, n_layers=2, n_heads=2, d_model=8, ngram_order=3, ngram_rows=97
)
TEXT = torch.tensor([[3, 1, 4, 1, 5]])


def made(**names: str) -> GPT:
    """A model with named parts, in evaluation mode."""
    return GPT(SMALL, generator=torch.Generator().manual_seed(0), **named_parts(names)).eval()


@pytest.mark.parametrize("kind", PARTS)
def test_every_named_part_can_be_made_and_is_recognised(kind: str) -> None:
    plain, *others = PARTS[kind]
    assert names_of_parts(made(**{kind: plain})) == {}
    for name in others:
        assert names_of_parts(made(**{kind: name})) == {kind: name}
        assert made(**{kind: name})(TEXT).shape == (1, 5, 11)


def test_a_part_of_ones_own_has_no_name() -> None:
    model = GPT(SMALL, generator=torch.Generator(), norm=nn.Identity, mask=lambda T, S: None)
    assert names_of_parts(model) == {"norm": "", "mask": ""}


@pytest.mark.parametrize("names", [{"norm": "batch"}, {"nose": "long"}])
def test_what_has_no_name_is_refused(names: dict[str, str]) -> None:
    kind, name = next(iter(names.items()))
    with pytest.raises(ValueError, match=rf"expected {kind} to be one of .*got '{name}'"):
        named_parts(names)


def test_a_recipe_knows_every_name() -> None:
    for kind in PARTS.keys() - {"attend"}:
        chosen = Recipe.__dataclass_fields__[kind].type.__args__  # type: ignore[union-attr]
        assert set(chosen) == set(PARTS[kind]), kind


def test_a_model_that_starts_silent_is_its_embedding() -> None:
    model = made(start="silent", positions="none")
    expected = model.norm(model.tokens(TEXT)) @ model.tokens.weight.T
    torch.testing.assert_close(model(TEXT), expected)
    assert not torch.allclose(made(positions="none")(TEXT), expected, atol=1e-4)


def test_a_silent_head_of_its_own_finds_all_tokens_equally_likely() -> None:
    assert not made(start="silent", head="own")(TEXT).any()
    assert made(head="own")(TEXT).any()


def test_silence_does_not_stop_any_weight_from_learning() -> None:
    names = {"turn": "rotary_normalised", "norm": "rms", "mlp": "squared_relu"}
    model = made(start="silent", entry="rms", head="own", **names)
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    for _ in range(4):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(TEXT)[0, :-1], TEXT[0, 1:]).backward()
        optimiser.step()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []
