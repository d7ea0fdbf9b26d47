"""What can be computed from attention weights: whether they can be right, and what each head does.

Shapes: L layers, H heads, T queries, S keys; weights are (L, H, T, S). Only numpy is needed.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from labkit.plain import visible

Weights = NDArray[np.float32]
MOST_TOLD = 3
LOOKS = {
    "previous token": "the token before",
    "first token": "the first token",
    "itself": "the token itself",
    "induction": "what followed the same token earlier",
}
"""From the name of a score to where a head with a high score looks."""


def is_causal(weights: Weights) -> bool:
    """Whether no query takes anything from a key that comes after it."""
    T, S = weights.shape[-2:]
    later = np.triu(np.ones((T, S), dtype=bool), 1)
    return T == S and T > 1 and not np.any(weights[..., later])


def bad_rows(weights: Weights) -> list[tuple[int, int, int, str]]:
    """Return layer, head, query and fault of each row that no softmax can have made."""
    sums = weights.sum(axis=-1)
    faults = [
        (~np.isfinite(weights).all(axis=-1), "holds a number that is not finite"),
        ((weights < 0).any(axis=-1), "holds a negative weight"),
        (np.abs(np.nan_to_num(sums, nan=1) - 1) > 1e-3, "adds to {:.4g}"),
    ]
    found = {
        tuple(map(int, place)): fault.format(sums[tuple(place)])
        for rows, fault in reversed(faults)
        for place in np.argwhere(rows)
    }
    return [(*place, fault) for place, fault in sorted(found.items())]


def told_rows(bad: Sequence[tuple[int, int, int, str]], queries: Sequence[str]) -> str:
    """Name the first bad rows, and say how many there are."""
    if not bad:
        return ""
    named = "; ".join(
        f"layer {layer}, head {head}, query {visible(queries[i])} ({i}) {fault}"
        for layer, head, i, fault in bad[:MOST_TOLD]
    )
    more = f"; {len(bad) - MOST_TOLD:,} more" if len(bad) > MOST_TOLD else ""
    return f"No attention: {named}{more}. Weights after a softmax over keys add to 1."


def entropy_of_heads(weights: Weights) -> NDArray[np.float64]:
    """Return the mean entropy of a head's rows, in bits: (L, H, T, S) -> (L, H)."""
    p = np.clip(weights, 1e-12, 1).astype(np.float64)
    return np.asarray(-(p * np.log2(p)).sum(axis=-1).mean(axis=-1))


def induction_mask(tokens: Sequence[str]) -> NDArray[np.bool_]:
    """Say which key follows an earlier occurrence of each query's token: (T, T).

    >>> induction_mask(["a", "b", "a"]).astype(int).tolist()
    [[0, 0, 0], [0, 0, 0], [0, 1, 0]]
    """
    numbers = np.unique(np.array(tokens, dtype=object).astype(str), return_inverse=True)[1]
    mask = np.zeros((len(tokens), len(tokens)), dtype=bool)
    mask[:, 1:] = numbers[:, None] == numbers[None, :-1]
    return np.tril(mask, -1)


def scores_of_heads(weights: Weights, tokens: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Return the share of its weight that each head gives to a kind of key: (L, H) per kind.

    Shares are means over the queries that have such a key. Keys and queries are the same tokens.
    Source of the kinds: Clark et al. 2019, section 3; Olsson et al. 2022 (induction heads).
    """
    T = weights.shape[-1]
    follows = induction_mask(tokens)
    previous, first = np.eye(T, k=-1, dtype=bool), np.zeros((T, T), dtype=bool)
    first[1:, 0] = True
    masks = [previous, first, np.eye(T, dtype=bool), follows]
    return {
        name: (weights * mask).sum(axis=(-2, -1)) / mask.any(axis=1).sum()
        for name, mask in zip(LOOKS, masks, strict=True)
        if mask.any()
    }


def says_what_it_does(scores: dict[str, float], entropy: float) -> str:
    """Say in one line what a head does, with the shares it was read from.

    >>> says_what_it_does({"previous token": 0.9}, 0.5)
    'Mostly at the token before: previous token 90 %. Spread as over 1.4 equal weights.'
    """
    spread = f"Spread as over {2**entropy:.1f} equal weights."
    if not scores:
        return spread
    best = max(scores, key=lambda name: scores[name])
    where = f"Mostly at {LOOKS[best]}" if scores[best] >= 0.5 else "Not mainly at one of these"
    shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in scores.items())
    return f"{where}: {shares}. {spread}"
