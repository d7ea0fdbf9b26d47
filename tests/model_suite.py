"""What every language model of the book must do, as one function per property.

A model class declares the names of the properties it has; `PROPERTIES` maps each name to its test.
A test takes a factory, (ids, V) -> a model trained on the ids, draws its own random trials from a
fixed seed, and raises AssertionError with what went wrong. `tests/test_models.py` joins the two.
"""

import re
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labkit.generation import generate
from labkit.model import LanguageModel

Factory = Callable[[NDArray[np.int64], int], LanguageModel]
Property = Callable[[Factory], None]

VOCAB_SIZE = 11
LONGEST = 24
TRIALS = 12
TOLERANCE = 1e-5
"""Largest absolute difference of two logits that count as equal, in nats of float32."""


def text(length: int = 200) -> NDArray[np.int64]:
    """Return random token ids to train on: (length,)."""
    return np.random.default_rng(0).integers(VOCAB_SIZE, size=length)


def trained(make: Factory) -> LanguageModel:
    """Return a model that has seen a random text."""
    return make(text(), VOCAB_SIZE)


def sequences(model: LanguageModel, n_rows: int, seed: int) -> Tensor:
    """Return random sequences as long as the trials allow: (n_rows, T)."""
    length = min(LONGEST, model.context_length or LONGEST)
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(VOCAB_SIZE, (n_rows, length), generator=generator)


def check_equal(mine: Tensor, theirs: Tensor, what: str) -> None:
    """Compare logits, -inf with -inf included; `what` begins the message if they differ."""
    torch.testing.assert_close(
        mine, theirs, rtol=0, atol=TOLERANCE, msg=lambda text: f"{what}: {text}"
    )


def sums_to_one(make: Factory) -> None:
    """Logits have shape (B, T, V) and turn into probabilities that sum to one, none of them NaN."""
    model = trained(make)
    assert model.vocab_size == VOCAB_SIZE
    for seed in range(TRIALS):
        ids = sequences(model, 3, seed)
        logits = model(ids)
        assert logits.shape == (*ids.shape, VOCAB_SIZE), f"got shape {tuple(logits.shape)}"
        assert logits.dtype == torch.float32, f"got {logits.dtype}"
        assert not logits.isnan().any(), "a logit is NaN"
        sums = logits.double().softmax(dim=-1).sum(dim=-1)
        check_equal(sums, torch.ones_like(sums), "softmax rows do not sum to one")


def log_probs(make: Factory) -> None:
    """Logits are log probabilities already: their exponentials sum to one as they are."""
    model = trained(make)
    for seed in range(TRIALS):
        sums = model(sequences(model, 3, seed)).exp().sum(dim=-1)
        check_equal(sums, torch.ones_like(sums), "exponentials of the logits do not sum to one")


def causal(make: Factory) -> None:
    """Changing a token never changes a logit before it."""
    model = trained(make)
    for seed in range(TRIALS):
        ids = sequences(model, 2, seed)
        before = model(ids)
        for place in range(1, ids.shape[1]):
            changed = ids.clone()
            changed[:, place] = (changed[:, place] + 1 + seed % (VOCAB_SIZE - 1)) % VOCAB_SIZE
            what = f"a logit before token {place} changed with it"
            check_equal(model(changed)[:, :place], before[:, :place], what)


def chunked(make: Factory) -> None:
    """Pieces passed one after the other with a cache give the logits of the whole."""
    model = trained(make)
    ids = sequences(model, 2, seed=0)
    length = ids.shape[1]
    whole = model(ids)
    cuts = [[length], [1, length - 1], [length - 1, 1], [2, 3, length - 5], [1] * length]
    for sizes in cuts:
        cache = model.new_cache()
        pieces = [model(piece, cache) for piece in ids.split(sizes, dim=1)]
        check_equal(torch.cat(pieces, dim=1), whole, f"pieces of {sizes} tokens differ from whole")
    check_equal(model(ids), whole, "a call without a cache remembers the calls before it")


def batched(make: Factory) -> None:
    """A batch gives what its rows give one by one, down to one row of one token."""
    model = trained(make)
    for seed in range(TRIALS):
        ids = sequences(model, 4, seed)
        rows = [model(row[None]) for row in ids]
        check_equal(model(ids), torch.cat(rows), "a batch differs from its rows")
    single = model(torch.tensor([[3]]))
    assert single.shape == (1, 1, VOCAB_SIZE), f"one token gave shape {tuple(single.shape)}"
    longer = model(torch.tensor([[3, 5]]))
    check_equal(single, longer[:, :1], "one token alone differs from the same token at the start")


def overfits(make: Factory) -> None:
    """Trained on ten tokens said round and round, greedy writing gives the ten back."""
    ten = np.random.default_rng(1).permutation(VOCAB_SIZE)[:10]
    # Twice, because Kneser-Ney's shorter contexts count what stands *before* a token: the first
    # tokens of a text have nothing before them.
    model = make(np.tile(ten, 2), VOCAB_SIZE)
    written = generate(
        model, torch.tensor([[ten[0]]]), 9, generator=torch.Generator(), temperature=0
    )
    assert written[0].tolist() == ten.tolist(), f"expected {ten.tolist()}, got {written.tolist()}"


def refuses_ids(make: Factory) -> None:
    """The ids V and -1 raise a ValueError that names the id and the largest one allowed."""
    model = trained(make)
    for wrong in (VOCAB_SIZE, -1):
        ids = torch.tensor([[0, 1], [2, wrong]])
        _check_refusal(model, ids, f"id {wrong}", (wrong, VOCAB_SIZE - 1))


def refuses_length(make: Factory) -> None:
    """A sequence longer than the context raises a ValueError that names both lengths."""
    model = trained(make)
    limit = model.context_length
    assert limit is not None, "the model has no context length that it could refuse to exceed"
    longest = torch.zeros(1, limit, dtype=torch.long)
    refusal = _refusal(model, longest)
    assert refusal is None, f"{limit} tokens, which fit, were refused: {refusal}"
    too_long = torch.zeros(1, limit + 1, dtype=torch.long)
    _check_refusal(model, too_long, f"{limit + 1} tokens", (limit + 1, limit))


def _check_refusal(model: LanguageModel, ids: Tensor, what: str, numbers: tuple[int, ...]) -> None:
    refusal = _refusal(model, ids)
    assert refusal is not None, f"{what} was accepted"
    assert isinstance(refusal, ValueError), f"{what}: expected ValueError, got {refusal!r}"
    named = {int(number) for number in re.findall(r"-?\d+", str(refusal))}
    assert named.issuperset(numbers), f"{what}: expected {numbers} to be named, got: {refusal}"


def _refusal(model: LanguageModel, ids: Tensor) -> Exception | None:
    try:
        model(ids)
    except Exception as error:  # of whatever kind: the caller says which one is right
        return error
    return None


PROPERTIES: Mapping[str, Property] = {
    test.__name__: test
    for test in (
        sums_to_one,
        log_probs,
        causal,
        chunked,
        batched,
        overfits,
        refuses_ids,
        refuses_length,
    )
}


def property_test(name: str) -> Property:
    """Return the test of a property; raise ValueError, naming those there are, for another name."""
    if name not in PROPERTIES:
        raise ValueError(f"expected one of {', '.join(PROPERTIES)}, got {name!r}")
    return PROPERTIES[name]
