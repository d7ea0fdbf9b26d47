"""Rules about the parts that every chapter has, in their order, and what its head promises."""

import ast
import re

from tests.contract.reading import Cell, Notebook, tree

MOST_CPU_SECONDS, MOST_CPU_SECONDS_TOGETHER = 120, 1500
SETUP_LINES = 6
FEWEST_PREDICTIONS = 2
FEWEST_TERMS, MOST_TERMS = 3, 6
READINGS = 3

FILE_NAME = re.compile(r"\d\d_[a-z0-9_]+")
SECONDS = re.compile(r"about\s+(\d+)\s+seconds\s+of\s+processor\s+time", re.IGNORECASE)
MINUTES = re.compile(r"about\s+(\d+)\s+minutes\s+to\s+read", re.IGNORECASE)
ITEM = re.compile(r"^(?:[-*]|\d+\.)\s+\S", re.MULTILINE)
TABLE_ROW = re.compile(r"^\|(?![\s|:-]*$).*$", re.MULTILINE)


def _title(notebook: Notebook) -> str:
    first = notebook.cells[0] if notebook.cells else None
    return first.source if first and first.kind == "markdown" else ""


def _number(pattern: re.Pattern[str], text: str) -> int | None:
    match = pattern.search(text)
    return int(match.group(1)) if match else None


def _setup_call(notebook: Notebook) -> ast.Call | None:
    """The call of `setup(…)` in the first code cell."""
    for node in ast.walk(tree(notebook.code[0].source if notebook.code else "")):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setup":
            return node
    return None


def declared_seconds(notebook: Notebook) -> float | None:
    """The CPU-seconds that the set-up cell promises; None where it promises none."""
    call = _setup_call(notebook)
    for keyword in call.keywords if call else []:
        if keyword.arg == "cpu_seconds" and isinstance(keyword.value, ast.Constant):
            return float(str(keyword.value.value))
    return None


def metadata_says_who(notebook: Notebook) -> list[str]:
    """Kernel, chapter number and minutes are in the metadata and agree with the file's name."""
    told = []
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        told.append("metadata.kernelspec.name is not python3: JupyterLab would ask and wait")
    if not FILE_NAME.fullmatch(notebook.name):
        told.append(f"{notebook.name}: expected two digits and a name, such as 12_ngrams")
    labkit = notebook.metadata.get("labkit", {})
    if labkit.get("chapter") != notebook.chapter:
        told.append(f"metadata.labkit.chapter is {labkit.get('chapter')!r}, not the file's number")
    if not isinstance(labkit.get("minutes"), int):
        told.append("metadata.labkit.minutes is not a whole number")
    return told


def title_promises(notebook: Notebook) -> list[str]:
    """The first cell: a question, what the reader will be able to do, needs, minutes, seconds."""
    title, told = _title(notebook), []
    if not title.startswith("# ") or "?" not in title:
        told.append("the first cell is not a title with the chapter's question")
    told += [f"the title cell lacks {word!r}" for word in ("able to", "need") if word not in title]
    minutes, seconds = _number(MINUTES, title), _number(SECONDS, title)
    if minutes is None or minutes != notebook.metadata.get("labkit", {}).get("minutes"):
        told.append("the title cell lacks “about N minutes to read” with metadata.labkit.minutes")
    if seconds is None or seconds != declared_seconds(notebook):
        told.append("the title cell lacks “about N seconds of processor time” with setup()'s N")
    return told


def setup_is_short(notebook: Notebook) -> list[str]:
    """The first code cell, tagged setup, has at most six lines and starts this chapter's clock."""
    if not notebook.code:
        return ["there is no code cell"]
    first, told = notebook.code[0], []
    if "setup" not in first.tags or len(notebook.tagged("setup")) != 1:
        told.append("the first code cell, and no other, carries the tag setup")
    if len(first.code_lines) > SETUP_LINES:
        told.append(f"the set-up cell has {len(first.code_lines)} lines, at most {SETUP_LINES}")
    call = _setup_call(notebook)
    number = call.args[0] if call and call.args else None
    if not isinstance(number, ast.Constant) or number.value != notebook.chapter:
        told.append(f'the set-up cell does not call setup("{notebook.chapter}", cpu_seconds=…)')
    return told


def time_is_bounded(notebook: Notebook) -> list[str]:
    """A chapter declares at most 120 CPU-seconds, and its last code cell checks the promise."""
    told, seconds = [], declared_seconds(notebook)
    if seconds is None or not 0 < seconds <= MOST_CPU_SECONDS:
        told.append(f"declares {seconds} CPU-seconds, expected 1 to {MOST_CPU_SECONDS}")
    last = notebook.code[-1].source if notebook.code else ""
    if not re.search(r"\bchapter\.finish\(\)", last):
        told.append("the last code cell does not call chapter.finish()")
    return told


def vocabulary_comes_early(notebook: Notebook) -> list[str]:
    """Three to six terms, in a table or a list tagged vocabulary, before the first definition."""
    cells = notebook.tagged("vocabulary")
    if len(cells) != 1 or cells[0].kind != "markdown":
        return [f"{len(cells)} cells are tagged vocabulary, expected one text cell"]
    terms = _terms(cells[0])
    told = []
    if not FEWEST_TERMS <= terms <= MOST_TERMS:
        told.append(f"the vocabulary has {terms} terms, expected {FEWEST_TERMS} to {MOST_TERMS}")
    early = [cell for cell in notebook.code if cell.index < cells[0].index]
    if len(early) > 1:
        told.append("the vocabulary stands before everything but the set-up cell")
    return told


def _terms(cell: Cell) -> int:
    rows = len(TABLE_ROW.findall(cell.source))
    return rows - 1 if rows else len(ITEM.findall(cell.source))


def reader_predicts(notebook: Notebook) -> list[str]:
    """At least twice the reader guesses before running: cells tagged predict."""
    found = len(notebook.tagged("predict"))
    if found < FEWEST_PREDICTIONS:
        return [f"{found} cells are tagged predict, at least {FEWEST_PREDICTIONS}"]
    return []


def _section(notebook: Notebook, heading: str) -> str | None:
    """The text below a heading, up to the next heading or the next code cell."""
    for cell in notebook.markdown:
        parts = re.split(r"^(#{1,6} .*)$", cell.source, flags=re.MULTILINE)
        for title, text in zip(parts[1::2], parts[2::2], strict=True):
            if heading.lower() in title.lower():
                return text
    return None


def ends_well(notebook: Notebook) -> list[str]:
    """“What we built” says where ideas live in labkit; “Further reading” has three items."""
    built, reading, told = _section(notebook, "What we built"), None, []
    if built is None or "`labkit" not in built:
        told.append("no section “What we built” that names a part of labkit in backticks")
    reading = _section(notebook, "Further reading")
    items = len(ITEM.findall(reading or ""))
    if items != READINGS:
        told.append(f"“Further reading” has {items} items, expected {READINGS}")
    return told


def league_has_its_row(notebook: Notebook) -> list[str]:
    """A code cell tagged league shows the table with the chapter's new row."""
    cells = [cell for cell in notebook.tagged("league") if cell.kind == "code" and cell.outputs]
    if len(cells) != 1:
        return [f"{len(cells)} code cells tagged league show something, expected one"]
    return []
