"""The loss of a model, drawn while the model is trained.

Live, a small widget draws each evaluation as it comes, with strips of what else was recorded and a
text that the model wrote; at the end a `Picture` of the loss takes its place, so that the notebook
keeps no widget. With `LABKIT_STATIC=1` only the picture is shown.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import anywidget
import numpy as np
import traitlets
from IPython import display

from labkit.notebook import is_static
from labkit.plain import Array, number
from labkit.viz.charts import curves
from labkit.viz.picture import HEIGHT, PALETTE, WIDTH, Picture, blank

if TYPE_CHECKING:
    from labkit.training import Record

Row = tuple[float | None, ...]
"""Place on the x axis, the losses of `NAMES`, the numbers of `STRIPS`; None if not finite."""
NAMES = ("training", "held out")
STRIPS = ("learning rate", "gradient norm", "tokens/s so far")
AXES = {"step": "updates", "tokens": "tokens read", "cpu_seconds": "processor time, seconds"}


def watch(
    records: "Iterable[Record]",
    *,
    title: str,
    x: Literal["step", "tokens", "cpu_seconds"] = "step",
    y: str = "loss, nats per token",
    scale: float = 1.0,
    sample: Callable[[], str] | None = None,
    sample_every: int = 1,
) -> "list[Record]":
    """Draw training and held-out loss while `records` come, one by one, and return them all.

    `records` is what `labkit.training.train` yields. `scale` turns nats per token into the unit
    that `y` names: 1 / ln 2 gives bits per character where a token is a character. `sample` writes
    a text after every `sample_every`-th record, which is shown while training goes on. If training
    raises or is interrupted, the picture of what was recorded stays. Raises ValueError for an
    unknown x or a `sample_every` below 1.
    """
    if x not in AXES:
        raise ValueError(f"expected x to be one of {', '.join(AXES)}, got {x!r}")
    if sample_every < 1:
        raise ValueError(f"expected sample_every of at least 1 record, got {sample_every}")
    seen: list[Record] = []
    rows: list[Row] = []
    show = _Shown(title, AXES[x], y)
    try:
        for record in records:
            seen.append(record)
            rows.append(_row(record, x, scale))
            if sample is not None and len(seen) % sample_every == 0:
                show.wrote(record, sample())
            show.add(rows[-1], record)
    finally:
        show.finish(_drawn(rows, title, AXES[x], y))
    return seen


def _row(record: "Record", x: str, scale: float) -> Row:
    """Return what is drawn of a record; a number that is not finite is a gap."""
    losses = (scale * record.train_loss, scale * record.val_loss)
    pace = record.tokens_per_second or math.nan  # before any update
    numbers = (*losses, record.learning_rate, record.gradient_norm, pace)
    return float(getattr(record, x)), *(n if math.isfinite(n) else None for n in numbers)


def _drawn(rows: Sequence[Row], title: str, x: str, y: str) -> Picture:
    """Draw rows as a picture whose words hold no number that is compared between machines."""
    places, *losses = np.array([row[:3] for row in rows], float).reshape(-1, 3).T  # None is nan
    series = {name: (places, loss) for name, loss in zip(NAMES, losses, strict=True)}
    told = "; ".join(_describe(name, *points) for name, points in series.items())
    says = f"{title} ({y} against {x}): {told}."
    if not rows:
        return Picture(blank(title, x, y), says)
    return curves(series, title=title, x=x, y=y, says=says)


def _describe(name: str, places: Array, loss: Array) -> str:
    """Say from where to where a loss went, and where it was lowest if that was before."""
    finite = loss[np.isfinite(loss)]
    if not finite.size:
        return f"{name}: no finite loss was recorded"
    at, low = places[np.nanargmin(loss)], finite.min()
    ends = f"{name} from ≈ {number(finite[0])} to ≈ {number(finite[-1])}"
    return ends + (f", lowest ≈ {number(low)} at ≈ {number(at)}" if low < finite[-1] else "")


class _LossCurve(anywidget.AnyWidget):
    _esm = Path(__file__).with_name("live.js").read_text(encoding="utf-8")
    look = traitlets.Dict().tag(sync=True)


def _look(title: str, x: str, y: str) -> dict[str, Any]:
    """Return what the widget draws around the curves, in the style of `Picture`."""
    return {
        "title": title,
        "x": x,
        "y": y,
        "names": NAMES,
        "strips": STRIPS,
        "colors": PALETTE[:2],
        "dashes": ("none", "8 5"),
        "width": WIDTH,
        "height": HEIGHT,
    }


@dataclass
class _Feed:
    """Appends rows by messages, at most five a second; what waits goes with the next one."""

    send: Callable[[Mapping[str, Any]], None]
    clock: Callable[[], float] = time.monotonic
    waiting: list[Row] = field(default_factory=list)
    sample: dict[str, str] = field(default_factory=dict)
    sent: float = -math.inf

    def add(self, row: Row, says: str = "", done: float = 0.0) -> None:
        """Send a row now, with where training stands, or keep it until enough time has passed."""
        self.waiting.append(row)
        if self.clock() - self.sent >= 0.2:
            self.send({"rows": self.waiting, "says": says, "done": done, **self.sample})
            self.waiting, self.sample, self.sent = [], {}, self.clock()


class _Shown:
    """What stands below the cell: a widget at first if somebody is reading, a picture at last."""

    def __init__(self, title: str, x: str, y: str) -> None:
        self.widget: _LossCurve | None = None
        if not is_static():
            self.widget = _LossCurve(look=_look(title, x, y))
            self.feed = _Feed(self.widget.send)
            self.handle = display.display(self.widget, display_id=True)

    def add(self, row: Row, record: "Record") -> None:
        """Let the widget draw one more row, and say how fast it goes and how long it will take."""
        if self.widget is not None:
            self.feed.add(row, str(record), record.step / record.max_steps)

    def wrote(self, record: "Record", text: str) -> None:
        """Show a text of the model, with its step, when the next row is drawn."""
        if self.widget is not None:
            self.feed.sample = {"sample": text, "sampled": f"written at step {record.step:,}"}

    def finish(self, picture: Picture) -> None:
        """Put the picture in the widget's place and end the widget."""
        if self.widget is None:
            display.display(picture)
            return
        if self.handle is not None:
            self.handle.update(picture.bundle(), raw=True)
        self.widget.layout.close()
        self.widget.close()
