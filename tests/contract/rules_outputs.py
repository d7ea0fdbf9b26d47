"""Rules about what a chapter stores: nothing uncompared, nothing that depends on the machine."""

import base64
import binascii
import io
import itertools
import re
import tokenize

import nbformat

from tests.contract.normalise import normalise
from tests.contract.reading import Cell, Notebook, bundle, texts, tree

MOST_BYTES = 1_000_000
ALLOWED_MIMES = {"image/png", "text/html", "text/latex", "text/markdown", "text/plain"}
ALLOWED_TAGS = {
    "exercise",
    "hide-input",
    "league",
    "nbval-ignore-output",
    "predict",
    "raises-exception",
    "setup",
    "vocabulary",
}
MOST_IGNORED = 0.15
CELLS_PER_PICTURE = 12
WORDS_PER_PICTURE = 8
PICTURE = "Picture: "
PNG_START = b"\x89PNG\r\n\x1a\n"
SIGNIFICANT = 4

ABSOLUTE_PATH = re.compile(
    r"(?<![\w.~*/-])/(?:home|root|tmp|Users|usr|opt|var|work|mnt|private|srv|etc|proc|dev)\b/?"
    r"|\b[A-Za-z]:\\\\?\w|\bfile://"
)
ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+|\b0x[0-9a-fA-F]{9,}")
REMOTE = re.compile(r"https?://(?!www\.w3\.org/)|(?:src|href)\s*=\s*[\"']?//")
REMOTE_PICTURE = re.compile(r"!\[[^\]]*\]\(\s*(?:https?:)?//|<(?:img|script|iframe|link|video)\b")
FLOAT = re.compile(r"(?<![\w.])\d+(?:,\d{3})*\.\d+(?:[eE][-+]?\d+)?(?!\w|\.\w)")
APPROXIMATE = re.compile(r"≈ *[-+−]?\.?\d")
NBVAL_MARKER = re.compile(r"#\s*(?:NBVAL_|PYTEST_VALIDATE_)\w+")
CHECKING_CALL = re.compile(r"\b(?:claim|same)\(")
TAG = re.compile(r"<style.*?</style>|<[^>]*>", re.DOTALL)


def is_canonical(notebook: Notebook) -> list[str]:
    """The file is exactly what `make notebooks` writes, and a valid notebook."""
    try:
        nbformat.validate(nbformat.reads(notebook.text, as_version=4))
    except nbformat.ValidationError as error:
        return [f"not a valid notebook: {error.message}"]
    if normalise(notebook.text) != notebook.text:
        return ["not in the form that `make notebooks` writes: run it"]
    return []


def counts_run_from_one(notebook: Notebook) -> list[str]:
    """nbval passes a cell without a count unread, so every code cell has the next one."""
    found = [cell.count for cell in notebook.code]
    expected = list(range(1, len(found) + 1))
    if found != expected:
        return [f"execution counts {found}, expected 1 to {len(found)}: run `make notebooks`"]
    return [
        f"{cell.where}: its result is numbered {output['execution_count']}, not {cell.count}"
        for cell in notebook.code
        for output in cell.outputs
        if output.get("execution_count", cell.count) != cell.count
    ]


def cells_are_plain_python(notebook: Notebook) -> list[str]:
    """No empty cell, magic, shell command, or comment that tells nbval to look away."""
    told = []
    for cell in notebook.code:
        if not cell.source.strip() or not tree(cell.source).body:
            told.append(f"{cell.where}: empty, or not plain Python")
        if NBVAL_MARKER.search(cell.source):
            told.append(f"{cell.where}: holds an nbval comment; use a tag, which is counted")
    return told


def outputs_hold_something(notebook: Notebook) -> list[str]:
    """Every output has text that nbval compares, of a kind that every reader can draw."""
    told = []
    for cell in notebook.code:
        for output in cell.outputs:
            kept = bundle(output)
            if not any(text.strip() for mime, text in kept.items() if mime != "image/png"):
                told.append(f"{cell.where}: an output without text, which nbval cannot compare")
            for mime in kept.keys() - ALLOWED_MIMES:
                told.append(f"{cell.where}: stores {mime}; allowed are {sorted(ALLOWED_MIMES)}")
    if "widgets" in notebook.metadata:
        told.append("widget state is stored in the notebook's metadata")
    return told


def no_errors(notebook: Notebook) -> list[str]:
    """An error is stored where, and only where, the tag says that one is meant."""
    told = []
    for cell in notebook.code:
        raised = any(output["output_type"] == "error" for output in cell.outputs)
        meant = "raises-exception" in cell.tags
        if raised and not meant:
            told.append(f"{cell.where}: stores an error")
        if meant and not raised:
            told.append(f"{cell.where}: is tagged raises-exception and stores no error")
        if meant and "nbval-ignore-output" in cell.tags:
            told.append(f"{cell.where}: an error that is not compared is not tested")
    return told


def no_trailing_semicolon(notebook: Notebook) -> list[str]:
    """A `;` at the end hides a result in Jupyter and not under nbval."""
    return [f"{cell.where}: a line ends in ;" for cell in notebook.code if _semicolon(cell.source)]


def _semicolon(source: str) -> bool:
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (tokenize.TokenError, SyntaxError):
        return source.rstrip().endswith(";")
    ends = (tokenize.NEWLINE, tokenize.NL, tokenize.COMMENT, tokenize.ENDMARKER)
    pairs = itertools.pairwise(tokens)
    return any(token.string == ";" and after.type in ends for token, after in pairs)


def _search(notebook: Notebook, pattern: re.Pattern[str], told: str, *, sources: bool) -> list[str]:
    """Say where a pattern occurs in outputs, and in sources if wanted."""
    found = []
    for cell in notebook.cells:
        for text in [text for _, text in texts(cell)] + [cell.source] * sources:
            if match := pattern.search(text):
                line = text[max(0, match.start() - 20) : match.end() + 30].replace("\n", " ")
                found.append(f"{cell.where}: {told}: …{line}…")
    return found


def no_absolute_path(notebook: Notebook) -> list[str]:
    """No folder of one machine, in an output, in code or in the text."""
    return _search(notebook, ABSOLUTE_PATH, "an absolute path", sources=True)


def no_addresses(notebook: Notebook) -> list[str]:
    """No address of an object, which differs from run to run."""
    return _search(notebook, ADDRESS, "an address", sources=False)


def nothing_remote(notebook: Notebook) -> list[str]:
    """Outputs link nowhere, and the text embeds nothing from elsewhere."""
    return _search(notebook, REMOTE, "a remote link", sources=False) + [
        f"{cell.where}: embeds a remote or raw HTML element"
        for cell in notebook.markdown
        if REMOTE_PICTURE.search(cell.source)
    ]


def no_stderr(notebook: Notebook) -> list[str]:
    """No warning and no progress bar is stored."""
    return [
        f"{cell.where}: stores stderr: {bundle(output)['text/plain'][:60]!r}"
        for cell in notebook.code
        for output in cell.outputs
        if output.get("name") == "stderr"
    ]


def pictures_speak(notebook: Notebook) -> list[str]:
    """A picture is a PNG and a sentence that says what it shows; neither comes alone."""
    return [
        f"{cell.where}: {told}"
        for cell in notebook.code
        for output in cell.outputs
        for told in _faults_of_picture(bundle(output))
    ]


def _faults_of_picture(kept: dict[str, str]) -> list[str]:
    said = kept.get("text/plain", "")
    if "image/png" not in kept:
        return ["text of a picture without its PNG"] if said.startswith(PICTURE) else []
    told = []
    if not said.startswith(PICTURE):
        told.append(f"the text of a picture begins {said[:20]!r}, not {PICTURE!r}")
    elif len(said.removeprefix(PICTURE).split()) < WORDS_PER_PICTURE:
        told.append(f"the text of a picture has fewer than {WORDS_PER_PICTURE} words: {said!r}")
    if set(kept) != {"image/png", "text/plain"}:
        told.append(f"a picture is stored as image/png and text/plain, not {sorted(kept)}")
    try:
        data = base64.b64decode(kept["image/png"], validate=False)
    except binascii.Error:
        data = b""
    return told if data.startswith(PNG_START) else [*told, "the PNG of a picture is broken"]


def pictures_present(notebook: Notebook) -> list[str]:
    """A picture for every twelve code cells, and never more than twelve in a row without one."""
    last, told = -1, []
    places = [i for i, cell in enumerate(notebook.code) if any(map(_is_picture, cell.outputs))]
    if len(places) * CELLS_PER_PICTURE < len(notebook.code):
        told.append(f"{len(places)} pictures for {len(notebook.code)} code cells")
    for place in [*places, len(notebook.code)]:
        if place - last - 1 > CELLS_PER_PICTURE:
            told.append(f"{place - last - 1} code cells without a picture before code cell {place}")
        last = place
    return told


def _is_picture(output: object) -> bool:
    return isinstance(output, dict) and "image/png" in output.get("data", {})


def small_file(notebook: Notebook) -> list[str]:
    """At most 1 MB."""
    size = len(notebook.text.encode())
    return [f"{size:,} bytes, at most {MOST_BYTES:,}"] if size > MOST_BYTES else []


def tags_are_known(notebook: Notebook) -> list[str]:
    """Only tags that this book gives a meaning; nbval-skip has none."""
    return [
        f"{cell.where}: unknown tag {tag!r}"
        for cell in notebook.cells
        for tag in cell.tags
        if tag not in ALLOWED_TAGS
    ]


def ignored_outputs_are_few(notebook: Notebook) -> list[str]:
    """At most 15 % of code cells go uncompared, and each says why."""
    ignored = [cell for cell in notebook.code if "nbval-ignore-output" in cell.tags]
    told = [
        f"{cell.where}: is not compared and does not say why in metadata.labkit.why"
        for cell in ignored
        if not (cell.metadata.get("labkit") or {}).get("why", "").strip()
    ]
    if len(ignored) > MOST_IGNORED * len(notebook.code):
        share = f"{len(ignored)} of {len(notebook.code)}"
        told.append(f"{share} code cells are not compared, at most {MOST_IGNORED:.0%} may be")
    return told


def approximate_beside_claim(notebook: Notebook) -> list[str]:
    """A number after ≈ is not compared, so this cell or a neighbour checks something."""
    told = []
    for place, cell in enumerate(notebook.code):
        if any(APPROXIMATE.search(text) for _, text in texts(cell)):
            near = notebook.code[max(0, place - 1) : place + 2]
            if not any(CHECKING_CALL.search(other.source) for other in near):
                told.append(f"{cell.where}: prints ≈ with no claim() or same() beside it")
    return told


def few_digits(notebook: Notebook) -> list[str]:
    """A printed float has at most four significant digits; shown source code is left alone."""
    told = []
    for cell in notebook.code:
        for text in _printed(cell):
            for match in FLOAT.finditer(text):
                if _significant(match.group()) > SIGNIFICANT:
                    told.append(f"{cell.where}: prints {match.group()}, more than 4 digits")
    return told


def _printed(cell: Cell) -> list[str]:
    """The texts of a cell, without markup and without those that show source code."""
    kept = [bundle(output) for output in cell.outputs]
    shown = [b for b in kept if "```python" not in b.get("text/markdown", "")]
    return [TAG.sub(" ", text) for b in shown for mime, text in b.items() if "text/" in mime]


def _significant(number: str) -> int:
    """Count significant digits as printed.

    >>> [_significant(x) for x in ("0.0012", "1.50", "1234.5", "1.2345e-05")]
    [2, 3, 5, 5]
    """
    mantissa = re.split("[eE]", number)[0]
    return len(re.sub("[.,]", "", mantissa).lstrip("0"))
