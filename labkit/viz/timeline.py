"""A timeline of models by date and size; an undisclosed size is drawn as one, never guessed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import plotly.graph_objects as go

from labkit.plain import number, safe, sentence
from labkit.viz.picture import HEIGHT, PALETTE, TEXT, Picture, blank

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
    size, unit = next((unit for unit in UNITS if parameters >= unit[0]), (1, ""))
    return f"{number(parameters / size)} {unit}".rstrip()


def timeline(entries: Sequence[TimelineEntry], *, title: str) -> Picture:
    """Draw models by date and parameters (logarithmic), those of undisclosed size in a band above.

    Raises ValueError if no entry has a known size.
    """
    sizes = [math.log10(entry.parameters) for entry in entries if entry.parameters is not None]
    if not sizes:
        raise ValueError("expected at least one entry with a known number of parameters, got none")
    figure = blank(title, "", "parameters", height=HEIGHT + 20)
    figure.add_traces([_points(entries, secret=False), _points(entries, secret=True)])
    ticks = [10.0**p for p in range(6, 14)]
    known = {"type": "log", "domain": [0, 0.8], "range": [min(sizes) - 0.6, max(sizes) + 0.6]}
    figure.update_yaxes(known, tickvals=ticks, ticktext=[size_name(tick) for tick in ticks])
    strip = {"domain": [0.86, 1], "range": [0, 1], "automargin": True, "zeroline": False}
    label = {"tickvals": [0.5], "ticktext": ["undisclosed"], "ticks": "", "showgrid": False}
    figure.update_layout(yaxis2=strip | label, showlegend=False)
    band = {"yref": "paper", "y0": 0.86, "y1": 1, "xref": "paper", "x0": 0, "x1": 1}
    figure.add_shape(type="rect", **band, line={"color": TEXT, "dash": "dot", "width": 1})
    days = sorted(entry.published for entry in entries)
    margin = (days[-1] - days[0]) * 0.12
    figure.update_xaxes(range=[str(days[0] - margin), str(days[-1] + margin)])
    told = [f"{e.name}, {e.published:%Y-%m}: {size_name(e.parameters)}" for e in entries]
    return Picture(figure, f"{sentence(title)} {'; '.join(told)}.")


def _points(entries: Sequence[TimelineEntry], *, secret: bool) -> go.Scatter:
    """Return the points of known or of undisclosed size, names on alternating sides."""
    shown = [entry for entry in entries if (entry.parameters is None) == secret]
    name = "\u00a0{}\u00a0" if secret else "{}, {}"  # spaces keep it off the marker beside it
    sides = ("middle left", "middle right") if secret else ("top center", "bottom center")
    return go.Scatter(
        x=[str(entry.published) for entry in shown],
        y=[entry.parameters or 0.5 for entry in shown],
        yaxis="y2" if secret else "y",
        mode="markers+text",
        text=[name.format(safe(entry.name), size_name(entry.parameters)) for entry in shown],
        textposition=[sides[i % 2] for i in range(len(shown))],
        marker={"color": PALETTE[secret], "symbol": ("circle", "diamond-open")[secret], "size": 12},
        hovertemplate=[_hover(entry) for entry in shown],
        cliponaxis=False,
    )


def _hover(entry: TimelineEntry) -> str:
    dated = f"<b>{safe(entry.name)}</b>: {entry.published:%d %B %Y}"
    facts = {"parameters": size_name(entry.parameters), "data": entry.data}
    facts |= {"context": entry.context, "source": entry.source}
    lines = [dated, *(f"{fact}: {safe(said)}" for fact, said in facts.items())]
    return "<br>".join(lines) + "<extra></extra>"
