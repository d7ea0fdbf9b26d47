"""Line charts, bars of next-token distributions and heat maps: numbers in, a `Picture` out.

Torch tensors are accepted wherever an array is; torch itself is not imported.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from plotly.subplots import make_subplots

from labkit.plain import Array, as_array, number, safe, sentence, visible
from labkit.viz.picture import FAINT, HEIGHT, PALETTE, TEXT, Picture, blank

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star")
OTHERS = "all others"


def curves(
    series: Mapping[str, tuple[Any, Any]],
    *,
    title: str,
    x: str,
    y: str,
    says: str | None = None,
    log_x: bool = False,
    log_y: bool = False,
    from_zero: bool = False,
    mark: tuple[float, float, str] | None = None,
) -> Picture:
    """Draw named curves, each given as (xs, ys) of one length; `mark` puts words at one point.

    `from_zero` starts the y axis at zero, where the height itself matters.
    Raises ValueError if a curve's xs and ys differ in length, or if a curve has no points.
    """
    figure = blank(title, x, y)
    told = []
    for i, (name, points) in enumerate(series.items()):
        xs, ys = as_array(points[0]), as_array(points[1])
        if xs.shape != ys.shape or xs.ndim != 1 or not xs.size:
            raise ValueError(
                f"curve {name!r} has xs of shape {xs.shape} and ys of shape {ys.shape}: "
                "give two non-empty sequences of one length"
            )
        hover = f"{safe(x)} %{{x}}<br>{safe(y)} %{{y}}<extra>{safe(name)}</extra>"
        drawn = {"x": brief(xs), "y": brief(ys), "name": safe(name), "hovertemplate": hover}
        figure.add_scatter(**drawn, **_line_style(i, xs.size))
        told.append(_describe_curve(name, xs, ys))
    figure.update_layout(showlegend=len(told) > 1)
    _set_logarithms(figure, log_x, log_y)
    if from_zero:
        figure.layout.yaxis.rangemode = "tozero"
    if mark:
        _add_mark(figure, mark, log_x, log_y)
    return Picture(figure, says or f"{title} ({y} against {x}): {'; '.join(told)}.")


def _line_style(i: int, size: int) -> dict[str, Any]:
    """Return how the i-th curve looks: its own colour, dash and marker."""
    return {
        "mode": "lines+markers" if size <= 60 else "lines",
        "line": {"color": PALETTE[i % 6], "dash": DASHES[i % 6]},
        "marker": {"symbol": SYMBOLS[i % 6], "size": 8},
    }


def _describe_curve(name: str, xs: Array, ys: Array) -> str:
    """Say where a curve starts, where it ends and where it is lowest."""
    low = int(ys.argmin())
    ends = f"{name} from {number(ys[0])} at {number(xs[0])} to {number(ys[-1])} at {number(xs[-1])}"
    within = 0 < low < ys.size - 1
    return ends + (f", lowest {number(ys[low])} at {number(xs[low])}" if within else "")


def _set_logarithms(figure: Any, log_x: bool, log_y: bool) -> None:
    """Make axes logarithmic; the ticks of at most six points stand at the points themselves."""
    for axis in ["xaxis"] * log_x + ["yaxis"] * log_y:
        figure.layout[axis].update(type="log", exponentformat="power")
        places = sorted({place for line in figure.data for place in line[axis[0]]})
        if len(places) <= 6:
            figure.layout[axis].update(tickvals=places, ticktext=[number(p) for p in places])


def _add_mark(figure: Any, mark: tuple[float, float, str], log_x: bool, log_y: bool) -> None:
    """Point an arrow with words at one place, which plotly wants as logarithms on log axes."""
    at_x, at_y, words = mark
    x, y = np.log10(at_x) if log_x else at_x, np.log10(at_y) if log_y else at_y
    arrow = {"arrowcolor": TEXT, "arrowhead": 2, "ax": 0, "ay": -44}
    figure.add_annotation(x=x, y=y, text=safe(words), **arrow)


def next_token_bars(
    distributions: Any, labels: Sequence[str], *, title: str, top: int = 12, says: str | None = None
) -> Picture:
    """Draw the `top` most probable next tokens; the rest is gathered in one bar.

    `distributions` is one distribution of shape (V,), or names mapped to several, drawn side by
    side, each sorted by itself. Raises ValueError if a distribution has not one probability for
    each label, or does not sum to one.
    """
    panels = distributions if isinstance(distributions, Mapping) else {"": distributions}
    bars = {name: _ranked(as_array(p), labels, top) for name, p in panels.items()}
    rows = max(map(len, bars.values()))
    figure = blank(title, "", "", height=max(HEIGHT - 80, 110 + 22 * rows))
    widest = max(p for bar in bars.values() for _, p in bar)
    room = (110 + 12 * len(bars)) * widest  # for the numbers at the ends of the bars
    style = figure.layout.xaxis.to_plotly_json() | {"ticks": "", "showgrid": False}
    make_subplots(1, len(bars), horizontal_spacing=0.11, figure=figure)
    figure.update_xaxes(style, range=[0, room], showticklabels=False).update_yaxes(style)
    figure.update_layout(showlegend=False, bargap=0.25)
    told = []
    for i, (name, bar) in enumerate(bars.items()):
        _add_bars(figure, i, name, bar)
        shown = [*bar[:3], *(pair for pair in bar[3:] if pair[0] == OTHERS)]
        largest = ", ".join(f"{token} {100 * p:.1f} %" for token, p in shown)
        told.append(f"{name}: {largest}" if name else largest)
    return Picture(figure, says or f"{sentence(title)} {'; '.join(told)}.")


def _ranked(probs: Array, labels: Sequence[str], top: int) -> list[tuple[str, float]]:
    """Return (token, probability), largest first, and last the mass of all the others."""
    if probs.shape != (len(labels),) or not np.isclose(probs.sum(), 1.0, atol=1e-4):
        raise ValueError(
            f"expected {len(labels)} probabilities that sum to 1, one for each label, got shape "
            f"{probs.shape} with sum {probs.sum():.4g}: pass softmax(logits) of one position"
        )
    order = np.argsort(-probs, kind="stable")
    ranked = [(visible(labels[i]), float(probs[i])) for i in order[:top]]
    rest = float(probs[order[top:]].sum())
    return ranked + ([(OTHERS, rest)] if len(order) > top else [])


def _add_bars(figure: Any, i: int, name: str, bar: list[tuple[str, float]]) -> None:
    """Draw the i-th panel: numbered rows, so that two tokens that look alike stay two bars."""
    tokens, panel = [safe(token) for token, _ in bar], {"row": 1, "col": i + 1}
    figure.add_bar(
        orientation="h",
        x=[float(f"{100 * p:.4g}") for _, p in bar],
        y=list(range(len(bar))),
        text=[f"{100 * p:.1f} %" for _, p in bar],
        textposition="outside",
        cliponaxis=False,
        marker={"color": [FAINT if t == OTHERS else PALETTE[i % 6] for t in tokens]},
        customdata=tokens,
        hovertemplate="%{customdata}  %{x:.4g} %<extra></extra>",
        **panel,
    )
    x_title = {"text": safe(f"{name}, %" if name else "probability, %"), "standoff": 8}
    figure.update_xaxes(title=x_title, **panel)
    rows = {"tickvals": list(range(len(bar))), "ticktext": tokens, "range": [len(bar) - 0.4, -0.6]}
    figure.update_yaxes(rows, **panel)


def heatmap(
    matrix: Any,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    title: str,
    x: str,
    y: str,
    unit: str = "count",
    numbers: bool = False,
    says: str | None = None,
) -> Picture:
    """Draw a matrix of numbers ≥ 0; a zero is a dot on no colour, so "never" is not "seldom".

    With `numbers`, each cell shows its own to three digits, zero as well.
    Raises ValueError if the matrix is not (len(rows), len(columns)) or holds a negative number.
    """
    cells = as_array(matrix)
    if cells.shape != (len(rows), len(columns)) or (cells < 0).any():
        raise ValueError(
            f"expected numbers ≥ 0 of shape {(len(rows), len(columns))}, one row and column for "
            f"each label, got shape {cells.shape} with smallest value {cells.min(initial=0):.4g}"
        )
    figure = blank(title, x, y, height=max(HEIGHT, 130 + 15 * len(rows)))
    figure.add_heatmap(**_cells(cells, numbers))
    hover = f"%{{y}} → %{{x}}: %{{customdata}} {safe(unit)}<extra></extra>"
    bar = {"title": {"text": safe(unit)}, "outlinewidth": 0, "thickness": 14}
    several = len(set(cells[cells > 0])) > 1  # or a scale of colours would say nothing
    figure.update_traces(hovertemplate=hover, colorbar=bar, showscale=several)
    for axis, labels in (("xaxis", columns), ("yaxis", rows)):
        ticks = [safe(visible(label)) for label in labels]
        figure.layout[axis].update(
            tickvals=list(range(len(ticks))), ticktext=ticks, showgrid=False, ticks=""
        )
    figure.layout.yaxis.autorange = "reversed"
    i, j = divmod(int(cells.argmax()), len(columns))
    told = f"Largest {number(cells[i, j])} {unit} at {visible(rows[i])} → {visible(columns[j])}"
    zeros = f"{(cells == 0).sum():,} of {cells.size:,} cells are zero"
    return Picture(figure, says or f"{sentence(title)} {told}; {zeros}.")


def _cells(cells: Array, numbers: bool) -> dict[str, Any]:
    """Return the coloured cells; without numbers, those that hold zero have a dot and no colour."""
    shown, font = cells, dict[str, Any](size=13)  # no colour of its own: what contrasts
    if numbers:
        text = [[number(float(f"{value:.3g}")) for value in row] for row in cells]
    else:
        text = [["" if value else "·" for value in row] for row in cells]
        shown, font = np.where(cells > 0, cells, np.nan), {"color": TEXT, "size": 15}
    return {
        "z": [brief(row) for row in shown],
        "customdata": [brief(row) for row in cells],
        "text": text,
        "texttemplate": "%{text}",
        "textfont": font,
        "hoverongaps": False,
        "xgap": 1,
        "ygap": 1,
        "colorscale": "Cividis",
    }


def brief(values: Array) -> list[float | None]:
    """Return numbers with six significant digits, NaN as None: what a picture's JSON needs."""
    return [None if np.isnan(v) else float(f"{v:.6g}") for v in values]
