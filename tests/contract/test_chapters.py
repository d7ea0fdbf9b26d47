"""Every chapter and problem set against every rule, each pair a test of its own."""

import pytest

from labkit.recorded import read_recording
from tests.contract.execute import TIMES
from tests.contract.library import read_library
from tests.contract.reading import Notebook, assignment_paths, paths, read
from tests.contract.rules import CHAPTERS_ONLY, COURSE_RULES, EXCEPTIONS, all_rules
from tests.contract.rules_anatomy import declared_seconds
from tests.contract.rules_code import nothing_twice_in_the_course

CHAPTERS = {path.stem: path for path in paths()}
ASSIGNMENTS = {path.stem: path for path in assignment_paths()}
RULES = all_rules(read_library())


def test_there_are_chapters() -> None:
    assert CHAPTERS, "notebooks/ holds no chapter, so nothing was checked"
    assert ASSIGNMENTS, "notebooks/assignments/ holds no problem set"


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", CHAPTERS)
def test_chapter_keeps(name: str, rule: str) -> None:
    notebook = read(CHAPTERS[name])
    if (notebook.chapter, rule) not in EXCEPTIONS:
        told = RULES[rule](notebook)
        assert not told, "\n".join([name, *told])


@pytest.mark.parametrize(("number", "rule"), EXCEPTIONS)
def test_exception_is_needed(number: str, rule: str) -> None:
    chapters = [read(path) for path in CHAPTERS.values() if path.stem.startswith(f"{number}_")]
    assert chapters, f"an exception for chapter {number}, which does not exist"
    assert RULES[rule](chapters[0]), f"chapter {number} keeps {rule}: take the exception out"


@pytest.mark.parametrize("rule", COURSE_RULES, ids=lambda rule: rule.__name__)
def test_course_keeps(rule: object) -> None:
    assert callable(rule)
    notebooks: list[Notebook] = [read(path) for path in CHAPTERS.values()]
    told = rule(notebooks)
    assert not told, "\n".join(told)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule not in CHAPTERS_ONLY])
@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_problem_set_keeps(name: str, rule: str) -> None:
    told = RULES[rule](read(ASSIGNMENTS[name]))
    assert not told, "\n".join([name, *told])


def test_what_problem_sets_need_not_keep_are_rules() -> None:
    assert CHAPTERS_ONLY.keys() <= RULES.keys()


def test_problem_sets_repeat_no_code_of_the_course() -> None:
    every = [*CHAPTERS.values(), *ASSIGNMENTS.values()]
    told = nothing_twice_in_the_course([read(path) for path in every])
    assert not told, "\n".join(told)


def test_times_are_recorded_as_declared() -> None:
    """The README's table is made of these; `make notebooks` writes them."""
    rows = read_recording(TIMES.stem, TIMES.parent).rows
    recorded = {row["file"]: float(row["cpu_seconds_declared"]) for row in rows}
    every = [*CHAPTERS.values(), *ASSIGNMENTS.values()]
    declared = {path.name: declared_seconds(read(path)) for path in every}
    assert recorded == declared
