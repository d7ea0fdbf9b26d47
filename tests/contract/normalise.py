"""One way to write a notebook: what depends on the run and not on the chapter is left out."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import nbformat

CELL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
CELL_METADATA = ("deletable", "editable", "labkit", "nbgrader", "tags")
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"}


def normalise(text: str) -> str:
    """Return the canonical text of a notebook.

    Timestamps, widget state, the language's version, tracebacks' paths and editors' settings go;
    executed cells are counted 1 … n; neighbouring pieces of one stream become one; keys are sorted.
    `normalise(normalise(x)) == normalise(x)`. Raises ValueError if it is not format 4.
    """
    data = json.loads(text)
    if not isinstance(data, dict) or data.get("nbformat") != 4 or "cells" not in data:
        raise ValueError("expected a notebook of format 4: save it with a current JupyterLab")
    taken: set[str] = set()
    count = 0
    cells = []
    for index, cell in enumerate(data["cells"]):
        executed = cell["cell_type"] == "code" and _is_executed(cell)
        count += executed
        cells.append(_cell(cell, _cell_id(cell, index, taken), count if executed else None))
    notebook = {
        "cells": cells,
        "metadata": _metadata(data.get("metadata", {})),
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return str(nbformat.v4.writes_json(nbformat.from_dict(notebook))).rstrip("\n") + "\n"


def _metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: metadata[name] for name in ("kernelspec", "labkit") if name in metadata}
    if kept.get("kernelspec", {}).get("name") == KERNELSPEC["name"]:
        kept["kernelspec"] = KERNELSPEC
    return kept | {"language_info": LANGUAGE}


def _is_executed(cell: Mapping[str, Any]) -> bool:
    """A cell that never ran stays without a number: nbval would not compare it."""
    return cell.get("execution_count") is not None or bool(cell.get("outputs"))


def _cell_id(cell: Mapping[str, Any], index: int, taken: set[str]) -> str:
    """Keep a valid id that no earlier cell has, else make one that the next run makes again."""
    chosen = str(cell.get("id", ""))
    if not CELL_ID.fullmatch(chosen) or chosen in taken:
        digest = hashlib.sha256(_joined(cell["source"]).encode()).hexdigest()
        chosen = f"cell-{index}-{digest[:8]}"
    taken.add(chosen)
    return chosen


def _cell(cell: Mapping[str, Any], cell_id: str, count: int | None) -> dict[str, Any]:
    metadata = cell.get("metadata", {})
    kept = {name: metadata[name] for name in CELL_METADATA if metadata.get(name) not in (None, [])}
    result = {
        "cell_type": cell["cell_type"],
        "id": cell_id,
        "metadata": kept,
        "source": _joined(cell["source"]),
    }
    if cell.get("attachments"):
        result["attachments"] = cell["attachments"]
    if cell["cell_type"] == "code":
        result |= {"execution_count": count, "outputs": _outputs(cell["outputs"], count)}
    return result


def _outputs(outputs: list[dict[str, Any]], count: int | None) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = []
    for output in outputs:
        before = result[-1] if result else {}
        if output["output_type"] == "stream":
            text = _joined(output["text"])
            if before.get("output_type") == "stream" and before["name"] == output["name"]:
                before["text"] += text
            else:
                result.append({"output_type": "stream", "name": output["name"], "text": text})
        elif output["output_type"] == "error":
            said = {name: output[name] for name in ("output_type", "ename", "evalue")}
            result.append(said | {"traceback": [f"{said['ename']}: {said['evalue']}"]})
        else:
            result.append(_displayed(output, count))
    return result


def _displayed(output: Mapping[str, Any], count: int | None) -> dict[str, Any]:
    data = {
        mime: value if mime.endswith("json") else _joined(value)
        for mime, value in output["data"].items()
    }
    data = {mime: _clean(mime, value) for mime, value in data.items()}
    kind = output["output_type"]
    result = {"output_type": kind, "data": data, "metadata": output.get("metadata", {})}
    return result | ({"execution_count": count} if kind == "execute_result" else {})


def _clean(mime: str, value: Any) -> Any:
    """Write base64 without the line ends that some tools add and others do not."""
    return value.strip() if mime.startswith("image/") and isinstance(value, str) else value


def _joined(text: Any) -> str:
    return "".join(text) if isinstance(text, list) else str(text)
