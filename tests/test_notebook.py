"""labkit.notebook: threads chosen in time, promises kept, and sentences that fail when untrue."""

import linecache
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labkit import notebook
from labkit.notebook import Chapter, Difference, claim, compare, same, setup, show

FINITE = st.floats(-1e6, 1e6)


def ran(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a Python of its own, where torch is not yet imported."""
    names = ("OMP_", "GOMP_", "MKL_", "OPENBLAS_", "LABKIT_", "TQDM_")
    free = {key: value for key, value in os.environ.items() if not key.startswith(names)}
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, env=free | environment, capture_output=True, text=True, check=False
    )


SEE_THREADS = """
import os
from labkit.notebook import setup
setup("12", cpu_seconds=5)
names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS", "TQDM_DISABLE")
print(*(os.environ.get(name) for name in names))
import torch
print(torch.get_num_threads())
"""


def test_outputs_are_stored_with_one_thread() -> None:
    assert ran(SEE_THREADS, LABKIT_STATIC="1").stdout.split() == ["passive", "0", "1", "1", "1"]


def test_a_reader_has_all_cores_and_threads_that_do_not_spin() -> None:
    told = ran(SEE_THREADS).stdout.split()
    assert told[:4] == ["passive", "0", "None", "None"]
    assert int(told[4]) == int(ran("import torch; print(torch.get_num_threads())").stdout)


def test_setup_after_torch_says_what_to_do_unless_the_choice_was_made() -> None:
    program = "import torch\nfrom labkit.notebook import setup\nsetup('12', cpu_seconds=5)"
    late = ran(program)
    assert late.returncode == 1
    assert "restart the kernel and run the set-up cell first" in late.stderr
    assert ran(program, OMP_WAIT_POLICY="passive", GOMP_SPINCOUNT="0").returncode == 0


def test_setup_twice_is_allowed() -> None:
    program = "from labkit.notebook import setup\nfor n in '12':\n    setup(n, cpu_seconds=5)\n"
    assert ran(f"{program}    import torch").returncode == 0


def test_setup_starts_the_clock_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "modules", {k: v for k, v in sys.modules.items() if k != "torch"})
    monkeypatch.setattr(os, "environ", {})
    before = time.process_time()
    chapter = setup("12", cpu_seconds=7)
    assert (chapter.number, chapter.cpu_seconds) == ("12", 7)
    assert before <= chapter.started <= time.process_time()


def chapter_that_used(seconds: float, promised: float) -> Chapter:
    return Chapter(number="12", cpu_seconds=promised, started=time.process_time() - seconds)


def test_a_chapter_may_use_three_times_its_promise_and_no_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LABKIT_TIMES", raising=False)
    chapter_that_used(29, promised=10).finish()
    assert capsys.readouterr().out == "Chapter 12 ran within 3 × its 10 CPU-seconds.\n"
    with pytest.raises(RuntimeError, match="promised 10 CPU-seconds and used 31"):
        chapter_that_used(31, promised=10).finish()


def test_times_are_left_where_they_were_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_TIMES", str(tmp_path / "times.csv"))
    chapter_that_used(20.0, promised=10).finish()
    chapter_that_used(5.0, promised=10).finish()
    lines = (tmp_path / "times.csv").read_text().splitlines()
    numbers = [line.split(",") for line in lines]
    assert [number for number, _ in numbers] == ["12", "12"]
    assert [float(used) for _, used in numbers] == pytest.approx([20.0, 5.0], abs=1.0)


@pytest.mark.parametrize("value", ["1", "0", "", "yes", None])
def test_only_1_means_static(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABKIT_STATIC", raising=False)
    if value is not None:
        monkeypatch.setenv("LABKIT_STATIC", value)
    assert notebook.is_static() is (value == "1")


@pytest.mark.parametrize("condition", [True, 1, np.True_, torch.tensor(True), [0]])
def test_a_true_claim_is_printed(condition: Any, capsys: pytest.CaptureFixture[str]) -> None:
    claim("it holds", condition)
    assert capsys.readouterr().out == "✓ it holds\n"


@pytest.mark.parametrize("condition", [False, 0, None, np.False_, torch.tensor(False), []])
def test_an_untrue_claim_raises_and_prints_nothing(
    condition: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AssertionError, match="not true here: it holds"):
        claim("it holds", condition)
    assert capsys.readouterr().out == ""


def test_a_claim_about_many_values_must_say_which() -> None:
    with pytest.raises(ValueError, match="ambiguous"):
        claim("all are true", np.array([True, False]))


@pytest.mark.parametrize(
    ("mine", "theirs", "largest", "where"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5, "2 ≠ 2.5 at (1,)"),
        ([[1, 2], [3, 4]], [[1, 2], [0, 4]], 3.0, "3 ≠ 0 at (1, 0)"),
        (1.25, 1.0, 0.25, "1.25 ≠ 1"),
        (torch.tensor([1, 2]), np.array([1, 5]), 3.0, "2 ≠ 5 at (1,)"),
        ([1, 2], [1, 2, 3], float("inf"), "shape (2,) ≠ shape (3,)"),
        ("to be", "not", float("inf"), "'to be' ≠ 'not'"),
        ("1", 1, float("inf"), "'1' ≠ 1"),
        (["a"], ("a",), float("inf"), "['a'] ≠ ('a',)"),
        (None, 0.0, float("inf"), "None ≠ 0.0"),
        ({1: 2}, {1: 3}, float("inf"), "{1: 2} ≠ {1: 3}"),
        ([float("nan")], [1.0], float("inf"), "nan ≠ 1 at (0,)"),
        ([float("inf")], [float("-inf")], float("inf"), "inf ≠ -inf at (0,)"),
    ],
)
def test_a_difference_names_the_worst_element(
    mine: Any, theirs: Any, largest: float, where: str
) -> None:
    assert compare(mine, theirs) == Difference(largest, where)
    with pytest.raises(AssertionError, match="not the same"):
        same(mine, theirs)


@pytest.mark.parametrize(
    "value",
    [
        [1.0, float("nan"), float("inf")],
        torch.ones(2, 3, dtype=torch.bfloat16, requires_grad=True),
        np.zeros((0, 3)),
        True,
        "text",
        {"a": [1]},
        [["a", 1], ["b", 2]],
    ],
)
def test_a_value_equals_itself_exactly(value: Any, capsys: pytest.CaptureFixture[str]) -> None:
    same(value, value, within=0)
    assert capsys.readouterr().out == "same: exactly\n"


def test_numbers_that_hardly_differ_are_written_until_they_do() -> None:
    assert compare([0.5 + 2**-20], [0.5]).where == "0.500001 ≠ 0.5 at (0,)"
    assert compare([0.5 + 2**-53], [0.5]).where == "0.5000000000000001 ≠ 0.5 at (0,)"


def test_something_that_holds_no_numbers_is_never_the_same() -> None:
    assert not compare(object(), object()).within(1e300)
    assert not compare([[1], [2, 3]], [1, 2]).within(1e300)
    assert not compare([torch.ones(1, requires_grad=True)], [1]).within(1e300)


@given(FINITE, FINITE)
def test_agreement_is_symmetric_and_has_the_tolerance_as_its_edge(a: float, b: float) -> None:
    gap = abs(a - b)
    assert compare(a, b).largest == compare(b, a).largest == gap
    assert compare([a], [b]).within(gap)
    if gap > 0:
        assert not compare([a], [b]).within(np.nextafter(gap, 0))


@given(st.lists(FINITE, min_size=1, max_size=8), st.data())
def test_one_changed_element_is_found_wherever_it_is(values: list[float], data: Any) -> None:
    place = data.draw(st.integers(0, len(values) - 1))
    changed = [*values[:place], values[place] + 5.0, *values[place + 1 :]]
    difference = compare(changed, values)
    assert difference.largest == pytest.approx(5.0)
    assert difference.where.endswith(f"at ({place},)")


def test_only_the_tolerance_asked_for_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    same([1.0], [1.0 + 3e-7])
    same([1.0], [1.0 + 3e-7], within=1e-3)
    assert (
        capsys.readouterr().out == "same: within 1e-06 everywhere\nsame: within 0.001 everywhere\n"
    )


def test_an_unmet_tolerance_says_both_numbers() -> None:
    with pytest.raises(AssertionError, match=r"largest difference 0\.5, allowed 0\.1"):
        same([1.0], [1.5], within=0.1)


def test_show_displays_live_source_for_readers_with_and_without_markdown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[dict[str, str]] = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    show(Difference.within)
    (bundle,) = shown
    assert bundle["text/plain"].startswith("def within(self, tolerance: float) -> bool:\n    ")
    assert bundle["text/markdown"].startswith("`labkit.notebook.Difference.within`\n```python\n")
    assert bundle["text/plain"] in bundle["text/markdown"]


def exactly(lines: int) -> Any:
    """A function whose source has so many lines, as `inspect` sees it."""
    source = "def long():\n" + "    x = 1\n" * (lines - 1)
    names: dict[str, Any] = {"__name__": __name__}
    exec(compile(source, f"<{lines} lines>", "exec"), names)
    linecache.cache[f"<{lines} lines>"] = (len(source), None, source.splitlines(True), "x")
    return names["long"]


def test_show_refuses_what_is_too_long_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    show(exactly(30))
    assert len(shown) == 1
    with pytest.raises(ValueError, match="31 lines, and at most 30"):
        show(exactly(31))
    assert len(shown) == 1
