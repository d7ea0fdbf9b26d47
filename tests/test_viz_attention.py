"""The picture of one head: every weight at its place, masks apart from zeros, wrong input named."""

import json
import re
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

from labkit.functional import attention_weights, causal_mask
from labkit.viz import Picture, attention_matrix
from labkit.viz.picture import FAINT, PLOTLY_MIME

TOKENS = ["the", "<b>", "the"]
WEIGHTS = [[1, 0, 0], [0, 1, 0], [0.25, 0.5, 0.25]]
CAUSAL = [[True, False, False], [True, True, False], [True, True, True]]


def picture(**changes: Any) -> Picture:
    plain: dict[str, Any] = {
        "weights": WEIGHTS,
        "queries": TOKENS,
        "keys": TOKENS,
        "mask": CAUSAL,
        "title": "Who",
    }
    return attention_matrix(**plain | changes)


def test_a_masked_cell_is_grey_and_a_zero_is_a_dot() -> None:
    cells, masked = picture().figure.data
    assert [list(row) for row in cells.z] == [
        [1, None, None],
        [None, 1, None],
        [0.25, 0.5, 0.25],
    ]
    assert [list(row) for row in cells.text] == [["", "", ""], ["·", "", ""], ["", "", ""]]
    assert [list(row) for row in masked.z] == [[None, 0, 0], [None, None, 0], [None] * 3]
    assert {colour for _, colour in masked.colorscale} == {FAINT}


def test_colours_mean_the_same_in_every_picture() -> None:
    (cells,) = picture(weights=np.full((3, 3), 1 / 3), mask=None).figure.data
    assert (cells.zmin, cells.zmax) == (0, 1)


def test_hover_tells_tokens_places_and_weight_or_mask() -> None:
    told = picture().figure.data[0].customdata
    assert told[2][0] == "the (2) → the (0): 0.2500"
    assert told[1][0] == "&lt;b&gt; (1) → the (0): 0.0000"
    assert told[0][2] == "the (0) → the (2): masked"


def test_it_says_the_largest_weights_and_the_masked_cells() -> None:
    assert picture().says == (
        "Who. Largest weights: the → the 1, <b> → <b> 1, the → <b> 0.5; 3 of 9 cells are masked."
    )
    assert picture(says="Told.").says == "Told."


def test_it_takes_what_attention_computes() -> None:
    rng = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 4, 8, generator=rng)
    q.requires_grad_()
    mask = causal_mask(4)
    weights = attention_weights(q, k, mask)
    cells, _ = attention_matrix(weights, "abcd", "abcd", mask=mask, title="t").figure.data
    drawn = [[value or 0 for value in row] for row in cells.z]
    assert np.allclose(drawn, weights.detach(), atol=1e-5)


def test_rows_are_queries_and_columns_keys() -> None:
    figure = attention_matrix([[0.5, 0.5, 0]], ["q"], ["a", " ", "c"], title="t").figure
    assert tuple(figure.layout.yaxis.ticktext) == ("q",)
    assert tuple(figure.layout.xaxis.ticktext) == ("a", "␣", "c")
    assert figure.layout.yaxis.autorange == "reversed"


@pytest.mark.parametrize("size", [1, 2, 11, 40, 64])
def test_every_size_fits_the_page(size: int) -> None:
    tokens = [f"token {i}" for i in range(size)]
    layout = attention_matrix(np.eye(size), tokens, tokens, title="t").figure.layout
    low, high = layout.xaxis.domain
    assert low == 0
    assert 0 < high <= 0.9
    assert layout.height <= 200 + 40 * 32


def test_live_picture_is_valid_plotly_without_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABKIT_STATIC", raising=False)
    specification = picture(title="<u>").bundle()[PLOTLY_MIME]
    go.Figure(data=specification["data"], layout=specification["layout"])
    text = re.sub(r"</?extra/?>", "", json.dumps(specification))
    assert "<" not in text
    assert "//" not in text


def test_the_worst_row_is_named() -> None:
    off = [[1, 0, 0], [0.4, 0.4, 0], [0.25, 0.5, 0.3]]
    with pytest.raises(ValueError, match=r"sum to 1, got 0\.8 for query 1, '<b>': pass weights"):
        picture(weights=off)


def test_scores_and_missing_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got nan for query 2"):
        picture(weights=[[1, 0, 0], [0, 1, 0], [np.nan] * 3])
    with pytest.raises(ValueError, match=r"got 6 for query 0"):
        picture(weights=[[3, 0, 3], [0, 1, 0], [0, 0, 1]], mask=None)
    with pytest.raises(ValueError, match="numbers ≥ 0"):
        picture(weights=[[2, -1, 0], [0, 1, 0], [0, 0, 1]], mask=None)


def test_a_weight_behind_the_mask_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got 0\.5 for query 0 and key 2: were the weights"):
        picture(weights=[[0.5, 0, 0.5], [0, 1, 0], [0, 0, 1]])


@pytest.mark.parametrize(
    "changes",
    [
        {"queries": TOKENS[:2]},
        {"keys": TOKENS[:2]},
        {"mask": np.ones((3, 2))},
        {"weights": np.ones((1, 3, 3)) / 3},
    ],
)
def test_shapes_that_do_not_fit_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="one row per query and one column per key"):
        picture(**changes)
