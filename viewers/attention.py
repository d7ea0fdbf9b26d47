"""The attention viewer: all heads, one head's matrix and its lines, linked by one selection.

Weights travel as 16-bit numbers, 65535 being 1, so that what is shown is within 1e-5 of what was
computed; differences, which have a sign, as 32-bit ones. Where all heads would be more than
`LARGEST` bytes, small pictures of them travel first, and a head when it is looked at.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import traitlets
from numpy.typing import NDArray

from labkit.plain import number, sentence, visible
from viewers.heads import (
    Weights,
    bad_rows,
    entropy_of_heads,
    is_causal,
    says_what_it_does,
    scores_of_heads,
    told_rows,
)
from viewers.reading import Attentions, read_attention
from viewers.viewer import Viewer, script

LARGEST = 700_000
"""Bytes of weights that are sent at once."""
THUMB = 32
"""Width and height of a head's small picture, at most."""
MEAN = -1
"""In place of a head: the mean over the heads of a layer."""


class AttentionViewer(Viewer):
    """What `attention` returns; `layer`, `head` and `queries` say what is chosen."""

    _esm = script("weights.js", "attention.js")
    meta = traitlets.Dict().tag(sync=True)
    weights = traitlets.Bytes().tag(sync=True)
    thumbs = traitlets.Bytes().tag(sync=True)
    layer = traitlets.Int(0).tag(sync=True)
    head = traitlets.Int(0).tag(sync=True)
    queries = traitlets.List(traitlets.Int()).tag(sync=True)

    def __init__(self, seen: Attentions, says: str, **state: Any) -> None:
        """Keep the weights, of which a head can be asked for."""
        self.seen = seen
        super().__init__(says, **state)

    def answer(self, asked: Any) -> tuple[dict[str, Any], list[bytes]] | None:
        """Return the packed head that a view asks for."""
        layer, head = asked["ask"]
        of_layer = self.seen.weights[layer]
        one = of_layer.mean(axis=0) if head == MEAN else of_layer[head]
        return {"head": [layer, head]}, [packed(one, self.meta["triangle"], self.meta["kind"])]


def attention(
    source: Any,
    text: str | Sequence[str] = "",
    tokenizer: Any = None,
    *,
    keys: Sequence[str] | None = None,
    title: str = "Attention: who takes how much from whom",
    layer: int = 0,
    head: int = 0,
    says: str | None = None,
) -> AttentionViewer:
    """Show what every head of a model takes from where, as a widget that can be moved through.

    `source`, `text`, `tokenizer` and `keys` are those of `read_attention`; what that returns, or
    its `minus`, may be given too. Rows that no softmax can have made are named and marked.
    Raises what `read_attention` raises, and ValueError for a head that is not there.
    """
    seen = read_attention(source, text, tokenizer, keys=keys)
    L, H = seen.weights.shape[:2]
    if not (0 <= layer < L and MEAN <= head < H):
        raise ValueError(f"expected one of {L} layers and {H} heads, got ({layer}, {head})")
    clean = np.nan_to_num(seen.weights, nan=0, posinf=1, neginf=0)
    meta = _described_weights(seen, clean) | {"first": [layer, max(head, 0)]}
    sent = clean[layer, max(head, 0)] if meta["thumbs"] else clean
    return AttentionViewer(
        Attentions(clean, seen.queries, seen.keys),
        says or f"{sentence(title)} {_described(clean, meta, layer, head)}",
        title=title,
        meta=meta,
        weights=packed(sent, meta["triangle"], meta["kind"]),
        thumbs=_small(clean) if meta["thumbs"] else b"",
        layer=layer,
        head=head,
    )


def _described_weights(seen: Attentions, clean: Weights) -> dict[str, Any]:
    """Return what the script has to know of the weights: shapes, tokens, scores, and what is wrong.

    `clean` holds them without what is no number.
    """
    L, H, T, S = clean.shape
    signed = bool((clean < 0).any()) and not _is_plain(clean)
    bad = [] if signed else bad_rows(seen.weights)
    scores, does = _of_heads(clean, seen, signed)
    triangle = is_causal(clean)
    cells = T * (T + 1) // 2 if triangle else T * S
    return {
        "layers": L,
        "heads": H,
        "T": T,
        "S": S,
        "triangle": triangle,
        "kind": "f4" if signed else "u2",
        "signed": signed,
        "thumbs": L * H > 1 and L * H * cells * (4 if signed else 2) > LARGEST,
        "queries": [visible(token) for token in seen.queries],
        "keys": [visible(token) for token in seen.keys],
        "scores": scores,
        "does": does,
        "problems": told_rows(bad, seen.queries),
        "bad": [row[:3] for row in bad[:1000]],
    }


def _described(weights: Weights, meta: dict[str, Any], layer: int, head: int) -> str:
    """Say how much there is to see, and where the chosen head's three largest weights are."""
    one = weights[layer].mean(axis=0) if head == MEAN else weights[layer, head]
    largest = [divmod(int(k), one.shape[1]) for k in np.argsort(-one, axis=None, kind="stable")[:3]]
    told = ", ".join(
        f"{meta['queries'][i]} → {meta['keys'][j]} {number(round(float(one[i, j]), 3))}"
        for i, j in largest
    )
    L, H, T, S = weights.shape
    of_many = f"Head ({layer}, {head}) of {L} × {H}: " if L * H > 1 else ""
    masked = "; no query looks at a later key" if meta["triangle"] else ""
    return f"{of_many}{T} queries, {S} keys{masked}. Largest weights: {told}."


def _is_plain(weights: Weights) -> bool:
    """Whether rows add to 1, as attention's do and differences of two do not."""
    return bool(np.abs(np.nanmean(weights.sum(axis=-1)) - 1) < 0.5)


def _of_heads(
    weights: Weights, seen: Attentions, signed: bool
) -> tuple[dict[str, list[float]], list[str]]:
    """Return by which scores heads can be put in order, and a line about each, (L · H) of them."""
    if signed:
        change = np.abs(weights).mean(axis=(2, 3)).ravel()
        lines = [f"Changes by {value:.4f} on average." for value in change]
        return {"change": change.tolist()}, lines
    entropy = entropy_of_heads(weights).ravel()
    same = seen.queries == seen.keys
    scores = scores_of_heads(weights, seen.keys) if same else {}
    flat = {name: share.ravel().tolist() for name, share in scores.items()}
    lines = [
        says_what_it_does({name: shares[k] for name, shares in flat.items()}, float(entropy[k]))
        for k in range(entropy.size)
    ]
    return {"entropy": entropy.tolist(), **flat}, lines


def packed(weights: Weights, triangle: bool, kind: str) -> bytes:
    """Return weights (…, T, S) as bytes; of a triangle only the keys that a query may look at."""
    T, S = weights.shape[-2:]
    cells = weights[..., np.tri(T, S, dtype=bool)] if triangle else weights
    if kind == "f4":
        return cells.astype("<f4").tobytes()
    return np.rint(np.clip(cells, 0, 1) * 65535).astype("<u2").tobytes()


def _small(weights: Weights) -> bytes:
    """Return each head in at most 32 × 32 signed bytes, the number furthest from 0 of many."""
    high, low = (_pooled(weights, reduce) for reduce in (np.maximum, np.minimum))
    furthest = np.where(high >= -low, high, low)
    return np.rint(np.clip(furthest, -1, 1) * 127).astype("i1").tobytes()


def _pooled(weights: Weights, reduce: np.ufunc) -> NDArray[np.float32]:
    for axis in (2, 3):
        n = weights.shape[axis]
        starts = -(-np.arange(min(n, THUMB)) * n // min(n, THUMB))
        weights = reduce.reduceat(weights, starts, axis=axis)
    return weights
