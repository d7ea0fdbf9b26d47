"""The framework of the exercises: what a learner may hand in, and what it is told."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from labkit.checks import GRADING_SEED, VISIBLE_SEED, Exercise


def shares(counts: list[int]) -> list[float]:
    """Divide each count by their sum."""
    return [count / sum(counts) for count in counts]


def lists_of_counts(random: np.random.Generator) -> Iterator[tuple[list[int]]]:
    for length in range(1, 5):
        yield (random.integers(1, 9, size=length).tolist(),)


EXERCISE = Exercise(
    name="my_shares",
    points=3,
    reference=shares,
    cases=lists_of_counts,
    wrong=(lambda counts: counts,),
    tolerance=1e-9,
)


def returns_nothing(counts: list[int]) -> None:
    shares(counts)


def not_written(counts: list[int]) -> list[float]:
    raise NotImplementedError("replace this line")


def too_large(counts: list[int]) -> list[float]:
    return [count / sum(counts) + 0.25 * (i == 1) for i, count in enumerate(counts)]


def clears(counts: list[int]) -> list[float]:
    result = shares(counts)
    counts.clear()
    return result


def adds(x: float, y: float) -> float:
    return x + y


def test_a_right_answer_passes_earns_the_points_and_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def mine(counts: list[int]) -> np.ndarray:
        return np.array(counts) / np.sum(counts)

    assert EXERCISE(mine) is mine
    assert capsys.readouterr().out == "my_shares: within 1e-09 of ours in all 4 cases.\n"
    assert EXERCISE.grade(mine) == 3
    assert capsys.readouterr().out == "my_shares: 3 of 3 points\n"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (not_written, "not written yet"),
        (returns_nothing, "returned None: is there a `return`"),
        (lambda counts: counts[99], r"IndexError: list index .* in a call with \(\[\d\],\)"),
        (lambda: [], "TypeError: .* takes 0 positional arguments"),
        (lambda counts: [*shares(counts), 0.0], r"shape \(2,\) ≠ shape \(1,\)"),
        (lambda counts: [float("nan")] * len(counts), "nan ≠ 1"),
        (lambda counts: "a half", "'a half' ≠"),
        (lambda counts: [[1.0], [1.0, 2.0]], "not an array of numbers"),
        (lambda counts: object(), "not an array of numbers"),
        (lambda counts: shares, "not an array of numbers"),
        (lambda counts: {"a": np.ones(2)}, "≠"),
        (too_large, r"In my_shares\(\[\d, \d\]\), yours ≠ ours: .* at \(1,\)\."),
    ],
)
def test_a_wrong_answer_is_told_why_and_the_chapter_goes_on_with_ours(
    answer: Callable[..., Any], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert EXERCISE(answer) is shares
    printed = capsys.readouterr().out
    assert printed.startswith("my_shares: ")
    assert printed.endswith("The chapter goes on with ours.\n")
    report = EXERCISE.report(answer, VISIBLE_SEED)
    assert not report.passed
    assert re.search(told, report.text), report.text
    assert EXERCISE.grade(answer) == 0
    assert capsys.readouterr().out == "my_shares: 0 of 3 points\n"


def test_the_first_case_that_differs_is_shown_with_its_arguments() -> None:
    (first, *_) = lists_of_counts(np.random.default_rng(VISIBLE_SEED))
    report = EXERCISE.report(lambda counts: [0.5] * len(counts), VISIBLE_SEED)
    assert report.text == (
        f"my_shares: not yet. In my_shares({first[0]}), yours ≠ ours: 0.5 ≠ 1 at (0,)."
    )


def test_an_answer_that_changes_its_arguments_changes_nothing_else() -> None:
    assert EXERCISE.passes(clears, VISIBLE_SEED)
    # Arguments are the same object in every case here: what an answer does to it must not last.
    shared = [2, 6]
    exercise = Exercise(
        name="my_shares",
        points=1,
        reference=shares,
        cases=lambda random: iter([(shared,)] * 3),
        wrong=(),
    )
    assert exercise.passes(clears, VISIBLE_SEED)
    assert shared == [2, 6]


def test_a_reference_that_changes_its_arguments_does_not_change_the_learner_s() -> None:
    exercise = Exercise(
        name="my_shares",
        points=1,
        reference=clears,
        cases=lambda random: iter([([2, 6],)]),
        wrong=(),
    )
    assert exercise.passes(shares, VISIBLE_SEED)


@pytest.mark.parametrize("strange", [{"a": np.ones(2)}, {"a": None}, [], "a", {1: 0.5}])
def test_whatever_a_learner_returns_is_a_wrong_answer_and_never_a_crash(strange: Any) -> None:
    exercise = Exercise(
        name="my_table",
        points=1,
        reference=lambda: {"a": 0.5},
        cases=lambda random: iter([()]),
        wrong=(),
    )
    assert exercise.passes(lambda: {"a": 0.5}, VISIBLE_SEED)
    assert not exercise.passes(lambda: strange, VISIBLE_SEED)


def exercise_that_gives(value: Any) -> Exercise:
    return Exercise(
        name="my_value",
        points=1,
        reference=lambda: value,
        cases=lambda random: iter([()]),
        wrong=(),
    )


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        (["a", "b"], ("a", "b")),
        ([0.5, 1.0], (np.float64(0.5), 1)),
        (0.5, torch.tensor(0.5)),
        (np.ones((2, 2)), [torch.ones(2), (1, 1)]),
        (np.array([True, False]), [True, np.bool_(False)]),
        (np.eye(2, dtype=bool), torch.eye(2, dtype=torch.bool)),
        (np.eye(2, dtype=bool), [torch.eye(2, dtype=torch.bool)[i] for i in range(2)]),
    ],
)
def test_what_a_right_answer_is_kept_in_does_not_matter(expected: Any, got: Any) -> None:
    assert exercise_that_gives(expected).report(lambda: got, VISIBLE_SEED).passed


@pytest.mark.parametrize("got", [np.eye(2), np.eye(2, dtype=int), [[1, 0], [0, 1]], torch.eye(2)])
def test_numbers_are_no_mask(got: Any) -> None:
    report = exercise_that_gives(np.eye(2, dtype=bool)).report(lambda: got, VISIBLE_SEED)
    assert not report.passed
    assert "as numbers" in report.text


def test_the_tolerance_is_the_largest_difference_that_passes() -> None:
    exercise = Exercise(
        name="my_sum",
        points=1,
        reference=adds,
        cases=lambda random: iter([(1.0, 2.0)]),
        wrong=(),
        tolerance=0.5,
    )
    assert exercise.passes(lambda x, y: 3.5, VISIBLE_SEED)
    assert not exercise.passes(lambda x, y: 3.51, VISIBLE_SEED)


def test_without_a_tolerance_only_the_exact_answer_passes() -> None:
    exercise = Exercise(
        name="my_sum",
        points=1,
        reference=adds,
        cases=lambda random: iter([(1.0, 2.0)]),
        wrong=(),
    )
    assert exercise.report(adds, VISIBLE_SEED).text == "my_sum: exact in all 1 cases."
    assert not exercise.passes(lambda x, y: np.nextafter(3.0, 4.0), VISIBLE_SEED)


def test_grading_uses_other_cases_than_the_visible_ones() -> None:
    known = {
        tuple(counts): shares(counts)
        for (counts,) in lists_of_counts(np.random.default_rng(VISIBLE_SEED))
    }
    memorised = lambda counts: known[tuple(counts)]  # noqa: E731
    assert EXERCISE.passes(memorised, VISIBLE_SEED)
    assert not EXERCISE.passes(memorised, GRADING_SEED)
    assert EXERCISE.grade(memorised) == 0


def test_a_seed_always_gives_the_same_report() -> None:
    first, second = (EXERCISE.report(too_large, seed=7) for _ in range(2))
    assert first == second


def test_an_exercise_without_cases_passes_nobody() -> None:
    exercise = Exercise(
        name="my_sum", points=1, reference=adds, cases=lambda random: iter([]), wrong=()
    )
    assert not exercise.passes(adds, VISIBLE_SEED)
    assert exercise.grade(adds) == 0


def test_an_answer_that_returns_nothing_is_right_where_ours_does() -> None:
    exercise = Exercise(
        name="my_none",
        points=1,
        reference=lambda: None,
        cases=lambda random: iter([()]),
        wrong=(),
    )
    assert exercise.passes(lambda: None, VISIBLE_SEED)
    assert not exercise.passes(lambda: 0, VISIBLE_SEED)


def test_long_arguments_are_cut_in_the_message() -> None:
    exercise = Exercise(
        name="my_sum",
        points=1,
        reference=sum,
        cases=lambda random: iter([(list(range(1000)),)]),
        wrong=(),
    )
    text = exercise.report(lambda values: 0, VISIBLE_SEED).text
    assert "…" in text
    assert len(text) < 200
