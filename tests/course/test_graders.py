"""The graders, graded: what is right earns everything, in whatever style; what is not, nothing."""

import ast
import importlib
import inspect
import itertools
import json
import symtable
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from labkit.checks import VISIBLE_SEED
from labkit.course.stage import PACKAGES
from tests.contract.reading import assignment_paths, paths
from tests.contract.test_checks import EXERCISES, code_shape, earned, every_exercise
from tests.course.answers import Given, read_answers, stolen

FEWEST_STYLES = 2
RIGHT, LAZY, STOLEN = read_answers("right"), read_answers("lazy"), stolen()


def each(answers: list[Given]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "given", answers, ids=[f"{given.chapter}-{given.name}" for given in answers]
    )


# ── Right answers ────────────────────────────────────────────────────────────────────────────────


@each(RIGHT)
def test_a_right_answer_in_another_style_earns_all_points(given: Given) -> None:
    report = given.exercise.report(given.function, VISIBLE_SEED)
    assert report.passed, report.text
    assert earned(given.exercise, given.function) == {given.exercise.points}


@every_exercise
def test_every_exercise_has_right_answers_that_are_different_programs(name: str) -> None:
    exercise = EXERCISES[name]
    chapter = name.split("-", maxsplit=1)[0]
    styles = [g for g in RIGHT if (g.chapter, g.asked) == (chapter, exercise.name)]
    assert len(styles) >= FEWEST_STYLES
    shapes = [code_shape(given.function.__code__) for given in styles]
    assert all(a != b for a, b in itertools.combinations(shapes, 2))


def test_every_answer_belongs_to_an_exercise_and_says_its_style() -> None:
    for given in RIGHT + LAZY:
        assert given.exercise.name == given.asked
        assert given.name != given.asked


@each(RIGHT + LAZY)
def test_an_answer_cell_defines_what_the_exercise_asks_for(given: Given) -> None:
    names: dict[str, Any] = {}
    exec(given.source, names)
    assert names[given.asked].__name__ == given.name


@each(RIGHT)
def test_right_answers_use_neither_labkit_nor_these_tests(given: Given) -> None:
    used = {name.split(".")[0] for name in imported(given.text).values()}
    assert not used & {"labkit", "tests", "tinyworld", "viewers", "experiments"}


# ── What is withheld while a teacher grades ──────────────────────────────────────────────────────


def find(name: str) -> tuple[Any, str, Any]:
    """Return the module or class that holds what a dotted name names, its last part, and it."""
    parts = name.split(".")
    for n in range(len(parts) - 1, 0, -1):
        try:
            owner: Any = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        for part in parts[n:-1]:
            owner = getattr(owner, part)
        return owner, parts[-1], inspect.getattr_static(owner, parts[-1])
    raise AssertionError(f"no module holds {name}")


def refuse(*arguments: Any, **named: Any) -> Any:
    raise NotImplementedError("withheld while grading")


def modules(name: str) -> list[str]:
    """The modules of a package that is withheld whole, and labkit's that passes it on, if any."""
    roots = [root for root in (name, f"labkit.{name}") if root in sys.modules]
    return [m for m in sys.modules for root in roots if f"{m}.".startswith(f"{root}.")]


def withhold(names: Iterable[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every function named raise, whoever holds it: their bodies, as in a staged labkit.

    A package cannot be imported any more.
    """
    for name in names:
        if packages := modules(name):
            for module in packages:
                monkeypatch.setitem(sys.modules, module, None)
            continue
        owner, attribute, function = find(name)
        if inspect.isclass(owner):
            monkeypatch.setattr(owner, attribute, refuse)
        else:
            monkeypatch.setattr(inspect.unwrap(function), "__code__", refuse.__code__)


@every_exercise
def test_a_withheld_name_is_a_package_or_a_function_with_source_where_it_is_defined(
    name: str,
) -> None:
    names = EXERCISES[name].withheld
    assert len(set(names)) == len(names)
    for dotted in names:
        if modules(dotted):
            assert dotted in PACKAGES
            continue
        owner, attribute, function = find(dotted)
        assert inspect.isfunction(function)
        assert attribute in inspect.getsource(inspect.unwrap(function))
        home = owner.__module__ if inspect.isclass(owner) else owner.__name__
        assert inspect.unwrap(function).__module__ == home
        assert not dotted.startswith("labkit.checks")


@each(LAZY)
def test_a_withheld_name_would_have_answered(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    assert earned(given.exercise, given.function) == {given.exercise.points}
    assert given.exercise.withheld
    withhold(given.exercise.withheld, monkeypatch)
    assert earned(given.exercise, given.function) == {0}
    assert earned(given.exercise, given.exercise.reference) == {given.exercise.points}


@each(STOLEN)
def test_the_reference_would_have_answered(given: Given) -> None:
    assert earned(given.exercise, given.function) == {given.exercise.points}


@every_exercise
def test_every_withheld_name_stops_a_lazy_answer(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exercise, chapter = EXERCISES[name], name.split("-", maxsplit=1)[0]
    mine = [g for g in LAZY if (g.chapter, g.asked) == (chapter, exercise.name)]
    for dotted in exercise.withheld:
        with monkeypatch.context() as patch:
            withhold([dotted], patch)
            assert any(earned(exercise, given.function) == {0} for given in mine), dotted


# ── What stands before an answer ─────────────────────────────────────────────────────────────────


def imported(source: str) -> dict[str, str]:
    """From each name that a program imports to what it stands for, such as "labkit.gpt.GPT"."""
    found: dict[str, str] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from tables(child)


def names_read(source: str) -> set[str]:
    """The global names that a program reads: no arguments, no variables of functions."""
    return {
        symbol.get_name()
        for table in tables(symtable.symtable(source, "cell", "exec"))
        for symbol in table.get_symbols()
        if symbol.is_referenced() and (symbol.is_global() or table.get_type() == "module")
    }


def names_bound(source: str) -> set[str]:
    top = symtable.symtable(source, "cell", "exec").get_symbols()
    return {s.get_name() for s in top if s.is_assigned() or s.is_imported() or s.is_namespace()}


def cells_needed(cells: list[str], answer: int) -> list[str]:
    """The cells that define what an answer reads, and what these read in turn."""
    chosen, needed = [], names_read(cells[answer])
    for cell in reversed(cells[:answer]):
        if needed & names_bound(cell):
            chosen.append(cell)
            needed |= names_read(cell)
    return chosen


def chapter_cells(chapter: str) -> list[str]:
    (path,) = (p for p in [*paths(), *assignment_paths()] if p.stem.split("_")[0] == chapter)
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def withheld_there(cells: list[str], withheld: Iterable[str]) -> set[str]:
    """Which of some dotted names, or of their classes, are used by some cells."""
    used = {
        dotted
        for cell in cells
        for name, dotted in imported("\n".join(cells)).items()
        if name in names_read(cell)
    }
    return {name for name in withheld for dotted in used if f"{name}.".startswith(f"{dotted}.")}


@every_exercise
def test_no_cell_that_an_answer_needs_uses_what_is_withheld(name: str) -> None:
    exercise, chapter = EXERCISES[name], name.split("-", maxsplit=1)[0]
    cells = chapter_cells(chapter)
    (answer,) = (i for i, cell in enumerate(cells) if f"def {exercise.name}(" in cell)
    assert withheld_there(cells_needed(cells, answer), exercise.withheld) == set()


def test_a_cell_that_uses_something_withheld_would_be_found() -> None:
    cells = [
        "from labkit.gpt import GPT\nmodel = GPT(config)",
        "size = model.n_parameters",
        "def my_size(model):\n    return size",
        "def my_other(model):\n    return model",
    ]
    assert withheld_there(cells_needed(cells, 2), ["labkit.gpt.GPT.__init__"])
    assert not withheld_there(cells_needed(cells, 2), ["labkit.gpt.GPTConfig"])
    assert not cells_needed(cells, 3)
