"""One head's attention as a picture: which query takes how much from which key.

Drawn on the heat map of `charts`; it shows numbers that attention computed and computes none.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from labkit.viz.charts import Array, as_array, brief, heatmap, visible
from labkit.viz.picture import FAINT, WIDTH, Picture, number, safe, sentence

Mask = npt.NDArray[np.bool_]


def attention_matrix(
    weights: Any,
    queries: Sequence[str],
    keys: Sequence[str],
    *,
    title: str,
    mask: Any = None,
    says: str | None = None,
) -> Picture:
    """Draw the weights of one head, (T, S): a row per query token, a column per key token.

    Where `mask`, (T, S), is False the query may not look: grey, while a weight of zero is a dot.
    Raises ValueError if shapes do not fit the tokens, if a row does not sum to one, naming the
    worst, or if a masked cell has a weight.
    """
    cells = as_array(weights)
    allowed = np.ones(cells.shape, dtype=bool) if mask is None else as_array(mask) > 0
    _check(cells, allowed, queries, keys)
    shown = heatmap(cells, queries, keys, title=title, x="key: looked at", y="query", unit="weight")
    _tell_cells(shown.figure, cells, allowed, (queries, keys))
    if not allowed.all():
        _grey_out(shown.figure, ~allowed)
    # The cells are about square, of 9 to 32 pixels, and the scale stands beside them.
    cell = min(32, max(9, 540 // max(len(keys), len(queries))))
    share = min(0.9, max(0.3, cell * len(keys) / (WIDTH - 110)))
    bar = {"x": share + 0.01, "len": 1, "lenmode": "fraction", "tickvals": [0, 0.5, 1]}
    long = any(len(visible(key)) > 2 for key in keys)
    shown.figure.layout.xaxis.update(domain=[0, share], tickangle=-60 if long else 0)
    shown.figure.layout.height = 200 + cell * len(queries)  # 200 for the title and the labels
    shown.figure.data[0].colorbar.update(bar)
    told = f"{sentence(title)} {_describe(cells, allowed, queries, keys)}"
    return Picture(shown.figure, says or told)


def _check(cells: Array, allowed: Mask, queries: Sequence[str], keys: Sequence[str]) -> None:
    expected = (len(queries), len(keys))
    if cells.shape != expected or allowed.shape != expected:
        raise ValueError(
            f"expected weights and mask of shape {expected}, one row per query and one column per "
            f"key, got {cells.shape} and {allowed.shape}: pass one head of one sequence"
        )
    sums = cells.sum(axis=1)
    off = np.nan_to_num(np.abs(sums - 1), nan=np.inf)
    if off.max(initial=0) > 1e-3:
        worst = int(off.argmax())
        raise ValueError(
            f"expected each row of weights to sum to 1, got {sums[worst]:.4g} for query {worst}, "
            f"{visible(queries[worst])!r}: pass weights after the softmax over keys"
        )
    if cells[~allowed].any():
        i, j = np.argwhere(~allowed & (cells != 0))[0]
        raise ValueError(
            f"expected no weight where the mask is False, got {cells[i, j]:.4g} for query {i} and "
            f"key {j}: were the weights computed with this mask?"
        )


def _tell_cells(
    figure: Any, cells: Array, allowed: Mask, tokens: tuple[Sequence[str], Sequence[str]]
) -> None:
    """Give each cell its tokens, their places and its weight; tokens may repeat, places do not."""
    queries, keys = ([f"{visible(t)} ({i})" for i, t in enumerate(names)] for names in tokens)
    told = np.where(allowed, np.char.mod("%.4f", cells), "masked")
    figure.data[0].update(
        z=[brief(row) for row in np.where(allowed & (cells > 0), cells, np.nan)],
        text=np.where(allowed & (cells == 0), "·", "").tolist(),
        customdata=[
            [safe(f"{query} → {key}: {weight}") for key, weight in zip(keys, row, strict=True)]
            for query, row in zip(queries, told, strict=True)
        ],
        hovertemplate="%{customdata}<extra></extra>",
        hoverongaps=True,
        zmin=0,
        zmax=1,
    )


def _grey_out(figure: Any, masked: Mask) -> None:
    """Fill masked cells with one faint grey, which is not on the scale of weights."""
    figure.add_heatmap(
        z=[[0 if cell else None for cell in row] for row in masked],
        colorscale=[[0, FAINT], [1, FAINT]],
        showscale=False,
        hoverinfo="skip",
        xgap=1,
        ygap=1,
    )
    figure.layout.xaxis.title.text += "; grey: masked"


def _describe(cells: Array, allowed: Mask, queries: Sequence[str], keys: Sequence[str]) -> str:
    """Say where the three largest weights are, and how many cells are masked."""
    largest = np.argsort(-cells, axis=None, kind="stable")[:3]
    places = [divmod(int(place), len(keys)) for place in largest]
    told = ", ".join(
        f"{visible(queries[i])} → {visible(keys[j])} {number(round(cells[i, j], 3))}"
        for i, j in places
    )
    masked = int((~allowed).sum())
    return f"Largest weights: {told}; {masked:,} of {cells.size:,} cells are masked."
