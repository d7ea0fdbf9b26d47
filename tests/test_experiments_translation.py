"""What the experiments on translation, summaries and rewriting count."""

import ast

import numpy as np
import pytest

from experiments import summaries, translation, written
from tinyworld import TinyWorld


def test_the_truth_may_be_worded_otherwise_and_nothing_else_may_change() -> None:
    each = translation.tellings(5, 1)[0]
    right = each["en"].sentences
    for k, other in enumerate(each["en again"].sentences):
        assert translation.keeps_events("en", right, k, right[k])
        assert translation.keeps_events("en", right, k, other)
    assert not translation.keeps_events("en", right, 0, right[1])
    assert not translation.keeps_events("en", right, 1, "")


def test_the_nearest_text_shares_rare_runs() -> None:
    known = ["Save the notebook", "Close the terminal", "Open a file"]
    assert written.nearest(known, ["Close all terminals", "Open"]) == [1, 2]
    assert translation.near_repeats(known, ["Save the notebooks", "Close it"]) == [True, False]


def test_what_is_copied_is_counted_in_words() -> None:
    assert summaries.from_source("Mia lost a kite.", "Mia found a drum") == 0.5
    assert summaries.from_source("Mia", "") == 0


def test_rules_are_counted_word_by_word() -> None:
    pairs = [("Mia was here.", "Mia is here."), ("Ben was glad.", "Ben is glad.")]
    table = summaries.word_table([*pairs, ("He said so", "He says")])
    assert table["was"] == "is"
    assert "said" not in table
    assert summaries.by_rule("Mia wsa glad.", table) == "Mia is glad."
    assert summaries.by_rule("Xyzzyq was", table) == "Xyzzyq is"


def test_a_docstring_gives_its_rest_and_its_first_line() -> None:
    rest = "It takes a text and returns the words of it."
    source = f'def cut(text):\n    """Cut a text.\n\n    {rest}\n    """\n\ndef bare(): pass\n'
    assert list(summaries.documented(ast.parse(source))) == [(f"cut: {rest}", "Cut a text.")]


def test_a_true_summary_is_among_the_true_ones() -> None:
    story = TinyWorld.full("en").sample(np.random.default_rng(0))
    true = summaries.true_summaries(story)
    assert len(set(true)) == 2
    assert all(story.roles["A"].capitalize() in text for text in true)


def test_intervals_hold_their_value() -> None:
    rows = [
        written.share_row("a | b | c", "exact", [True, False, True], 1.26),
        written.mean_row("a | b | c", "length ratio", [0.5, 1.0, 2.0], 0.0),
        *written.overlap_rows(
            "a | b | c", ["a b c d", "a b c d x"], ["a b c d", "a b c d y"], "en", 0.0
        ),
    ]
    assert [row["metric"] for row in rows] == ["exact", "length ratio", "BLEU", "chrF"]
    for row in rows:
        low, value, high = (float(str(row[name])) for name in ("low", "value", "high"))
        assert low <= value <= high
    assert rows[0]["value"] == pytest.approx(2 / 3, abs=1e-4)
    assert (rows[0]["task"], rows[0]["data"], rows[0]["system"]) == ("a", "b", "c")
