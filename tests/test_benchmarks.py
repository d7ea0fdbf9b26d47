"""The table of measured speed: what a row shows, and that turns are really taken."""

import pytest

from benchmarks.measure import Measurement, alternately, ratios, table


def test_a_row_shows_the_lowest_the_middle_and_the_highest() -> None:
    row = Measurement("speed", (3.0, 1.0, 1234.5, 2.0, 4.0), "×", "here").row()
    assert row == "| speed | 1 | **3** | 1,234 | × | here |"


def test_a_number_that_was_measured_four_times_is_refused() -> None:
    five, four = (Measurement(f"of {n}", (1.0,) * n, "s", "") for n in (5, 4))
    assert table([five]).count("\n") == 3
    with pytest.raises(ValueError, match=r"at least 5 rounds, got fewer of of 4"):
        table([five, four])


def test_workers_take_turns_and_each_goes_first_every_other_time() -> None:
    order: list[str] = []

    def work(name: str) -> int:
        order.append(name)
        return len(order)

    results, seconds = alternately({"a": lambda: work("a"), "b": lambda: work("b")}, 3)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert results == {"a": [1, 4, 5], "b": [2, 3, 6]}
    assert all(taken >= 0 for times in seconds.values() for taken in times)


def test_ratios_are_taken_round_by_round() -> None:
    assert ratios([4.0, 9.0], [2.0, 3.0]) == (2.0, 3.0)
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0], [1.0, 2.0])
