"""A timeline of models by date and size; an undisclosed size is drawn as one, never guessed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import plotly.graph_objects as go

from labkit.viz.picture import HEIGHT, PALETTE, TEXT, Picture, blank, number, safe, sentence

UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True)
class TimelineEntry:
    """One model in the timeline, and the `source` of what is said about it.

    `parameters` is None where its makers have not said; `context` says how many tokens it reads.
    """

    name: str
    published: date
    parameters: float | None
    data: str
    context: str
    source: str


def size_name(parameters: float | None) -> str:
    """Write a number of parameters as people say it.

    >>> size_name(117e6), size_name(1.5e9), size_name(None)
    ('117 M', '1.5 B', 'undisclosed')
    """
    if parameters is None:
        return "undisclosed"
    for size, unit in UNITS:
        if parameters >= size:
            return f"{number(parameters / size)} {unit}"
    return number(parameters)


def timeline(entries: Sequence[TimelineEntry], *, title: str) -> Picture:
    """Draw models by date and parameters (logarithmic), those of undisclosed size in a band above.

    Raises ValueError if no entry has a known size.
    """
    known = [entry for entry in entries if entry.parameters is not None]
    secret = [entry for entry in entries if entry.parameters is None]
    if not known:
        raise ValueError("expected at least one entry with a known number of parameters, got none")
    figure = blank(title, "", "parameters", height=HEIGHT + 20)
    names = [f"{entry.name}, {size_name(entry.parameters)}" for entry in known]
    figure.add_trace(_points(known, names, 0, ("top center", "bottom center")))
    names = [f"\u00a0{entry.name}\u00a0" for entry in secret]  # keeps off the marker
    figure.add_trace(_points(secret, names, 1, ("middle left", "middle right")))
    ticks = [10.0**p for p in range(6, 14)]
    sizes = [math.log10(entry.parameters or 1) for entry in known]
    figure.layout.yaxis.update(
        type="log",
        domain=[0, 0.8],
        range=[min(sizes) - 0.6, max(sizes) + 0.6],
        tickvals=ticks,
        ticktext=[size_name(tick) for tick in ticks],
    )
    strip = {"domain": [0.86, 1], "range": [0, 1], "automargin": True, "zeroline": False}
    label = {"tickvals": [0.5], "ticktext": ["undisclosed"], "ticks": "", "showgrid": False}
    figure.layout.yaxis2 = strip | label
    band = {"yref": "paper", "y0": 0.86, "y1": 1, "xref": "paper", "x0": 0, "x1": 1}
    figure.add_shape(type="rect", **band, line={"color": TEXT, "dash": "dot", "width": 1})
    days = sorted(entry.published for entry in entries)
    margin = (days[-1] - days[0]) * 0.12
    figure.layout.xaxis.range = [str(days[0] - margin), str(days[-1] + margin)]
    told = [f"{e.name}, {e.published:%Y-%m}: {size_name(e.parameters)}" for e in entries]
    return Picture(figure.update_layout(showlegend=False), f"{sentence(title)} {'; '.join(told)}.")


def _points(
    entries: Sequence[TimelineEntry], names: Sequence[str], kind: int, sides: tuple[str, str]
) -> go.Scatter:
    """Return the points of known (0) or undisclosed (1) size, names on alternating sides."""
    return go.Scatter(
        x=[str(entry.published) for entry in entries],
        y=[entry.parameters or 0.5 for entry in entries],
        yaxis=("y", "y2")[kind],
        mode="markers+text",
        text=[safe(name) for name in names],
        textposition=[sides[i % 2] for i in range(len(names))],
        marker={"color": PALETTE[kind], "symbol": ("circle", "diamond-open")[kind], "size": 12},
        hovertemplate=[_hover(entry) for entry in entries],
        cliponaxis=False,
    )


def _hover(entry: TimelineEntry) -> str:
    lines = {
        f"<b>{safe(entry.name)}</b>": f"{entry.published:%d %B %Y}",
        "parameters": size_name(entry.parameters),
        "data": safe(entry.data),
        "context": safe(entry.context),
        "source": safe(entry.source),
    }
    return "<br>".join(f"{key}: {value}" for key, value in lines.items()) + "<extra></extra>"
