"""The league table: one row per model, one text, one split, bits per character.

One more column says how far the same recipe stays above the truth, on stories of TinyWorld.
"""

import html
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from IPython import display

if TYPE_CHECKING:
    from labkit.metrics import LeagueRow

COLUMNS: dict[str, Callable[["LeagueRow"], str]] = {
    "model": lambda row: row.model,
    "bits per character": lambda row: f"{row.bits_per_char:.3f}",
    "95 % interval": lambda row: f"{row.low:.3f} to {row.high:.3f}",
    "above TinyWorld's truth": lambda row: "—" if math.isnan(row.excess) else f"{row.excess:.3f}",
    "parameters": lambda row: f"{row.parameters:,}",
    "training tokens": lambda row: f"{row.train_tokens:,}",
    "chapter": lambda row: row.chapter,
    # ≈ marks what no run repeats exactly
    "CPU-seconds": lambda row: f"≈ {row.cpu_seconds:.{int(row.cpu_seconds < 10)}f}",
}
"""From the heading of each column to what stands in it."""


@dataclass(frozen=True)
class LeagueTable:
    """A league table, shown as HTML in the colours of the page, as Markdown or as text."""

    rows: tuple["LeagueRow", ...]
    """The models, best first."""
    highlight: str | None = None
    """The model whose row stands out: the chapter's own."""

    def markdown(self) -> str:
        """Return the table in GitHub's Markdown, the highlighted row in bold."""
        lines = [[*COLUMNS], ["---", *["---:"] * (len(COLUMNS) - 1)]]
        lines += self._cells("**{}**", lambda cell: html.escape(cell, False).replace("|", "\\|"))
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

    def text(self) -> str:
        """Return the table in columns; CPU-seconds, which vary, come last and unpadded."""
        table = [[*COLUMNS], *self._cells()]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ("  ".join(map(str.ljust, cells, widths)) for cells in table)
        return "\n".join(line.rstrip() for line in lines)

    def html(self) -> str:
        """Return the table as HTML, all text escaped, colours left to the page."""
        lines = ["".join(f"<th>{html.escape(name)}</th>" for name in COLUMNS)]
        for cells in self._cells("<strong>{}</strong>", html.escape):
            lines.append("".join(f"<td>{cell}</td>" for cell in cells))
        return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"

    def _cells(self, bold: str = "{}", escape: Callable[[str], str] = str) -> Iterator[list[str]]:
        """Yield what stands in each row, escaped; `bold` is put around what stands out."""
        for row in self.rows:
            shown = bold if row.model == self.highlight else "{}"
            yield [shown.format(escape(write(row))) for write in COLUMNS.values()]

    def _ipython_display_(self) -> None:
        forms = {"html": self.html(), "markdown": self.markdown(), "plain": self.text()}
        display.display({f"text/{form}": told for form, told in forms.items()}, raw=True)


def league_table(rows: Sequence["LeagueRow"], *, highlight: str | None = None) -> LeagueTable:
    """Return the table with the best model first; `highlight` names the row that stands out.

    Raises ValueError if no row is the highlighted one.
    """
    names = [row.model for row in rows]
    if highlight is not None and highlight not in names:
        raise ValueError(f"no row for {highlight!r}: the rows are {', '.join(names) or 'none'}")
    return LeagueTable(tuple(sorted(rows, key=lambda row: row.bits_per_char)), highlight)
