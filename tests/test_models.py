"""Every model has every property it declares, and every property catches a model that lacks it."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from labkit.functional import rotate
from labkit.gpt import GPT, GPTConfig
from labkit.model import LanguageModel, check_ids
from labkit.ngram import Counts, NGram, add_k, count_ngrams, kneser_ney, maximum_likelihood
from labkit.parts import named_parts
from labkit.training import TrainConfig, train
from tests import model_suite
from tests.model_suite import PROPERTIES, VOCAB_SIZE, Factory, property_test

Estimator = Callable[[Counts, int], NGram]
ESTIMATORS: dict[str, Estimator] = {
    "maximum likelihood": maximum_likelihood,
    "add-k": lambda counts, order: add_k(counts, order, k=0.1),
    "Kneser-Ney, one": lambda counts, order: kneser_ney(counts, order, "one"),
    "Kneser-Ney, three": lambda counts, order: kneser_ney(counts, order, "three"),
}
ORDERS = range(1, 6)
TODAY = {
    "positions": "none",
    "turn": "rotary_normalised",
    "entry": "rms",
    "norm": "rms",
    "head": "own",
    "mlp": "squared_relu",
    "start": "silent",
}


def n_gram(estimate: Estimator, order: int) -> Factory:
    return lambda ids, vocab_size: estimate(count_ngrams(ids, order, vocab_size), order)


def small_gpt(ids: NDArray[np.int64], vocab_size: int, ngram_order: int = 1, **parts: Any) -> GPT:
    sizes = {"context_length": 16, "n_layers": 2, "n_heads": 2, "d_model": 16}
    config = GPTConfig(vocab_size=vocab_size, **sizes, dropout=0.1, ngram_order=ngram_order)
    model = GPT(config, generator=torch.Generator().manual_seed(0), **parts)
    stream = torch.from_numpy(ids)
    recipe = TrainConfig(max_steps=60, batch_size=16, context_length=12, learning_rate=1e-2)
    for _ in train(model, stream, stream, recipe):
        pass
    return model


# A new kind of model joins with one line here.
MODELS: dict[str, Factory] = {
    f"{name}, order {order}": n_gram(estimate, order)
    for name, estimate in ESTIMATORS.items()
    for order in ORDERS
} | {
    "GPT": small_gpt,
    "GPT, rotated": partial(small_gpt, turn=rotate),
    "GPT of today": partial(small_gpt, ngram_order=3, **named_parts(TODAY)),
}


def declared() -> list[tuple[str, str]]:
    return [
        (name, property_name)
        for name, make in MODELS.items()
        for property_name in sorted(model_suite.trained(make).properties)
    ]


@pytest.mark.parametrize(("model", "property_name"), declared())
def test_each_model_has_each_property_it_declares(model: str, property_name: str) -> None:
    property_test(property_name)(MODELS[model])


def test_all_n_gram_estimators_of_orders_one_to_five_are_tested() -> None:
    for name in ("maximum likelihood", "add-k", "Kneser-Ney, one", "Kneser-Ney, three"):
        for order in (1, 2, 3, 4, 5):
            model = model_suite.trained(MODELS[f"{name}, order {order}"])
            assert isinstance(model, NGram)
            assert model.order == order


def test_n_grams_declare_all_but_what_they_cannot_have() -> None:
    for name in MODELS.keys() - {"GPT", "GPT, rotated", "GPT of today"}:
        missing = {"refuses_length"} | ({"overfits"} if name.endswith("order 1") else set())
        assert PROPERTIES.keys() - model_suite.trained(MODELS[name]).properties == missing


def test_a_gpt_declares_all_but_logits_that_are_log_probabilities_already() -> None:
    for name in ("GPT", "GPT, rotated"):
        assert PROPERTIES.keys() - model_suite.trained(MODELS[name]).properties == {"log_probs"}


def test_an_unknown_property_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'causall'") as caught:
        property_test("causall")
    assert "causal" in str(caught.value)


class Fake:
    """A faultless bigram model, from which each faulty one below differs in a single point."""

    context_length: int | None = 8
    properties = frozenset(PROPERTIES)

    def __init__(self, ids: NDArray[np.int64], vocab_size: int) -> None:
        self.vocab_size = vocab_size
        counts = torch.full((vocab_size, vocab_size), 0.1)
        for first, second in pairwise(ids):
            counts[first, second] += 1
        self.table = counts.log().log_softmax(dim=-1)

    def new_cache(self) -> Any:
        return []

    def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
        check_ids(ids, self.vocab_size, self.context_length)
        return self.table[ids]


class OneIsNan(Fake):
    def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
        return super().__call__(ids).index_fill(2, torch.tensor([4]), float("nan"))


class AllRuledOut(Fake):
    def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
        return torch.full_like(super().__call__(ids), float("-inf"))


class OnlyTheLastPosition(Fake):
    def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
        return super().__call__(ids)[:, -1]


class NotNormalised(Fake):
    def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
        return super().__call__(ids) + 1e-3


class LooksOneAhead(Fake):
    def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
        return super().__call__(ids).roll(-1, dims=1)


class LooksAtTheLast(Fake):
    def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
        return super().__call__(ids) + 0.01 * ids[:, -1, None, None]


class KnowsThePlace(Fake):
    """Depends on the position within the sequence, and forgets that there were pieces before."""

    def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
        return super().__call__(ids) * torch.linspace(1, 2, ids.shape[1])[:, None]


class KeepsOneCacheForAll(Fake):
    """Remembers earlier calls even where no cache was passed."""

    n_calls = 0

    def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
        self.n_calls += 1
        return super().__call__(ids) + 0.01 * self.n_calls


class MixesRows(Fake):
    def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
        logits = super().__call__(ids)
        return logits - logits.mean(dim=0, keepdim=True)


class DropsTheTimeOfOneToken(Fake):
    def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
        return super().__call__(ids).squeeze(1)


class NeverTrained(Fake):
    def __init__(self, ids: NDArray[np.int64], vocab_size: int) -> None:
        super().__init__(ids[:1], vocab_size)


class AcceptsNegativeIds(Fake):
    def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
        return super().__call__(ids.where(ids >= 0, ids + self.vocab_size))


class AcceptsAnyId(Fake):
    def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
        return super().__call__(ids % self.vocab_size)


class RefusesWithoutNumbers(Fake):
    def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
        try:
            return super().__call__(ids)
        except ValueError:
            raise ValueError("these ids cannot be scored") from None


class RefusesWithIndexError(Fake):
    def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
        if ids.max() >= self.vocab_size or ids.min() < 0:
            raise IndexError(f"{ids.max()} or {ids.min()} is not below {self.vocab_size - 1}")
        return super().__call__(ids)


class CutsWhatIsTooLong(Fake):
    def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
        return super().__call__(ids[:, -8:])


class HasNoContextLength(Fake):
    context_length = None


class RefusesItsOwnContextLength(Fake):
    def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
        check_ids(ids, self.vocab_size, 7)
        return self.table[ids]


FAULTS: list[tuple[str, type[Fake]]] = [
    ("sums_to_one", OneIsNan),
    ("sums_to_one", AllRuledOut),
    ("sums_to_one", OnlyTheLastPosition),
    ("log_probs", NotNormalised),
    ("causal", LooksOneAhead),
    ("causal", LooksAtTheLast),
    ("chunked", KnowsThePlace),
    ("chunked", KeepsOneCacheForAll),
    ("batched", MixesRows),
    ("batched", DropsTheTimeOfOneToken),
    ("overfits", NeverTrained),
    ("refuses_ids", AcceptsNegativeIds),
    ("refuses_ids", AcceptsAnyId),
    ("refuses_ids", RefusesWithoutNumbers),
    ("refuses_ids", RefusesWithIndexError),
    ("refuses_length", CutsWhatIsTooLong),
    ("refuses_length", RefusesWithoutNumbers),
    ("refuses_length", HasNoContextLength),
    ("refuses_length", RefusesItsOwnContextLength),
]


@pytest.mark.parametrize("property_name", PROPERTIES)
def test_a_faultless_model_has_every_property(property_name: str) -> None:
    property_test(property_name)(Fake)


@pytest.mark.parametrize(("property_name", "faulty"), FAULTS)
def test_each_property_catches_a_model_that_lacks_it(
    property_name: str, faulty: type[Fake]
) -> None:
    with pytest.raises(AssertionError):
        property_test(property_name)(faulty)


def test_every_property_has_a_fault_that_it_catches() -> None:
    assert {name for name, _ in FAULTS} == PROPERTIES.keys()


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (torch.tensor([[0.0]]), TypeError, "float32"),
        (torch.tensor([[True]]), TypeError, "bool"),
        (torch.tensor([0, 1]), ValueError, r"\(2,\).*ids\[None\]"),
        (torch.zeros(1, 0, dtype=torch.long), ValueError, r"\(1, 0\)"),
        (torch.tensor([[0, 1], [7, 2]]), ValueError, r"0 to 2, got 7 at \(1, 0\)"),
        (torch.zeros(1, 5, dtype=torch.long), ValueError, "at most 4 tokens.*got 5"),
    ],
)
def test_ids_that_no_model_could_score_are_refused_with_what_came(
    ids: Tensor, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        check_ids(ids, vocab_size=3, context_length=4)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_every_integer_type_is_accepted(dtype: torch.dtype) -> None:
    check_ids(torch.tensor([[0, 1, 2, 1]], dtype=dtype), vocab_size=3, context_length=4)


def test_a_fake_is_a_language_model() -> None:
    model: LanguageModel = Fake(model_suite.text(), VOCAB_SIZE)
    assert model.new_cache() == []
