"""What students get back: complete, their own, and text whatever it holds."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classroom.feedback import write_feedback
from classroom.pages import LONGEST, shown
from labkit.chromium import find_chromium
from labkit.course.record import Decision, QuestionMark, Record
from tests.browser.lab import chromium_page
from tests.course.term import SECRET, hand_in, make_course, make_exam, mark

HOSTILE = """\
</pre></style><script>document.title = "hacked"</script>
<img src="http://evil.example/x.png" onerror="document.title = 'hacked'"> <style>body {}</style>
[link](javascript:alert(1)) ![x](http://evil.example/y.png) $\\frac{1}{2}$ {{ 7 * 7 }} <b>bold</b>
```
````
`````
`````python
# A heading
"""
STEERING = (
    "\x1b[31mred\x1b[0m \x1b]8;;http://evil.example\x07here\x1b]8;;\x07 \u202eback\u2066 \x00"
)
SPELLED = r"red here \u202eback\u2066 \x00"


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    with Record(tmp_path / "grades.sqlite") as opened:
        yield opened


def marked(question: str, text: str, points: float | None = 0, out_of: float = 4) -> QuestionMark:
    """A mark that holds a text wherever a submission can put one."""
    case = {"share": 0, "tried": text, "came": text, "expected": "one"}
    return QuestionMark(
        question=question,
        points=points,
        out_of=out_of,
        exam="digest",
        source=text,
        detail=[case],
        log=text,
    )


def written(folder: Path, record: Record, student: str = "ada") -> tuple[str, str]:
    """The page of a student, and all text of the notebook."""
    course = make_course(folder)
    files = write_feedback(course, course.assignment("p1"), make_exam(), record)
    mine = [path.read_text(encoding="utf-8") for path in files if path.parent.name == student]
    notebook = nbformat.reads(mine[1], as_version=4)
    nbformat.validate(notebook)
    assert {cell.cell_type for cell in notebook.cells} == {"markdown"}, "nothing can be executed"
    return mine[0], "\n\n".join(cell.source for cell in notebook.cells)


class Seen(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def outside_fences(markdown: str) -> str:
    """What is left of Markdown without its fenced blocks, as CommonMark delimits them."""
    left, fence = [], ""
    for line in markdown.split("\n"):
        ticks = re.fullmatch(r"(`{3,})\s*", line)
        if not fence and ticks:
            fence = ticks[1]
        elif fence and ticks and len(ticks[1]) >= len(fence):
            fence = ""
        elif not fence:
            left.append(line)
    assert not fence, "a fence is left open"
    return "\n".join(left)


def test_everything_about_a_submission_is_said(tmp_path: Path, record: Record) -> None:
    submission = hand_in(record, "bo", timedelta(days=2, hours=1))
    cases = [
        {"share": 1, "tried": "my_f(7)", "came": "seven", "expected": "seven"},
        {"share": 0.5, "tried": "my_f(8)", "came": "ate", "expected": "eight"},
    ]
    told = QuestionMark(
        question="first",
        points=2,
        out_of=4,
        exam="digest",
        source="def my_f(x): …",
        detail=cases,
        log="ValueError: no",
    )
    record.add_mark(submission, told)
    mark(record, submission, {"second": 2, "essay": None})
    record.decide("p1", Decision("bo", "first", 3.5, "T. Turing", "nearly"))
    page, notebook = written(tmp_path, record, "bo")
    text = " ".join(Seen(page).text.split())
    for said in (
        *("博文 (bo)", "4.95 of 9 points so far", "3 days late, 2 of the free days used: 90%"),
        *(
            "T. Turing decided: 3.5 of 4 points, instead of 2",
            "nearly",
            "3.5 of 4 points",
            "2 of 2 points",
        ),
        *("def my_f(x): …", "my_f(8)", "ate", "eight", "50% right", "ValueError: no"),
        *("my_f(7)", "waits for its reader", "(nothing was found)"),
    ):
        assert said in text
        plain = notebook.replace("\\", "")
        assert said in plain
    assert "1 of 2 cases right" in text


def test_what_is_not_graded_says_so(tmp_path: Path, record: Record) -> None:
    hand_in(record, "ada")
    page, notebook = written(tmp_path, record)
    assert page.count("not graded yet") == notebook.count("not graded yet") == 3


def test_only_who_handed_in_gets_feedback_and_reads_of_nobody_else(
    tmp_path: Path, record: Record
) -> None:
    for student in ("ada", "bo"):
        record.add_mark(hand_in(record, student), marked("first", f"text of {student}"))
    record.decide("p1", Decision("bo", "second", 1, "T", "said to bo"))
    for text in written(tmp_path, record, "ada"):
        assert "text of ada" in text
        assert not re.search(r"\bbo\b|博文|Cy|cmd", text)
    assert sorted(path.name for path in (tmp_path / "feedback" / "p1").iterdir()) == ["ada", "bo"]


def test_no_hidden_test_and_no_solution(tmp_path: Path, record: Record) -> None:
    record.add_mark(hand_in(record, "ada"), marked("first", "return 3"))
    for text in written(tmp_path, record):
        assert "return 3" in text
        assert SECRET not in text


def test_hostile_text_is_text(tmp_path: Path, record: Record) -> None:
    submission = hand_in(record, "ada")
    for question in ("first", "second", "essay"):
        record.add_mark(submission, marked(question, HOSTILE + STEERING))
    record.decide("p1", Decision("ada", "essay", 1, HOSTILE, HOSTILE))
    page, notebook = written(tmp_path, record)
    seen = Seen(page)
    assert not {"script", "img", "a", "b", "iframe", "link"} & set(seen.tags)
    assert seen.tags.count("style") == 1
    assert seen.text.count(HOSTILE) == 3 * 4 + 2, "nothing of it is lost"
    assert seen.text.count(SPELLED) == 3 * 4
    assert "{{ 7 * 7 }}" in seen.text
    left = outside_fences(notebook)
    for mark_up in ("<", "](", "$", "```", "# A", "javascript:", "{{"):
        assert mark_up not in left.replace("\\" + mark_up[0], "")
    for text in (page, notebook):
        assert not re.search("[\x00-\x08\x0b-\x1f\x1b\u202a-\u202e\u2066-\u2069]", text)


LINES = st.text(alphabet="`", max_size=6) | st.text(alphabet="`~ #<a\r\x85\u2028", max_size=6)


@given(st.lists(LINES, max_size=6).map("\n".join))
def test_no_text_gets_out_of_its_fence(text: str) -> None:
    from classroom.feedback import _fenced

    assert outside_fences(_fenced(shown(text))) == ""


@given(st.text(alphabet=st.characters(), max_size=200))
def test_what_is_shown_can_be_written_and_is_shown_again_alike(text: str) -> None:
    assert shown(text).encode("utf-8").decode("utf-8") == shown(text)
    assert shown(shown(text)) == shown(text)
    if text.isprintable():
        assert shown(text) == text


def test_a_text_of_a_megabyte_is_cut(tmp_path: Path, record: Record) -> None:
    long = "a = '" + "x" * 1_000_000 + "'\n" + "b\n" * 500_000
    record.add_mark(hand_in(record, "ada"), marked("first", long))
    for text in written(tmp_path, record):
        assert len(text) < 30_000
        assert "more characters" in text
    many = "line\n" * (LONGEST // 5)
    assert shown(many) == many, "a long answer of short lines is whole"


def test_the_page_may_load_and_run_nothing(tmp_path: Path, record: Record) -> None:
    hand_in(record, "ada")
    page, _ = written(tmp_path, record)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules.pop("style-src") == "'unsafe-inline'"
    assert set(rules.values()) == {"'none'"}
    assert "default-src" in rules
    assert page.index("Content-Security-Policy") < page.index("<title>")


def test_writing_again_writes_the_same(tmp_path: Path, record: Record) -> None:
    record.add_mark(hand_in(record, "ada"), marked("first", "return 3"))
    assert written(tmp_path, record) == written(tmp_path, record)
    notebook = json.loads((tmp_path / "feedback/p1/ada/feedback.ipynb").read_text("utf-8"))
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"]) == 4


@pytest.mark.skipif(find_chromium() is None, reason="there is no Chromium")
def test_chromium_shows_hostile_text_in_light_and_dark(tmp_path: Path, record: Record) -> None:
    wide = "x" * 5000
    record.add_mark(hand_in(record, "ada"), marked("first", HOSTILE + STEERING + wide))
    written(tmp_path, record)
    asked: list[str] = []
    with chromium_page(str(find_chromium())) as page:
        page.on("request", lambda request: asked.append(request.url))
        page.set_viewport_size({"width": 1366, "height": 768})
        colours = set()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.goto((tmp_path / "feedback/p1/ada/feedback.html").as_uri())
            assert page.title() == "Set p1 · Language models"
            assert page.evaluate("document.documentElement.scrollWidth") == 1366
            assert HOSTILE.strip() in page.locator("pre").first.inner_text()
            colours.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert len(colours) == 2
    assert [url for url in asked if not url.startswith("file:")] == []
