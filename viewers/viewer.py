"""What all viewers share: a widget in JupyterLab, a PNG in a stored notebook, a file by itself.

A viewer's state is plain values and packed bytes, drawn by a script of its own after `viewer.js`.
"""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from labkit.chromium import render_png
from labkit.files import write_atomically
from labkit.notebook import is_static

HERE = Path(__file__).parent
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{style}</style></head>
<body><div id="picture"></div><script id="state" type="application/json">{state}</script>
<script type="module">{script}</script></body></html>
"""
COLOURS = """:root { color-scheme: light dark; --jp-content-font-color1: #222; }
body { margin: 16px; background: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --jp-content-font-color1: #ddd; } body { background: #111; }
}"""
"""A page by itself follows the reader's system, as a notebook follows JupyterLab's theme."""
STORED = """body { margin: 0; } #picture { width: max-content; }
.controls, small { display: none !important; }"""
"""A stored picture has no background, text in a grey that is read on white and on black, and less
to press."""


def script(*names: str) -> str:
    """Return a viewer's script, in one part or several, with what all viewers share before it."""
    return "\n".join((HERE / part).read_text(encoding="utf-8") for part in ("viewer.js", *names))


class Viewer(anywidget.AnyWidget):
    """A picture that answers: move it by mouse or keys, and read in Python what was chosen."""

    title = traitlets.Unicode().tag(sync=True)

    def __init__(self, says: str, **state: Any) -> None:
        """Take the state to draw, and one sentence that says what it shows."""
        super().__init__(**state)
        self.says = says
        self.on_msg(self._answer)

    def answer(self, asked: Any) -> tuple[dict[str, Any], list[bytes]] | None:
        """Return what a view asked for, if this viewer has it: a message and its bytes."""
        return None

    def html(self, style: str = COLOURS) -> str:
        """Return the viewer as one page that needs nothing else."""
        names = set(self.trait_names(sync=True)) - set(anywidget.AnyWidget.class_trait_names())
        names = {name for name in names if not name.startswith("_")}
        state = {name: _storable(getattr(self, name)) for name in sorted(names)}
        code = str(self._esm).replace("export default", "const widget =")
        code = code.replace("</script", "<\\/script")
        page = {
            "title": self.title.replace("&", "&amp;").replace("<", "&lt;"),
            "state": json.dumps(state, ensure_ascii=False).replace("<", "\\u003c"),
            "script": code + "\n" + (HERE / "page.js").read_text(encoding="utf-8"),
        }
        return PAGE.format(style=style, **page)

    def to_html(self, path: str | Path) -> Path:
        """Write the viewer to a file that any browser opens, without a network; return its path."""
        write_atomically(Path(path), self.html())
        return Path(path)

    def _repr_mimebundle_(self, **settings: Any) -> Any:
        text = {"text/plain": f"Picture: {self.says}"}
        if not is_static():
            shown = super()._repr_mimebundle_(**settings)
            data, metadata = shown if isinstance(shown, tuple) else (shown or {}, {})
            return data | text, metadata
        png = render_png({"html": self.html(STORED)})
        return text if png is None else text | {"image/png": base64.b64encode(png).decode("ascii")}

    def _answer(self, widget: Any, asked: Any, buffers: Any) -> None:
        if asked == {"ask": "html"}:
            self.send({"file": "labkit.html", "html": self.html()})
        elif answer := self.answer(asked):
            self.send(answer[0], buffers=answer[1])


def _storable(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode("ascii")}
    if isinstance(value, Mapping):
        return {str(key): _storable(part) for key, part in value.items()}
    return value
