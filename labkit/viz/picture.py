"""How every picture looks and how it is shown: plotly when read, PNG and text when stored.

It does not decide what is drawn; that is `charts`, `timeline` and later viewers.
"""

import base64
import json
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from IPython import display

from labkit.chromium import render_png
from labkit.notebook import is_static
from labkit.plain import safe

PLOTLY_MIME = "application/vnd.plotly.v1+json"
WIDTH, HEIGHT = 820, 380

TEXT = "#797979"
"""One grey for all text: it contrasts 4.3 to 1 with white and with JupyterLab's dark #111."""
FAINT = "rgba(128, 128, 128, 0.28)"
"""Grid lines and the bar that gathers what is not shown."""
PALETTE = ("#1f7fc4", "#d55e00", "#0a9069", "#b5639a", "#a17a00", "#7d73d6")
"""Told apart by colour-blind readers; at least 3 to 1 against white and against #111."""

FONT = (
    "system-ui, 'Helvetica Neue', Arial, 'Noto Sans', 'Noto Sans CJK SC', 'PingFang SC', "
    "'Microsoft YaHei', sans-serif"
)
CONFIG = {"displayModeBar": False, "typesetMath": False}


@dataclass(frozen=True)
class Picture:
    """A figure and one sentence that says what it shows, with the numbers that matter."""

    figure: go.Figure
    """The interactive figure; change it with plotly's own `update_layout` and the like."""
    says: str
    """What the figure shows, for readers and tests that cannot see it."""

    def bundle(self) -> dict[str, Any]:
        """Return the mime bundle to display: PNG and text when static, else plotly and text."""
        text = {"text/plain": f"Picture: {self.says}"}
        specification = json.loads(self.figure.to_json()) | {"config": CONFIG}
        if not is_static():
            return {PLOTLY_MIME: specification} | text
        png = render_png(specification)
        if png is None:
            return text
        return {"image/png": base64.b64encode(png).decode("ascii")} | text

    def _ipython_display_(self) -> None:
        layout = self.figure.layout
        size = {"width": layout.width or WIDTH, "height": layout.height or HEIGHT}
        bundle = self.bundle()
        metadata = {"image/png": size} if "image/png" in bundle else {}
        display.display(bundle, metadata=metadata, raw=True)


def blank(title: str, x: str, y: str, height: int = HEIGHT) -> go.Figure:
    """Return an empty figure in the book's style, with a title and named axes."""
    axis = {
        "gridcolor": FAINT,
        "linecolor": TEXT,
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": FAINT,
        "automargin": True,
    }
    layout = {
        "template": "none",
        "width": WIDTH,
        "height": height,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 14, "color": TEXT},
        "title": {"text": safe(title), "font": {"size": 16}, "x": 0.01, "xanchor": "left"},
        "margin": {"l": 64, "r": 24, "t": 48, "b": 52},
        "legend": {"bgcolor": "rgba(0,0,0,0)"},
        "hoverlabel": {"font": {"family": FONT, "size": 13}, "align": "left"},
        "xaxis": axis | {"title": {"text": safe(x)}},
        "yaxis": axis | {"title": {"text": safe(y)}},
    }
    return go.Figure(layout=layout)
