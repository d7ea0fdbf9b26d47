"""Rules about how a chapter reads: short cells, a sentence before each, more prose than code."""

import re
import statistics

from tests.contract.reading import Cell, Notebook, code_runs

MEDIAN_LINES, MOST_IN_NINE_OF_TEN, MOST_LINES = 6, 14, 28
COLUMNS = 92
LONGEST_RUN = 2
WORDS_PER_LINE = 8.0
WORDS_BEFORE_CODE = 4

NOT_PROSE = re.compile(
    r"```.*?```|<summary>.*?</summary>|<[^>]*>|\$\$.*?\$\$|^[ \t]*[#|][^\n]*",
    re.DOTALL | re.MULTILINE,
)


def words(text: str) -> int:
    """Count words as a reader's statistics do: runs of letters, digits and underscores."""
    return len(re.findall(r"\w+", text))


def cells_are_short(notebook: Notebook) -> list[str]:
    """Half of the code cells have at most 6 lines, nine in ten at most 14, none over 28."""
    sizes = sorted(len(cell.code_lines) for cell in notebook.code) or [0]
    median, ninth = statistics.median(sizes), sizes[min(len(sizes) - 1, int(0.9 * len(sizes)))]
    told = []
    if median > MEDIAN_LINES:
        told.append(f"the median code cell has {median:g} lines, at most {MEDIAN_LINES}")
    if ninth > MOST_IN_NINE_OF_TEN:
        told.append(f"one code cell in ten has {ninth} lines, at most {MOST_IN_NINE_OF_TEN}")
    return told + [
        f"{cell.where}: {len(cell.code_lines)} lines, at most {MOST_LINES}"
        for cell in notebook.code
        if len(cell.code_lines) > MOST_LINES
    ]


def lines_are_narrow(notebook: Notebook) -> list[str]:
    """Code fits a laptop's JupyterLab without scrolling."""
    return [
        f"{cell.where}: a line of {len(line)} columns, at most {COLUMNS}"
        for cell in notebook.code
        for line in cell.source.splitlines()
        if len(line) > COLUMNS
    ]


def code_runs_are_short(notebook: Notebook) -> list[str]:
    """At most two code cells follow each other."""
    return [
        f"{run[0].where}: {len(run)} code cells in a row, at most {LONGEST_RUN}"
        for _, run in code_runs(notebook)
        if len(run) > LONGEST_RUN
    ]


def prose_outweighs_code(notebook: Notebook) -> list[str]:
    """At least eight words of prose for each line of code, exercises included."""
    lines = sum(len(cell.code_lines) for cell in notebook.code)
    prose = sum(words(cell.source) for cell in notebook.markdown)
    if prose < WORDS_PER_LINE * lines:
        return [f"{prose} words for {lines} lines of code, at least {WORDS_PER_LINE:g} a line"]
    return []


def code_is_introduced(notebook: Notebook) -> list[str]:
    """A sentence, not just a heading, stands before each code cell or pair of them."""
    return [
        f"{run[0].where}: no sentence before it"
        for before, run in code_runs(notebook)
        if before is None or not _has_sentence(before)
    ]


def _has_sentence(cell: Cell) -> bool:
    prose = NOT_PROSE.sub(" ", cell.source)
    return words(prose) >= WORDS_BEFORE_CODE and re.search(r"[.:?!…。：？！]", prose) is not None
