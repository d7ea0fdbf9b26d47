"""Pictures: what they hold, what they say, and that no token can break them."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

from labkit.metrics import LeagueRow
from labkit.plain import number, safe, sentence
from labkit.viz import (
    Picture,
    TimelineEntry,
    curves,
    heatmap,
    league_table,
    next_token_bars,
    timeline,
    visible,
)
from labkit.viz.picture import PALETTE, PLOTLY_MIME, TEXT, blank
from labkit.viz.timeline import size_name

EVIL = ["<b>bold</b>", "</script>", "a & b", "%{x}", "$x$", "|", "é\x00", " ", "\n", "0", "1"]


def entry(**changes: Any) -> TimelineEntry:
    plain = TimelineEntry(
        name="GPT-3",
        published=date(2020, 5, 28),
        parameters=175e9,
        data="web text",
        context="2,048",
        source="a paper",
    )
    return replace(plain, **changes)


def examples() -> dict[str, Picture]:
    letters = [*"abcdefghijklmnopqrstuvwxyz", " "]
    counts = np.random.default_rng(0).poisson(3, size=(27, 27))
    probs = np.full(len(EVIL), 1 / len(EVIL))
    return {
        "curves": curves({"<i>one</i>": ([1, 2], [3, 4])}, title="<u>", x="a<b", y="bits"),
        "bars": next_token_bars(probs, EVIL, title="Next?", top=5),
        "panels": next_token_bars({"one": probs, "two": probs}, EVIL, title="Next", top=20),
        "heatmap": heatmap(counts, letters, letters, title="Pairs", x="second", y="first"),
        "timeline": timeline(
            [entry(name="<b>"), entry(parameters=None, name="GPT-4")], title="Sizes"
        ),
    }


@pytest.fixture(params=list(examples()))
def picture(request: pytest.FixtureRequest) -> Picture:
    return examples()[request.param]


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABKIT_STATIC", raising=False)


@pytest.mark.usefixtures("live")
def test_live_picture_is_small_valid_plotly_without_a_link(picture: Picture) -> None:
    bundle = picture.bundle()
    assert set(bundle) == {PLOTLY_MIME, "text/plain"}
    assert bundle["text/plain"] == f"Picture: {picture.says}"
    specification = bundle[PLOTLY_MIME]
    go.Figure(data=specification["data"], layout=specification["layout"])  # refuses what is unknown
    text = json.dumps(specification)
    assert len(text) < 20_000
    assert "//" not in text
    assert specification["layout"]["paper_bgcolor"] == "rgba(0,0,0,0)"


def test_no_text_reaches_plotly_as_markup(picture: Picture) -> None:
    allowed = re.sub(r"</?(b|br|extra)/?>", "", "".join(_strings(picture.figure.to_plotly_json())))
    assert "<" not in allowed


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _strings(inner)]
    if isinstance(value, (list, tuple, np.ndarray)):
        return [text for inner in value for text in _strings(inner)]
    return [value] if isinstance(value, str) else []


def test_a_token_that_looks_like_markup_keeps_every_sign() -> None:
    shown = next_token_bars(np.eye(len(EVIL))[1], EVIL, title="Next", top=len(EVIL))
    assert shown.figure.layout.yaxis.ticktext[0] == "&lt;/script&gt;"
    assert "</script> 100.0 %" in shown.says


def test_bars_hold_the_whole_mass_and_are_sorted() -> None:
    probs = np.random.default_rng(1).dirichlet(np.ones(40))
    bars = next_token_bars(probs, [str(i) for i in range(40)], title="Next", top=7).figure.data[0]
    assert len(bars.x) == 8
    assert sum(bars.x) == pytest.approx(100, abs=0.02)
    assert list(bars.x[:7]) == sorted(bars.x[:7], reverse=True)
    assert bars.x[7] == pytest.approx(100 - 100 * np.sort(probs)[-7:].sum(), abs=0.02)
    assert bars.customdata[7] == "all others"


def test_bars_say_the_first_tokens_and_the_rest_by_hand() -> None:
    shown = next_token_bars([0.5, 0.25, 0.125, 0.125], ["a", " ", "\n", "b"], title="Next?", top=2)
    assert shown.says == "Next? a 50.0 %, ␣ 25.0 %, all others 25.0 %."


def test_bars_take_a_tensor_with_gradient_and_show_all_when_few() -> None:
    probs = torch.tensor([0.0, 1.0, 2.0], requires_grad=True).softmax(dim=0)
    bars = next_token_bars(probs, ["a", "b", "c"], title="Next").figure.data[0]
    assert list(bars.customdata) == ["c", "b", "a"]
    assert sum(bars.x) == pytest.approx(100, abs=0.02)


@pytest.mark.parametrize("probs", [[0.5, 0.6], [0.5, 0.25, 0.25], [[0.5, 0.5]]])
def test_bars_refuse_what_is_no_distribution_over_the_labels(probs: Any) -> None:
    with pytest.raises(ValueError, match=r"expected 2 probabilities that sum to 1.*softmax"):
        next_token_bars(probs, ["a", "b"], title="Next")


def test_curves_say_ends_and_inner_minimum() -> None:
    shown = curves({"val": ([1, 2, 4], [3.0, 2.13049, 2.5])}, title="Loss", x="order", y="bits")
    assert shown.says == (
        "Loss (bits against order): val from 3 at 1 to 2.5 at 4, lowest 2.13 at 2."
    )
    assert curves({"a": ([1], [1])}, title="t", x="x", y="y", says="Told.").says == "Told."


def test_curves_differ_in_more_than_colour() -> None:
    traces = curves(
        {str(i): ([1, 2], [i, i]) for i in range(6)}, title="t", x="x", y="y"
    ).figure.data
    assert len({trace.line.dash for trace in traces}) == 6
    assert len({trace.marker.symbol for trace in traces}) == 6


def test_marks_on_logarithmic_axes_stand_at_the_point() -> None:
    shown = curves(
        {"a": ([10, 100], [1, 2])}, title="t", x="x", y="y", log_x=True, mark=(100, 2, "here")
    )
    (mark,) = shown.figure.layout.annotations
    assert (mark.x, mark.y, mark.text) == (pytest.approx(2), 2, "here")


@pytest.mark.parametrize("points", [([1, 2], [1]), ([], [])])
def test_curves_refuse_unequal_or_no_points(points: Any) -> None:
    with pytest.raises(ValueError, match="curve 'bad' has xs of shape"):
        curves({"bad": points}, title="t", x="x", y="y")


def test_heatmap_leaves_zero_uncoloured_and_counts_it() -> None:
    shown = heatmap([[0, 10], [1000, 0]], ["a", " "], ["a", "b"], title="t", x="x", y="y")
    (cells,) = shown.figure.data
    assert [list(row) for row in cells.z] == [[None, 10], [1000, None]]
    assert [list(row) for row in cells.text] == [["·", ""], ["", "·"]]
    assert shown.says == "t. Largest 1,000 count at ␣ → a; 2 of 4 cells are zero."


def test_heatmap_writes_its_numbers_where_they_are_wanted_and_no_scale_of_one_colour() -> None:
    names = ["a", "b"]
    shown = heatmap([[0, 10], [1234, 0.5678]], names, names, title="t", x="x", y="y", numbers=True)
    (cells,) = shown.figure.data
    assert [list(row) for row in cells.text] == [["0", "10"], ["1,230", "0.568"]]
    assert cells.showscale
    mask = heatmap([[0, 1], [1, 1]], names, names, title="t", x="x", y="y")
    assert not mask.figure.data[0].showscale


@pytest.mark.parametrize("matrix", [[[1, 2]], [[1, -1], [0, 0]]])
def test_heatmap_refuses_wrong_shape_and_negative_numbers(matrix: Any) -> None:
    with pytest.raises(ValueError, match=r"expected numbers ≥ 0 of shape \(2, 2\)"):
        heatmap(matrix, ["a", "b"], ["a", "b"], title="t", x="x", y="y")


def test_an_undisclosed_size_has_no_height_among_the_sizes() -> None:
    figure = timeline([entry(), entry(name="GPT-4", parameters=None)], title="Sizes").figure
    known, secret = figure.data
    assert (list(known.y), known.yaxis) == ([175e9], "y")
    assert secret.yaxis == "y2"
    assert figure.layout.yaxis2.ticktext == ("undisclosed",)
    assert "parameters: undisclosed" in secret.hovertemplate[0]
    with pytest.raises(ValueError, match="known number of parameters"):
        timeline([entry(parameters=None)], title="Sizes")


@pytest.mark.parametrize(
    ("parameters", "name"),
    [(117e6, "117 M"), (1.5e9, "1.5 B"), (175e9, "175 B"), (12, "12"), (None, "undisclosed")],
)
def test_sizes_are_written_as_people_say_them(parameters: float | None, name: str) -> None:
    assert size_name(parameters) == name


ROW = LeagueRow(
    model="7-gram",
    chapter="12",
    bits_per_char=2.13049,
    low=2.1,
    high=2.16,
    parameters=2_100_000,
    train_tokens=4_600_000,
    cpu_seconds=2.34,
)
OTHER = replace(ROW, model="<b>|</script>", bits_per_char=1.9, cpu_seconds=123.4, excess=0.0626)


def test_league_table_is_sorted_and_reads_the_same_in_three_forms() -> None:
    table = league_table([ROW, OTHER], highlight="7-gram")
    assert table.markdown().splitlines()[2:] == [
        "| &lt;b&gt;\\|&lt;/script&gt; | 1.900 | 2.100 to 2.160 | 0.063 | 2,100,000 | 4,600,000"
        " | 12 | ≈ 123 |",
        "| **7-gram** | **2.130** | **2.100 to 2.160** | **—** | **2,100,000** | **4,600,000**"
        " | **12** | **≈ 2.3** |",
    ]
    assert table.text().splitlines()[2].endswith("  ≈ 2.3")
    assert _cells_of(table.html())[8:16] == [
        "<b>|</script>",
        "1.900",
        "2.100 to 2.160",
        "0.063",
        "2,100,000",
        "4,600,000",
        "12",
        "≈ 123",
    ]


def _cells_of(page: str) -> list[str]:
    """Read a table as a browser would: text by cell."""
    cells: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            if tag in ("td", "th"):
                cells.append("")

        def handle_data(self, data: str) -> None:
            cells[-1] += data

    Reader().feed(page)
    return cells


def test_other_times_change_no_other_column_of_the_text() -> None:
    slow = replace(ROW, cpu_seconds=9999.0)
    strip: Callable[[str], str] = lambda text: re.sub(r"≈ [\d.]+", "≈", text)  # noqa: E731
    assert strip(league_table([ROW]).text()) == strip(league_table([slow]).text())


def test_league_table_refuses_to_highlight_what_is_not_there() -> None:
    with pytest.raises(ValueError, match="no row for 'GPT': the rows are 7-gram"):
        league_table([ROW], highlight="GPT")


@pytest.mark.parametrize(
    ("token", "shown"),
    [(" ", "␣"), ("\n", "⏎"), ("", "∅"), ("to be\n", "to␣be⏎"), ("\x00", "\\x00"), ("猫", "猫")],
)
def test_white_space_and_control_characters_are_visible(token: str, shown: str) -> None:
    assert visible(token) == shown


def test_numbers_and_sentences() -> None:
    assert [number(v) for v in (0, 0.123456, 2.13049, 12345.6, 117e6)] == [
        "0",
        "0.1235",
        "2.13",
        "12,350",
        "117,000,000",
    ]
    assert (sentence("Why?"), sentence("So")) == ("Why?", "So.")
    assert safe("a<b>&") == "a&lt;b&gt;&amp;"


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("background", ["#ffffff", "#111111"])
def test_colours_contrast_with_light_and_dark_pages(background: str) -> None:
    def contrast(colour: str) -> float:
        pair = sorted((_luminance(colour), _luminance(background)))
        return (pair[1] + 0.05) / (pair[0] + 0.05)

    assert contrast(TEXT) > 4.2
    assert min(contrast(colour) for colour in PALETTE) >= 3


def test_the_empty_figure_costs_little() -> None:
    assert len(blank("t", "x", "y").to_json()) < 1500
