"""Cleaning rules for the two Shakespeare editions, as pure functions of the text.

Every rule removes characters or exchanges one for one, so a clean text is never longer than the
raw one, and cleaning twice changes nothing. The rules, in order:

1. line ends become `\\n`; spaces and tabs before a line end go;
2. a bracket closed or opened by a brace is mended (`[Exit.}`), any other brace becomes a space;
3. marks that occur in one, two or three works and belong to none of them: rows of `@ * _` go with
   their line, other `@ * _ % |` and backquotes go, a `/` (a misprint) becomes a comma;
4. lines that speak of Project Gutenberg, an etext or a copyright go;
5. more than two blank lines become two;
6. the header goes: in `modern` everything up to the by-line, in `folio` the title lines above the
   first act, entry or prologue; so does the transcriber's closing `THE END`.
"""

import re

_LINE_END = re.compile(r"\r\n?")
_TRAILING = re.compile(r"[ \t]+(?=\n|\Z)")
_MENDED = (re.compile(r"\{([^][{}\n]*)[]}]"), re.compile(r"\[([^][{}\n]*)\}"))
_RULE_LINE = re.compile(r"^[ @*_]*[@*_][ @*_]*(?:\n|\Z)", re.MULTILINE)
_BAR = re.compile(r"\| ?")
_MARKS = str.maketrans({"/": ",", "{": " ", "}": " ", **dict.fromkeys("@*_%`|")})
_LICENCE = re.compile(
    r"^.*(?:project gutenberg|\be-?text\b|copyright).*(?:\n|\Z)", re.MULTILINE | re.IGNORECASE
)
_BLANK = re.compile(r"\n{4,}")
_HEADERS = {
    "modern": re.compile(r"\A(?:.+\n+){0,3}?by William Shakespeare(?:\n|\Z)"),
    "folio": re.compile(r"\A(?:.*\n){0,8}?(?=Actus |Enter |THE PROLOGVE)"),
}
_END = re.compile(r"(?:\A|\n)THE END\Z")


def clean(text: str, edition: str) -> str:
    r"""Return `text` without header, licence lines and stray marks; `edition` modern or folio.

    >>> clean("MACBETH\r\n\r\nby William Shakespeare\r\n\r\nEnter BANQUO. \r\n", "modern")
    'Enter BANQUO.'
    """
    text = _LINE_END.sub("\n", text)
    for pattern in _MENDED:
        text = pattern.sub(r"[\1]", text)
    text = _BAR.sub("", _RULE_LINE.sub("", text)).translate(_MARKS)
    text = _LICENCE.sub("", text)
    text = _BLANK.sub("\n\n\n", _TRAILING.sub("", text)).strip("\n")
    before = None
    while text != before:  # until there is neither a header nor a closing line
        before, text = text, _END.sub("", _HEADERS[edition].sub("", text, count=1)).strip("\n")
    return text
