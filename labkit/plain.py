"""Numbers, tokens and titles as people read them: what pictures and viewers share."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
SIGNS = {" ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍", "": "∅", "\u3000": "␣␣"}


def visible(token: str) -> str:
    r"""Return a token with its white space and control characters made visible.

    >>> visible("to be\n")
    'to␣be⏎'
    """
    if token in SIGNS:
        return SIGNS[token]
    signs = (SIGNS.get(c, c if c.isprintable() else ascii(c)[1:-1]) for c in token)
    return "".join(signs)


def safe(text: str) -> str:
    """Escape text that plotly would read as markup.

    >>> safe("<b> & co")
    '&lt;b&gt; &amp; co'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def sentence(title: str) -> str:
    """Return a title that ends as a sentence does."""
    return title if title.endswith(("?", "!", ".", "？", "。")) else f"{title}."


def number(value: float) -> str:
    """Write a number with at most four significant digits, thousands grouped.

    >>> number(12345.6), number(2.13049), number(117e6)
    ('12,350', '2.13', '117,000,000')
    """
    rounded = float(f"{value:.4g}")
    return f"{rounded:,.0f}" if rounded.is_integer() else f"{rounded:,.4g}"


def as_array(values: Any) -> Array:
    """Return numbers, an array or a torch tensor as a float64 array."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    return np.asarray(values, dtype=np.float64)
