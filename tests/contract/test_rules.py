"""Each rule is shown chapters that break it, and one that does not."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract import samples as s
from tests.contract.reading import Notebook, parse
from tests.contract.rules import all_rules, chapters_are_numbered_once, time_together
from tests.contract.rules_code import nothing_twice_in_the_course
from tests.contract.samples import Data

RULES = all_rules(s.LIBRARY)
Spoil = Callable[[list[Data]], Any]


def find(cells: list[Data], part: str) -> Data:
    return next(cell for cell in cells if part in cell["source"])


def add(*cells: Data) -> Spoil:
    """Put cells, after a sentence, in the middle of the chapter."""
    return lambda all_cells: all_cells.__setitem__(slice(10, 10), [s.text(s.PROSE), *cells])


def swap(part: str, old: str, new: str) -> Spoil:
    """Change the source of the cell that holds `part`."""

    def spoil(cells: list[Data]) -> None:
        cell = find(cells, part)
        assert old in cell["source"]
        cell["source"] = cell["source"].replace(old, new)

    return spoil


def drop(part: str) -> Spoil:
    return lambda cells: cells.remove(find(cells, part))


def store(part: str, *outputs: Data) -> Spoil:
    return lambda cells: find(cells, part).update(outputs=list(outputs))


def mark(part: str, **metadata: Any) -> Spoil:
    return lambda cells: find(cells, part)["metadata"].update(metadata)


def grade(part: str, **changes: Any) -> Spoil:
    return lambda cells: find(cells, part)["metadata"]["nbgrader"].update(changes)


def shown(*outputs: Data) -> Spoil:
    return store("count_slowly(", *outputs) if not outputs else store('draw("ab")', *outputs)


def showing(definition: str) -> Data:
    """A cell that has displayed this as the source of a function of labkit."""
    says = f"`labkit.metrics.bits_per_char`\n```python\ndef {definition}\n```"
    return s.code("show(bits_per_char)", s.result(text_markdown=says, text_plain=definition))


LONG = "\n".join(f"x{i} = {i}" for i in range(29))
COPY = s.LIBRARY["labkit.ngram"].replace("count_ngrams", "tally").replace("ids", "letters")
DEFINED = "def one(n):\n    return n\n\none(1)"
UNRUN: Data = {"execution_count": None, "outputs": []}
UNUSED = "def idle(n):\n    return n"
SHADOW = "size = 3\n\ndef cut(t):\n    return t[:size]\n\ncut('abc')"
QUIET: Data = {"tags": ["nbval-ignore-output"], "labkit": {"why": "sampled text"}}

BAD: list[tuple[str, Spoil]] = [
    ("counts_run_from_one", lambda cells: find(cells, "draw(").update(UNRUN)),
    ("cells_are_plain_python", add(s.code("%timeit 1"))),
    ("cells_are_plain_python", add(s.code("!ls"))),
    ("cells_are_plain_python", add(s.code("# only a comment"))),
    ("cells_are_plain_python", add(s.code("# NBVAL_SKIP\n1"))),
    ("cells_are_plain_python", add(s.code("x = 1  # NBVAL_IGNORE_OUTPUT"))),
    ("outputs_hold_something", shown(s.result(image_png=s.PNG))),
    ("outputs_hold_something", shown(s.result(text_plain=" "))),
    ("outputs_hold_something", shown(s.result(text_plain="x", **{"application_json": "{}"}))),
    ("outputs_hold_something", add(s.code("1", {**s.result(), "data": {}}))),
    ("no_errors", shown(s.error())),
    ("no_errors", mark("draw(", tags=["raises-exception"])),
    ("no_trailing_semicolon", swap("draw(", 'draw("ab")', 'draw("ab");')),
    ("no_trailing_semicolon", swap("draw(", 'draw("ab")', 'draw("ab");  # quiet')),
    ("no_absolute_path", shown(s.printed("/home/ann/book"))),
    ("no_absolute_path", shown(s.printed("in '/tmp/x'"))),
    ("no_absolute_path", shown(s.result(text_html="<i>/Users/ann</i>", text_plain="x"))),
    ("no_absolute_path", shown(s.printed(r"C:\\Users"))),
    ("no_absolute_path", swap("draw(", "ab", "/root/x")),
    ("no_addresses", shown(s.printed("<object at 0x7f3a5c>"))),
    ("no_addresses", shown(s.result(text_plain="0x7f3a5c0012"))),
    ("nothing_remote", shown(s.result(text_html="<img src='//x.org/a'>", text_plain="x"))),
    ("nothing_remote", shown(s.printed("see https://x.org"))),
    ("nothing_remote", add(s.text("![a](https://x.org/a.png)"))),
    ("nothing_remote", add(s.text("<iframe src='a'></iframe>"))),
    ("no_stderr", shown(s.printed("warning", name="stderr"))),
    ("pictures_speak", shown(s.picture("A picture of two bars, a and b, that are tall."))),
    ("pictures_speak", shown(s.picture("Picture: two bars."))),
    ("pictures_speak", shown(s.picture(png="AAAA"))),
    ("pictures_speak", shown(s.result(text_plain=s.SAYS))),
    ("pictures_speak", shown(s.result(text_plain=s.SAYS, image_png=s.PNG, text_html="x"))),
    ("pictures_present", lambda cells: [c.update(outputs=[]) for c in cells if "outputs" in c]),
    ("pictures_present", add(*[s.code("1") for _ in range(13)])),
    ("small_file", shown(s.printed("x" * 1_000_000))),
    ("tags_are_known", mark("draw(", tags=["nbval-skip"])),
    ("tags_are_known", mark("## Letters", tags=["note"])),
    ("ignored_outputs_are_few", mark("draw(", tags=["nbval-ignore-output"])),
    ("ignored_outputs_are_few", mark("draw(", **QUIET | {"labkit": {"why": " "}})),
    ("ignored_outputs_are_few", add(*[s.code("1", **QUIET) for _ in range(3)])),
    ("approximate_beside_claim", swap("claim(", 'claim("one is one", 1 == 1)', "print(1)")),
    ("few_digits", shown(s.printed("0.12345"))),
    ("few_digits", shown(s.result(text_plain="tensor([12.3456, 1.0])"))),
    ("few_digits", shown(s.printed("≈ 1.2345e-05"))),
    ("few_digits", shown(s.result(text_html="<td>1,234.5</td>", text_plain="x"))),
    ("cells_are_short", add(s.code(LONG))),
    ("cells_are_short", add(*[s.code("\n".join("1234567")) for _ in range(30)])),
    ("cells_are_short", add(*[s.code("1\n" * 15) for _ in range(3)])),
    ("lines_are_narrow", add(s.code("x = '" + "a" * 90 + "'"))),
    ("code_runs_are_short", add(s.code("1"), s.code("2"), s.code("3"))),
    ("prose_outweighs_code", add(*[s.code("1\n" * 5) for _ in range(20)])),
    ("code_is_introduced", add(s.text("## Only a heading"), s.code("1"))),
    ("code_is_introduced", add(s.text("| a | table with words. |"), s.code("1"))),
    ("code_is_introduced", add(s.text("```\nsome text in a fence.\n```"), s.code("1"))),
    ("code_is_introduced", lambda cells: cells.pop(0)),
    ("title_promises", swap("# 12", "?", ".")),
    ("title_promises", swap("# 12", "able to", "going to")),
    ("title_promises", swap("# 12", "You need", "Bring")),
    ("title_promises", swap("# 12", "30 minutes", "31 minutes")),
    ("title_promises", swap("# 12", "20 seconds", "21 seconds")),
    ("title_promises", swap("setup(", "=20", "=25")),
    ("setup_is_short", swap("setup(", '"12"', '"13"')),
    ("setup_is_short", mark("setup(", tags=[])),
    ("setup_is_short", mark("draw(", tags=["setup"])),
    ("setup_is_short", swap("setup(", "\n\n", "\na = 1\nb = 2\nc = 3\nd = 4\ne = 5\n")),
    ("time_is_bounded", swap("setup(", "=20", "=121")),
    ("time_is_bounded", swap("setup(", ", cpu_seconds=20", "")),
    ("time_is_bounded", swap("chapter.finish()", "chapter.finish()", "chapter")),
    ("vocabulary_comes_early", drop("| term |")),
    ("vocabulary_comes_early", swap("| term |", "\n| c | `c` |", "")),
    ("vocabulary_comes_early", swap("| term |", "| c |", "| c |\n| d |\n| e |\n| f |\n| g |")),
    ("vocabulary_comes_early", lambda cells: cells.insert(6, cells.pop(2))),
    ("reader_predicts", mark("draw(", tags=[])),
    ("ends_well", swap("What we built", "What we built", "Summary")),
    ("ends_well", swap("What we built", "`labkit.ngram`", "a module")),
    ("ends_well", swap("Further", "- three\n", "")),
    ("ends_well", swap("Further", "- three", "- three\n- four")),
    ("league_has_its_row", mark("league()", tags=[])),
    ("league_has_its_row", store("league()")),
    ("exercises_are_enough", drop("Because.")),
    ("exercises_are_enough", add(*[c for n in "abcd" for c in s.exercise(n)])),
    ("one_exercise_is_not_code", drop("Because.")),
    ("grade_ids_are_unique", grade("def my_last", grade_id="next_one-answer")),
    ("grade_ids_are_unique", grade("def my_last", schema_version=2)),
    ("grade_ids_are_unique", grade("def my_last", grade_id="")),
    ("answers_have_tests", drop("last_one.grade(")),
    ("answers_have_tests", drop("def my_last")),
    ("answers_have_tests", grade("def my_last", locked=True)),
    ("answers_have_tests", grade("last_one.grade(", points=0)),
    ("answers_have_tests", grade("last_one.grade(", locked=False)),
    ("answers_have_tests", grade("Because.", locked=True)),
    ("answers_have_tests", grade("Because.", grade=False)),
    ("answers_are_marked", swap("def my_last", "### END SOLUTION", "### END")),
    ("answers_are_marked", swap("def my_last", "### BEGIN SOLUTION", "### END SOLUTION")),
    ("answers_are_marked", add(s.code("### BEGIN SOLUTION\n1\n### END SOLUTION"))),
    ("answers_are_marked", add(s.code("### BEGIN HIDDEN TESTS\n1\n### END HIDDEN TESTS"))),
    ("answers_are_checked", swap("def my_last", "check.last_one(my_last_one)", "1")),
    ("answers_are_checked", swap("def my_last", "check.last_one(my_last_one)", "check.x(1)")),
    ("answers_are_checked", swap("def my_last", "my_last_one", "your_last_one")),
    ("graders_look_at_the_learner", swap("last_one.grade(", "my_last_one", "last_one")),
    ("graders_look_at_the_learner", swap("last_one.grade(", "(my_", "(last_one, my_")),
    ("headers_say_what_is_asked", swap("### last_one", "●●○ · importance ●○○", "importance")),
    ("headers_say_what_is_asked", swap("### last_one", "importance", "weight")),
    ("headers_say_what_is_asked", swap("### last_one", "minutes", "min")),
    ("headers_say_what_is_asked", swap("### last_one", "<details>", "<p>")),
    ("headers_say_what_is_asked", swap("### Why", "●○○ · importance ●●○", "importance")),
    ("definitions_are_used", add(s.code(UNUSED), s.code("1"))),
    ("definitions_are_used", add(s.code("def deep(n):\n    return deep(n - 1)"))),
    ("definitions_are_used", add(s.code("class Idle:\n    x = 1"))),
    ("defines_once", add(s.code(DEFINED), s.code(DEFINED))),
    ("nothing_is_rebound", add(s.code(SHADOW), s.code("size = 4"))),
    ("nothing_is_rebound", add(s.code(SHADOW), s.code("for size in 'ab':\n    pass"))),
    ("nothing_is_rebound", add(s.code(SHADOW), s.code("size += 1"))),
    ("nothing_is_rebound", add(s.code(SHADOW), s.code("print([size := n for n in 'ab'])"))),
    ("nothing_is_rebound", add(s.code("def f(t):\n    return len(t)\n\nlen = f"))),
    ("copies_nothing", add(s.code(COPY + "\ntally('ab', 1)"))),
    ("takes_no_public_name", add(s.code("class GPT:\n    x = 1\n\nGPT()"))),
    ("nothing_before_it_is_built", add(s.code("from labkit.gpt import GPT"))),
    ("nothing_before_it_is_built", add(s.code("from labkit import gpt\n\ngpt.GPT()"))),
    ("nothing_before_it_is_built", add(s.code("import labkit.gpt\n\nlabkit.gpt.GPT()"))),
    ("nothing_before_it_is_built", add(s.code("import labkit.gpt as g\n\ng.GPT()"))),
    ("nothing_before_it_is_built", add(s.code("from labkit.metrics import *"))),
    ("shows_what_stands", add(showing("bits_per_char(text): ..."))),
]

WELL: list[Spoil] = [
    shown(s.printed("12 of 34,567 at 0.0012 (1e-06), version 2.13.0"), s.picture()),
    shown(s.printed("≈ 1.25"), s.result(text_plain="ok", text_html="<i>0x1F600</i>"), s.picture()),
    shown(
        s.result(text_markdown="```python\nx = 0.044715\n```", text_plain="x = 0.044715"),
        s.picture(),
    ),
    shown(s.printed("work/00_start_here.ipynb and 3/4, and/or"), s.picture()),
    add(s.code("1", **QUIET), s.code("2")),
    add(s.code("int('x')", s.error(), tags=("raises-exception",))),
    add(s.code("print('a;b')", s.printed("a;b"))),
    add(s.code(SHADOW), s.code("from os import path\n\nother = [size for size in 'ab']")),
    add(s.code("from labkit.ngram import count_ngrams\n\ncount_ngrams('ab', 1)")),
    add(s.code("from labkit.metrics import bits_per_char")),
    add(showing("bits_per_char(): ...")),
    add(s.text("A sentence.\n\n$$x$$"), s.text("And another, right before it:"), s.code("1")),
]


def spoiled(spoil: Spoil) -> Notebook:
    cells = s.good_cells()
    spoil(cells)
    return s.chapter(cells)


@pytest.mark.parametrize("rule", RULES)
def test_good_chapter_keeps(rule: str) -> None:
    assert RULES[rule](s.chapter(s.good_cells())) == []


@pytest.mark.parametrize("place", range(len(WELL)))
def test_harmless_change_keeps_all(place: int) -> None:
    chapter = spoiled(WELL[place])
    assert [told for rule in RULES.values() for told in rule(chapter)] == []


@pytest.mark.parametrize("place", range(len(BAD)), ids=lambda i: f"{i}-{BAD[i][0]}")
def test_bad_chapter_breaks(place: int) -> None:
    rule, spoil = BAD[place]
    assert RULES[rule](spoiled(spoil)) != []


def test_every_rule_has_a_bad_chapter() -> None:
    shown_elsewhere = {"is_canonical", "metadata_says_who"}
    assert {rule for rule, _ in BAD} | shown_elsewhere == set(RULES)


def test_a_file_that_was_edited_by_hand_is_not_canonical() -> None:
    good = s.chapter(s.good_cells()).text
    for bad in (
        good.replace('"outputs": []', '"outputs":[]', 1),
        good.rstrip("\n"),
        good.replace('"metadata": {}', '"metadata": {"collapsed": true}', 1),
        good.replace('"execution_count": 2', '"execution_count": 7', 1),
        good.replace('"cell_type": "markdown"', '"cell_type": "mark"', 1),
    ):
        assert bad != good
        assert RULES["is_canonical"](parse("12_counting", bad))


def test_a_result_with_another_number_is_seen() -> None:
    cells = [s.text(s.PROSE), s.code("1", s.result(text_plain="1"))]
    text = s.chapter(cells).text
    head, tail = text.rsplit('"execution_count": 1', 1)
    bad = parse("12_counting", f'{head}"execution_count": 1{tail}'.replace(": 1", ": 2", 1))
    assert RULES["counts_run_from_one"](bad)


@pytest.mark.parametrize(
    ("name", "metadata"),
    [
        ("12_counting", {"kernelspec": {"name": "xpython"}, "labkit": {"chapter": "12"}}),
        ("12_counting", {"labkit": {"chapter": "12", "minutes": 30}}),
        ("12_counting", {"kernelspec": {"name": "python3"}}),
        ("12_counting", {"kernelspec": {"name": "python3"}, "labkit": {"chapter": "13"}}),
        ("counting", {"kernelspec": {"name": "python3"}, "labkit": {"chapter": "counting"}}),
    ],
)
def test_metadata_must_say_who(name: str, metadata: Data) -> None:
    assert RULES["metadata_says_who"](s.chapter(s.good_cells(), name, metadata))


def test_no_two_chapters_share_a_name_or_code() -> None:
    body = "def {}(text):\n    return [text[i : i + 2].upper() for i in range(len(text) - 1)]"
    one = s.chapter([s.code(body.format("pairs"))], "11_a")
    renamed = s.chapter([s.code(body.format("twos"))], "12_b")
    same_name = s.chapter([s.code("def pairs(): ...")], "12_b")
    other = s.chapter([s.code("def other(): ...")], "12_b")
    assert nothing_twice_in_the_course([one, renamed])
    assert nothing_twice_in_the_course([one, same_name])
    assert nothing_twice_in_the_course([one, other]) == []


def test_time_and_numbers_of_the_whole_course() -> None:
    chapters = [s.chapter(s.good_cells(), f"{n:02d}_x") for n in range(75)]
    assert time_together(chapters) == []  # 75 × 20 = 1,500
    assert time_together([*chapters, chapters[0]])
    assert chapters_are_numbered_once(chapters) == []
    assert chapters_are_numbered_once(chapters[1:])
    assert chapters_are_numbered_once([*chapters, chapters[3]])


def test_chapter_00_may_use_what_is_built_later() -> None:
    early = s.chapter([s.code("from labkit.gpt import GPT")], "00_start_here")
    assert RULES["nothing_before_it_is_built"](early) == []
