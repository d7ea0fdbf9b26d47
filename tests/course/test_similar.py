"""Pairs of similar answers: copies in disguise are found, what the task explains is not."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from classroom.similar import similar_pairs
from labkit.course.exam import Exam, read_exam
from labkit.course.settings import Assignment, Course
from tests.course.independent import ANSWERS

INDEPENDENT = {
    f"student{i}": {name: texts[i] for name, texts in ANSWERS.items() if i < len(texts)}
    for i in range(6)
}
COPY = """
def my_kneser_ney(counts: np.ndarray, discount: float) -> np.ndarray:
    "Entirely my own work."
    M = counts.shape[0]
    back = np.zeros(M)   # how many came before

    for col in range(M):
        for row in range(M):
            if (counts[row, col] > 0): back[col] += 1
    back = back / back.sum()
    answer = np.zeros(( M, M ))
    for row in range(M):
        S = sum(counts[row])
        if S == 0:
            answer[row] = back; continue
        different = sum( 1 for v in counts[row] if v > 0 )
        weight = (discount * different / S)
        for col in range(M):
            answer[row, col] = (
                max(counts[row, col] - discount, 0) / S
                + weight * back[col]
            )
    return answer
"""
"""The answer of student2, renamed, reformatted and commented."""


@pytest.fixture(scope="module")
def exam() -> Exam:
    assignment = Assignment(name="12", deadline=datetime(2027, 3, 1, tzinfo=UTC))
    return read_exam(Course(folder=Path(), title="", seed="0123456789abcdef"), assignment)


@pytest.mark.parametrize("name", ANSWERS)
def test_the_independent_answers_are_right(exam: Exam, name: str) -> None:
    exercise = exam.question(name).exercise
    assert exercise
    for source in ANSWERS[name]:
        space = {"np": np}
        exec(source, space)
        assert exercise.passes(space[exercise.name], seed=3), source  # type: ignore[arg-type]


def test_independent_answers_are_not_listed(exam: Exam) -> None:
    assert similar_pairs(INDEPENDENT, exam) == []
    alike = similar_pairs(INDEPENDENT, exam, alike=0, fewest=20)
    assert len(alike) > 20, "they were compared"
    assert max(pair.share for pair in alike) < 0.5, "they are far from the threshold"


def test_a_copy_that_is_renamed_and_reformatted_is_listed(exam: Exam) -> None:
    found = similar_pairs(INDEPENDENT | {"copier": {"kneser-ney-answer": COPY}}, exam)
    assert [pair.students for pair in found] == [("copier", "student2")]
    assert found[0].question == "kneser-ney-answer"
    assert found[0].share > 0.9
    assert found[0].shared > 80


def test_a_copy_with_lines_of_its_own_is_listed(exam: Exam) -> None:
    more = COPY.replace("    return answer", "    check = answer.sum(axis=1)\n    return answer")
    more = more.replace("    back = back / back.sum()", "    back /= np.sum(back)")
    found = similar_pairs(INDEPENDENT | {"copier": {"kneser-ney-answer": more}}, exam)
    assert [pair.students for pair in found] == [("copier", "student2")]


def test_what_a_third_of_the_class_has_is_no_sign(exam: Exam) -> None:
    few = {f"copier{i}": {"kneser-ney-answer": COPY} for i in range(2)}
    assert len(similar_pairs(INDEPENDENT | few, exam)) == 3
    many = {f"copier{i}": {"kneser-ney-answer": COPY} for i in range(9)}
    assert similar_pairs(INDEPENDENT | many, exam) == []


def test_what_the_notebook_gives_is_no_sign(exam: Exam) -> None:
    given = [cell.source for cell in exam.cells if cell.kind == "code" and not cell.is_answer]
    longest = "\n".join(sorted(given, key=len)[-3:])
    assert similar_pairs({"a": {"copy-answer": longest}, "b": {"copy-answer": longest}}, exam) == []
    solution = exam.cells[exam.question("kneser-ney-answer").cell].source
    both = {name: {"kneser-ney-answer": solution} for name in "ab"}
    assert len(similar_pairs(both, exam)) == 1, "the teacher's solution is not given"


def test_short_answers_say_nothing(exam: Exam) -> None:
    short = "def my_bits_per_char(log_probs, n_chars):\n    return -sum(log_probs) / math.log(2)\n"
    assert similar_pairs({name: {"bits-answer": short} for name in "ab"}, exam) == []
    assert similar_pairs({name: {} for name in "ab"}, exam, fewest=0) == []


def test_written_answers_are_compared_by_words(exam: Exam) -> None:
    text = " ".join(f"word{i} and its neighbour" for i in range(20))
    chinese = "".join(chr(0x4E00 + 7 * i) for i in range(60))
    answers = {
        "a": {"better-model": text},
        "b": {"better-model": f"I think: {text.upper()}."},
        "c": {"better-model": chinese},
        "d": {"better-model": f"我想，{chinese}。"},
    }
    found = similar_pairs(answers, exam)
    assert [pair.students for pair in found] == [("a", "b"), ("c", "d")]


@pytest.mark.parametrize(
    "source",
    ["(" * 9000, "'" * 9001, '"""' + "a" * 9000, "%a\n" * 600, "a\0b", "x = '\ud800'", "  a\n b"],
)
def test_hostile_answers_are_read_without_an_error(exam: Exam, source: str) -> None:
    assert similar_pairs({"a": {"copy-answer": source}, "b": {"copy-answer": source}}, exam) == []


def test_the_most_shared_come_first(exam: Exam) -> None:
    both = {"copy-answer": ANSWERS["copy-answer"][2], "kneser-ney-answer": COPY}
    found = similar_pairs({"a": both, "b": both}, exam)
    assert [pair.question for pair in found] == ["kneser-ney-answer", "copy-answer"]
    assert found[0].shared > found[1].shared


def test_comments_and_docstrings_do_not_count(exam: Exam) -> None:
    bare = COPY.replace('"Entirely my own work."', "").replace("# how many came before", "")
    talk = COPY.replace("\n        ", '\n        """Now\n this."""\n        # mine\n        ')
    answers = {"a": {"kneser-ney-answer": bare}, "b": {"kneser-ney-answer": talk}}
    (pair,) = similar_pairs(answers, exam)
    assert pair.share == 1
