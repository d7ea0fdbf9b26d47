"""The cleaning rules, one hand-written sample each, and what holds for any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.clean import clean

# what one character of the raw text may become, besides itself or nothing
EXCHANGED = {("\r", "\n"), ("/", ","), ("{", "["), ("{", " "), ("}", "]"), ("}", " ")}

WORDS = ["by William Shakespeare", "THE END", "Enter ", "Actus ", "THE PROLOGVE", "etext", "To be"]
PIECES = st.sampled_from([*WORDS, "Project Gutenberg", "| ", "\r\n", *"[]{}@*_|`%/\n\r\t æ中"])
MESSY = st.one_of(st.lists(PIECES, max_size=30).map("".join), st.text(max_size=60))
EDITIONS = st.sampled_from(["modern", "folio"])


def within(short: str, long: str) -> bool:
    """Whether `short` is `long` with characters left out or exchanged as EXCHANGED allows."""
    rest = iter(long)
    return all(any(s == r or (r, s) in EXCHANGED for r in rest) for s in short)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("MACBETH\n\nby William Shakespeare\n\n\n\n\nPersons\n\nDUNCAN", "Persons\n\nDUNCAN"),
        ("THE SONNETS\nby William Shakespeare\n\n\n\n\nI\n\nFrom fairest", "I\n\nFrom fairest"),
        ("He wrote\nA play\nB\nC\nD\nE\nby William Shakespeare", None),
        ("one\r\ntwo\rthree\n", "one\ntwo\nthree"),
        ("  indented  \n\ttab\t\nend ", "  indented\n\ttab\nend"),
        ("a\n\n\nb\n\n\n\nc\n\n\n\n\n\n\nd", "a\n\n\nb\n\n\nc\n\n\nd"),
        ("a\n \n\t\n \n \nb", "a\n\n\nb"),
        ("[Exeunt.}", "[Exeunt.]"),
        ("{Aside.] Ay.", "[Aside.] Ay."),
        ("{Aside.} Ay.", "[Aside.] Ay."),
        ("Montague,}Heads\nCapulet, }", "Montague, Heads\nCapulet,"),
        ("told?\n@@@@\n\nARMADO.", "told?\n\nARMADO."),
        ("love,\n    *     *     *\nPaler", "love,\nPaler"),
        ("I have _tremor cordis_ on me", "I have tremor cordis on me"),
        ("consuls.\n\n______\n\nFROM", "consuls.\n\n\nFROM"),
        ("how doth she/ and what", "how doth she, and what"),
        ("take our hearts.\n\n[Exeunt.]\n\nTHE END", "take our hearts.\n\n[Exeunt.]"),
        ("till THE END", None),
        ("a\nThis eText is from Project Gutenberg.\nb", "a\nb"),
        ("a\nCopyright laws are changing\nb", "a\nb"),
        ("a context, a reproof", None),
        ("", ""),
    ],
)
def test_modern(raw: str, expected: str | None) -> None:
    assert clean(raw, "modern") == (raw if expected is None else expected)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("The Tragedie of Lear\n\n\nActus Primus.\n\nEnter Kent", "Actus Primus.\n\nEnter Kent"),
        ("Henry V\n\nEnter Prologue.\n\nO For a Muse", "Enter Prologue.\n\nO For a Muse"),
        ("Henry VIII\n\nTHE PROLOGVE.\n\nI Come", "THE PROLOGVE.\n\nI Come"),
        ("Enter Poet\n\n  Poet. Good day", None),
        ("honorificabilitu%dinitatibus", "honorificabilitudinitatibus"),
        ("(if you | know)\nthat | I", "(if you know)\nthat I"),
        ("this,\n``Loue like a shadow", "this,\nLoue like a shadow"),
        ("Iulius Cæsar", None),
        ("and omnes.\n\nFINIS. THE TEMPEST.", None),
    ],
)
def test_folio(raw: str, expected: str | None) -> None:
    assert clean(raw, "folio") == (raw if expected is None else expected)


@given(MESSY, EDITIONS)
def test_cleaning_twice_changes_nothing(raw: str, edition: str) -> None:
    once = clean(raw, edition)
    assert clean(once, edition) == once


@given(MESSY, EDITIONS)
def test_nothing_is_added(raw: str, edition: str) -> None:
    assert within(clean(raw, edition), raw)


@given(MESSY, EDITIONS)
def test_what_a_clean_text_never_holds(raw: str, edition: str) -> None:
    text = clean(raw, edition)
    assert not set(text) & set("\r@*_{}/%|`")
    assert "\n\n\n\n" not in text
    assert text == text.strip("\n")
    assert all(line == line.rstrip(" \t") for line in text.split("\n"))


def test_within_can_fail() -> None:
    assert within("a,]", "xa/}")
    assert not within("ab", "ba")
    assert not within("a.", "a/")
