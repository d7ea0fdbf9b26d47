"""The mathematics of a Transformer against slow loops, hand-worked values and its own laws."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from labkit.functional import (
    attend,
    attend_fused,
    attention_weights,
    causal_mask,
    cross_entropy,
    gelu,
    layer_norm,
    rms_norm,
    rotate,
    rotate_normalised,
    sinusoids,
    softmax,
    squared_relu,
)

Floats = NDArray[np.float64]
Attend = Callable[..., Tensor]
leading = st.lists(st.integers(1, 3), max_size=2).map(tuple)
sizes = st.integers(1, 5)
seeds = st.integers(0, 2**31)
few = settings(max_examples=30)


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def close(mine: Tensor, theirs: Floats | Tensor, tolerance: float = 1e-6) -> None:
    expected = torch.as_tensor(theirs, dtype=mine.dtype)
    torch.testing.assert_close(mine, expected, rtol=tolerance, atol=tolerance)


def softmax_slowly(row: list[float]) -> list[float]:
    powers = [math.exp(x - max(row)) for x in row]
    return [power / math.fsum(powers) for power in powers]


@few
@given(leading, sizes, seeds)
def test_softmax_is_each_power_over_their_sum(lead: tuple[int, ...], n: int, seed: int) -> None:
    x = normal(*lead, n, seed=seed, scale=3)
    slow = np.empty(x.shape)
    for place in np.ndindex(*lead):
        slow[place] = softmax_slowly(x[place].tolist())
    close(softmax(x), slow)
    close(softmax(x.transpose(0, -1), dim=0), np.swapaxes(slow, 0, -1))


def test_softmax_of_three_logarithms() -> None:
    close(softmax(torch.tensor([1.0, 2.0, 5.0]).log()), torch.tensor([0.125, 0.25, 0.625]))


@pytest.mark.parametrize("shift", [-1e4, -3.0, 0.5, 1e4])
def test_softmax_is_unmoved_by_a_shift_and_stable_far_out(shift: float) -> None:
    x = torch.tensor([[0.0, 1.0, -2.0], [3.0, 3.0, 3.0]])
    close(softmax(x + shift), softmax(x), tolerance=1e-3 if abs(shift) == 1e4 else 1e-6)
    far = softmax(torch.tensor([shift, 0.0, -shift]))
    assert far.isfinite().all()
    assert float(far.sum()) == pytest.approx(1)


@few
@given(leading, sizes, seeds)
def test_cross_entropy_is_the_mean_surprise(lead: tuple[int, ...], n: int, seed: int) -> None:
    logits = normal(*lead, n, seed=seed, scale=3)
    targets = torch.randint(n, lead, generator=torch.Generator().manual_seed(seed))
    surprises = [
        -math.log(softmax_slowly(logits[place].tolist())[int(targets[place])])
        for place in np.ndindex(*lead)
    ]
    loss = cross_entropy(logits, targets)
    assert loss.shape == ()
    assert float(loss) == pytest.approx(math.fsum(surprises) / len(surprises), rel=1e-5, abs=1e-6)


def test_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[1.0, 3.0], [1.0, 7.0]]).log()
    by_hand = -(math.log(3 / 4) + math.log(1 / 8)) / 2
    assert float(cross_entropy(logits, torch.tensor([1, 0]))) == pytest.approx(by_hand)


@few
@given(leading, st.integers(2, 6), seeds)
def test_layer_norm_gives_mean_zero_and_variance_one(
    lead: tuple[int, ...], width: int, seed: int
) -> None:
    x = normal(*lead, width, seed=seed, scale=100) + 5
    plain = layer_norm(x, torch.ones(width), torch.zeros(width))
    close(plain.mean(dim=-1), torch.zeros(lead), tolerance=1e-5)
    close(plain.square().mean(dim=-1), torch.ones(lead), tolerance=1e-3)
    weight, bias = normal(width, seed=seed + 1), normal(width, seed=seed + 2)
    close(layer_norm(x, weight, bias), plain * weight + bias, tolerance=1e-5)


@few
@given(leading, st.integers(1, 5), seeds, st.sampled_from([1e-5, 1e-1]))
def test_layer_norm_against_loops(lead: tuple[int, ...], width: int, seed: int, eps: float) -> None:
    x, weight, bias = normal(*lead, width, seed=seed), normal(width, seed=1), normal(width, seed=2)
    slow = np.empty(x.shape)
    for place in np.ndindex(*lead):
        row = x[place].tolist()
        mean = math.fsum(row) / width
        variance = math.fsum((value - mean) ** 2 for value in row) / width
        for i, value in enumerate(row):
            slow[(*place, i)] = (value - mean) / math.sqrt(variance + eps) * weight[i] + bias[i]
    close(layer_norm(x, weight, bias, eps), slow, tolerance=1e-3 if eps < 1e-2 else 1e-5)


def test_layer_norm_by_hand() -> None:
    # Mean 4, deviations -3, -1, 1, 3, variance (9 + 1 + 1 + 9) / 4 = 5.
    x = torch.tensor([1.0, 3.0, 5.0, 7.0])
    expected = torch.tensor([-3.0, -1.0, 1.0, 3.0]) / math.sqrt(5)
    close(layer_norm(x, torch.ones(4), torch.zeros(4)), expected, tolerance=1e-5)


def test_gelu_is_its_formula_and_near_that_of_the_error_function() -> None:
    x = torch.linspace(-8, 8, 1601)
    slow = [
        0.5 * v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3)))
        for v in x.tolist()
    ]
    exact = [v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x.tolist()]
    close(gelu(x), torch.tensor(slow))
    assert 1e-5 < float((gelu(x) - torch.tensor(exact)).abs().max()) < 1e-3
    assert gelu(torch.tensor([0.0])).tolist() == [0]


@given(st.integers(0, 6), st.integers(0, 6))
def test_the_causal_mask_lets_the_last_queries_look_back(n_queries: int, more: int) -> None:
    n_keys = n_queries + more
    mask = causal_mask(n_queries, n_keys)
    assert mask.shape == (n_queries, n_keys)
    assert mask.dtype == torch.bool
    for i in range(n_queries):
        assert mask[i].tolist() == [j <= i + more for j in range(n_keys)]
    assert torch.equal(causal_mask(n_keys)[more:], mask), "the last rows of the whole mask"


def test_a_causal_mask_refuses_fewer_keys_than_queries() -> None:
    with pytest.raises(ValueError, match=r"at least 3 keys.*got 2"):
        causal_mask(3, 2)


def attend_slowly(q: Floats, k: Floats, v: Floats, mask: NDArray[np.bool_]) -> Floats:
    """One query, one key at a time, for one head: (T, K), (S, K), (S, Kv), (T, S) -> (T, Kv)."""
    result = np.zeros((len(q), v.shape[1]))
    for i in range(len(q)):
        seen = [j for j in range(len(k)) if mask[i, j]]
        scores = [sum(a * b for a, b in zip(q[i], k[j], strict=True)) for j in seen]
        shares = softmax_slowly([float(score) / math.sqrt(q.shape[1]) for score in scores])
        for j, share in zip(seen, shares, strict=True):
            result[i] += share * v[j]
    return result


@st.composite
def attention_inputs(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, keys, values of any leading shape, and a mask that leaves each query some key."""
    lead, T, S, K, seed = draw(leading), draw(sizes), draw(sizes), draw(sizes), draw(seeds)
    q = normal(*lead, T, K, seed=seed)
    k, v = (normal(*lead, S, K, seed=seed + i) for i in (1, 2))
    mask = normal(*draw(st.sampled_from([(), lead])), T, S, seed=seed + 3) > 0
    mask[..., torch.arange(T), torch.arange(T) % S] = True
    return q, k, v, mask


@few
@given(attention_inputs())
def test_attention_against_loops_and_pytorch(
    inputs: tuple[Tensor, Tensor, Tensor, Tensor],
) -> None:
    q, k, v, mask = inputs
    everything = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool)
    for given_mask in (mask, None):
        allowed = everything if given_mask is None else given_mask
        allowed = allowed.expand(*q.shape[:-2], *allowed.shape[-2:])
        slow = np.empty(q.shape)
        for place in np.ndindex(*q.shape[:-2]):
            queries, keys, values = (part[place].double().numpy() for part in (q, k, v))
            slow[place] = attend_slowly(queries, keys, values, allowed[place].numpy())
        close(attend(q, k, v, given_mask), slow)
        close(attend_fused(q, k, v, given_mask), slow)
        close(attend(q, k, v, given_mask), scaled_dot_product_attention(q, k, v, given_mask))


@few
@given(attention_inputs())
def test_rows_of_weights_sum_to_one_and_masked_ones_are_zero(
    inputs: tuple[Tensor, Tensor, Tensor, Tensor],
) -> None:
    q, k, v, mask = inputs
    weights = attention_weights(q, k, mask)
    close(weights.sum(dim=-1), torch.ones(weights.shape[:-1]))
    assert (weights[~mask.expand_as(weights)] == 0).all()
    assert (weights >= 0).all()
    close(weights @ v, attend(q, k, v, mask))


def test_attention_by_hand() -> None:
    # K = 4, so a score is half the product: 0 and log 3, shares 1/4 and 3/4.
    q = torch.tensor([[2 * math.log(3), 0.0, 0.0, 0.0]])
    k = torch.tensor([[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    v = torch.tensor([[4.0, 0.0, 8.0, 0.0], [0.0, 4.0, 8.0, 0.0]])
    close(attention_weights(q, k), torch.tensor([[0.25, 0.75]]))
    close(attend(q, k, v), torch.tensor([[1.0, 3.0, 8.0, 0.0]]))
    only_first = torch.tensor([[True, False]])
    assert attend(q, k, v, only_first).tolist() == v[:1].tolist()


@pytest.mark.parametrize("attention", [attend, attend_fused])
def test_the_order_of_keys_and_values_together_means_nothing(attention: Attend) -> None:
    q, k, v = (normal(2, 3, 7, 4, seed=seed) for seed in range(3))
    order = torch.randperm(7, generator=torch.Generator().manual_seed(3))
    close(attention(q, k[..., order, :], v[..., order, :]), attention(q, k, v))
    with pytest.raises(AssertionError):
        close(attention(q, k[..., order, :], v), attention(q, k, v))


@pytest.mark.parametrize("mask", [None, causal_mask(4, 6)])
def test_both_attentions_have_the_same_gradients(mask: Tensor | None) -> None:
    shapes = [(2, 3, 4, 5), (2, 3, 6, 5), (2, 3, 6, 5)]
    outward = normal(*shapes[0], seed=9)
    gradients = []
    for attention in (attend, attend_fused):
        inputs = [normal(*shape, seed=i).requires_grad_() for i, shape in enumerate(shapes)]
        q, k, v = inputs
        (attention(q, k, v, mask) * outward).sum().backward()
        gradients.append([part.grad for part in inputs])
    for mine, theirs in zip(*gradients, strict=True):
        assert mine is not None
        assert theirs is not None
        assert float(mine.abs().max()) > 1e-3
        close(mine, theirs)


@pytest.mark.parametrize("attention", [attend, attend_fused])
def test_what_drops_weights_is_given_the_weights_and_used(attention: Attend) -> None:
    q, k, v = (normal(1, 3, 4, seed=seed) for seed in range(3))
    given_to_drop: list[Tensor] = []

    def drop(weights: Tensor) -> Tensor:
        given_to_drop.append(weights)
        return weights.tril() * 2

    mixed = attention(q, k, v, causal_mask(3), drop)
    (weights,) = given_to_drop
    close(weights, attention_weights(q, k, causal_mask(3)))
    close(mixed, 2 * weights @ v)


def test_sinusoids_by_hand() -> None:
    table = sinusoids(3, 4)
    assert table.shape == (3, 4)
    close(table[0], torch.tensor([0.0, 1.0, 0.0, 1.0]))
    by_hand = [math.sin(2), math.cos(2), math.sin(0.02), math.cos(0.02)]  # 10,000^(-2/4) = 0.01
    close(table[2], torch.tensor(by_hand))


@few
@given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 20))
def test_a_step_along_sinusoids_is_a_rotation(n: int, pairs: int, step: int) -> None:
    table = sinusoids(n + step, 2 * pairs).double().view(-1, pairs, 2)
    for i in range(pairs):
        angle = step * 10_000 ** (-i / pairs)
        c, s = math.cos(angle), math.sin(angle)
        turned = table[:n, i] @ torch.tensor([[c, -s], [s, c]], dtype=torch.double)
        close(table[step:, i], turned, tolerance=1e-5)


def test_sinusoids_refuse_an_odd_width() -> None:
    with pytest.raises(ValueError, match=r"even width.*got 5"):
        sinusoids(3, 5)


def test_a_rotation_by_hand() -> None:
    """Width 4: the first pair (x_0, x_2) turns by the position, the second by a hundredth of it."""
    one, small = math.pi / 2, math.pi / 200
    turned = rotate(torch.tensor([[1.0, 1.0, 0.0, 0.0]]), torch.tensor([math.pi / 2]))
    expected = [[math.cos(one), math.cos(small), math.sin(one), math.sin(small)]]
    close(turned, torch.tensor(expected), tolerance=1e-6)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 200))
def test_rotated_products_depend_on_the_distance_alone(i: int, j: int, shift: int) -> None:
    q, k = normal(1, 8, seed=1).double(), normal(1, 8, seed=2).double()

    def product(at_q: int, at_k: int) -> Tensor:
        return rotate(q, torch.tensor([at_q])) @ rotate(k, torch.tensor([at_k])).T

    close(product(i, j), product(i + shift, j + shift), tolerance=1e-4)
    close(rotate(q, torch.tensor([i])).norm(), q.norm(), tolerance=1e-6)


def test_a_rotation_refuses_an_odd_width() -> None:
    with pytest.raises(ValueError, match=r"even width.*got 5"):
        rotate(torch.zeros(2, 5), torch.arange(2))


def test_rotated_attention_sees_order_where_plain_attention_does_not() -> None:
    """Exchanging two earlier keys with their values changes what the last query finds."""
    order, last, places = [1, 0, 2], Q[:, 2:], torch.arange(3)
    k, v = K[:, order], V[:, order]
    close(attend(last, K, V), attend(last, k, v), tolerance=1e-6)
    asked = rotate(last, places[2:])
    found, other = (attend(asked, rotate(keys, places), w) for keys, w in ((K, V), (k, v)))
    assert (found - other).abs().max() > 0.01


def test_rms_norm_is_the_formula_and_keeps_directions() -> None:
    x = normal(5, 8)
    close(rms_norm(x), x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt(), tolerance=1e-6)
    close(rms_norm(7 * x), rms_norm(x), tolerance=1e-4)


def test_normalised_queries_and_keys_never_score_above_the_root_of_their_width() -> None:
    q, k = (rotate_normalised(100 * normal(9, 16, seed=seed), torch.arange(9)) for seed in (0, 1))
    scores = q @ k.T / 4
    assert scores.abs().max() <= 4 + 1e-4
    close(rotate_normalised(3 * k, torch.arange(9)), rotate(rms_norm(k), torch.arange(9)), 1e-4)


Q, K, V = (normal(2, 3, 4, seed=seed) for seed in range(3))
CALLS: dict[str, tuple[Attend, tuple[Tensor, ...]]] = {
    "softmax": (softmax, (Q,)),
    "cross_entropy": (cross_entropy, (Q, torch.zeros(2, 3, dtype=torch.long))),
    "layer_norm": (layer_norm, (Q, normal(4), normal(4))),
    "gelu": (gelu, (Q,)),
    "attention_weights": (attention_weights, (Q, K, causal_mask(3))),
    "attend": (attend, (Q, K, V, causal_mask(3))),
    "attend_fused": (attend_fused, (Q, K, V, causal_mask(3))),
    "rotate": (rotate, (Q, torch.arange(3))),
    "rotate_normalised": (rotate_normalised, (Q, torch.arange(3))),
    "rms_norm": (rms_norm, (Q,)),
    "squared_relu": (squared_relu, (Q,)),
}


@pytest.mark.parametrize("name", CALLS)
def test_functions_change_no_input_draw_nothing_and_repeat(name: str) -> None:
    function, inputs = CALLS[name]
    before, state = [part.clone() for part in inputs], torch.random.get_rng_state()
    first = function(*inputs)
    assert torch.equal(function(*inputs), first)
    assert all(torch.equal(a, b) for a, b in zip(inputs, before, strict=True))
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("name", CALLS)
def test_double_precision_stays_double(name: str) -> None:
    function, inputs = CALLS[name]
    doubled = [part.double() if part.is_floating_point() else part for part in inputs]
    result = function(*doubled)
    assert result.dtype == torch.double
    close(result, function(*inputs).double(), tolerance=1e-5)
