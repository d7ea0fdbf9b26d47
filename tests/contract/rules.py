"""Every rule that a chapter keeps, by name, and the few exceptions, each with its reason."""

from collections.abc import Callable, Sequence
from functools import partial

from tests.contract import (
    rules_anatomy,
    rules_budgets,
    rules_code,
    rules_exercises,
    rules_outputs,
)
from tests.contract.library import Library
from tests.contract.reading import Notebook

Rule = Callable[[Notebook], list[str]]
"""From a chapter to what is wrong with it, one sentence each; pure."""

PLAIN_RULES: tuple[Rule, ...] = (
    rules_outputs.is_canonical,
    rules_outputs.counts_run_from_one,
    rules_outputs.cells_are_plain_python,
    rules_outputs.outputs_hold_something,
    rules_outputs.no_errors,
    rules_outputs.no_trailing_semicolon,
    rules_outputs.no_absolute_path,
    rules_outputs.no_addresses,
    rules_outputs.nothing_remote,
    rules_outputs.no_stderr,
    rules_outputs.pictures_speak,
    rules_outputs.pictures_present,
    rules_outputs.small_file,
    rules_outputs.tags_are_known,
    rules_outputs.ignored_outputs_are_few,
    rules_outputs.approximate_beside_claim,
    rules_outputs.few_digits,
    rules_budgets.cells_are_short,
    rules_budgets.lines_are_narrow,
    rules_budgets.code_runs_are_short,
    rules_budgets.prose_outweighs_code,
    rules_budgets.code_is_introduced,
    rules_anatomy.metadata_says_who,
    rules_anatomy.title_promises,
    rules_anatomy.setup_is_short,
    rules_anatomy.time_is_bounded,
    rules_anatomy.vocabulary_comes_early,
    rules_anatomy.reader_predicts,
    rules_anatomy.ends_well,
    rules_anatomy.league_has_its_row,
    rules_exercises.exercises_are_enough,
    rules_exercises.one_exercise_is_not_code,
    rules_exercises.grade_ids_are_unique,
    rules_exercises.answers_have_tests,
    rules_exercises.answers_are_marked,
    rules_exercises.answers_are_checked,
    rules_exercises.graders_look_at_the_learner,
    rules_exercises.headers_say_what_is_asked,
    rules_code.definitions_are_used,
    rules_code.defines_once,
    rules_code.nothing_is_rebound,
)
LIBRARY_RULES: tuple[Callable[..., list[str]], ...] = (
    rules_code.copies_nothing,
    rules_code.takes_no_public_name,
    rules_code.nothing_before_it_is_built,
    rules_code.shows_what_stands,
)

EXCEPTIONS: dict[tuple[str, str], str] = {
    ("00", "exercises_are_enough"): "shows how exercises work with one sample",
    ("00", "one_exercise_is_not_code"): "its one sample is code",
    ("00", "league_has_its_row"): "the league's first rows are earned in chapter 12",
    ("11", "league_has_its_row"): "builds tokenizers; the league's first rows are those of 12",
    ("11", "nothing_before_it_is_built"): "measures vocabularies by the n-grams that 00 has shown",
    ("31", "league_has_its_row"): "31 has no model of its own to enter",
    ("32", "league_has_its_row"): "32 compares small stacks with one another and enters none",
    ("52", "league_has_its_row"): "answers are not scored in bits; its rows are the table of tasks",
}
"""(chapter, rule) and why the rule does not hold there. A test sees that each is needed."""

CHAPTERS_ONLY: dict[str, str] = {
    "metadata_says_who": "a problem set is called ps1 and has no number",
    "title_promises": "it promises hours to work and not minutes to read",
    "ends_well": "it builds nothing in labkit",
    "league_has_its_row": "its models are the students' own",
    "exercises_are_enough": "it may have more than six",
    "nothing_before_it_is_built": "its number says nothing about what was read before it",
}
"""Rules that a problem set need not keep, each with its reason; it keeps all others."""


def all_rules(library: Library) -> dict[str, Rule]:
    """Every rule by its name, those about labkit bound to one reading of it."""
    rules = {rule.__name__: rule for rule in PLAIN_RULES}
    return rules | {rule.__name__: partial(rule, library=library) for rule in LIBRARY_RULES}


def time_together(notebooks: Sequence[Notebook]) -> list[str]:
    """All chapters together declare at most 1,500 CPU-seconds."""
    most = rules_anatomy.MOST_CPU_SECONDS_TOGETHER
    total = sum(rules_anatomy.declared_seconds(notebook) or 0 for notebook in notebooks)
    return [f"{total:g} CPU-seconds together, at most {most:,}"] if total > most else []


def chapters_are_numbered_once(notebooks: Sequence[Notebook]) -> list[str]:
    """No two chapters have the same number, and none is missing at the start."""
    numbers = [notebook.chapter for notebook in notebooks]
    told = [f"chapter {n} exists twice" for n in sorted(set(numbers)) if numbers.count(n) > 1]
    return told if "00" in numbers else [*told, "there is no chapter 00"]


COURSE_RULES: tuple[Callable[[Sequence[Notebook]], list[str]], ...] = (
    rules_code.nothing_twice_in_the_course,
    time_together,
    chapters_are_numbered_once,
)
