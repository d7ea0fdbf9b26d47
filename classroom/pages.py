"""Pages of coursework: templates that escape what they are given, and texts as they may be shown.

A page is one file that loads nothing, and its Content-Security-Policy lets no script run.
"""

import functools
import re
from typing import Any

import jinja2

LONGEST, WIDEST = 20_000, 1_000  # characters that are shown of a text and of a line
TOLD = ("tried", "came", "expected")  # what a mark says of a case, in this order
ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")


def page(template: str, **values: Any) -> str:
    """Fill in a template; every value is escaped."""
    return _templates().get_template(template).render(values)


@functools.cache
def _templates() -> jinja2.Environment:
    loader = jinja2.PackageLoader("classroom")
    made = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    made.filters |= {"shown": shown, "points": points, "verdict": verdict}
    return made


def points(value: float) -> str:
    """Write points without the zeros that say nothing.

    >>> points(2.0), points(7.25)
    ('2', '7.25')
    """
    return f"{value:.2f}".rstrip("0").rstrip(".")


def shown(text: str) -> str:
    r"""Return a text as it may be shown: cut where it is long, what cannot be seen spelled out.

    >>> shown("\x1b[31mred\x1b[0m \u202eabc\x07")
    'red \\u202eabc\\x07'
    """
    more = len(text) - LONGEST
    lines = ANSI.sub("", text[:LONGEST].replace("\r\n", "\n")).split("\n")
    for i, line in enumerate(lines):
        seen = "".join(
            c if c.isprintable() or c in "\t\xa0\u3000" else ascii(c)[1:-1] for c in line
        )
        lines[i] = (
            seen
            if len(seen) <= WIDEST
            else f"{seen[:WIDEST]} … ({len(seen) - WIDEST} more characters)"
        )
    return "\n".join([*lines, *([f"… ({more} more characters)"] if more > 0 else [])])


def verdict(share: float) -> str:
    """Say in words what share of a case is right."""
    return "right" if share >= 1 else f"{share:.0%} right" if share > 0 else "not right"
