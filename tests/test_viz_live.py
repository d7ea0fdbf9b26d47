"""The live loss curve without a browser: what is sent, what is stored, what is given back."""

import dataclasses
import itertools
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.training import Record
from labkit.viz import Picture, live, watch
from labkit.viz.picture import HEIGHT, WIDTH

SCRIPT = Path(live.__file__).with_name("live.js")
NAN = float("nan")


def record(step: int, train: float, val: float) -> Record:
    return Record(
        step=step,
        max_steps=20,
        tokens=100 * step,
        train_loss=train,
        val_loss=val,
        learning_rate=0.0,
        gradient_norm=0.0,
        cpu_seconds=0.5 * step,
        seconds=0.25 * step,
        peak_memory=10**9,
    )


RUN = [record(0, NAN, 4.0), record(10, 3.0, 2.0), record(20, 2.0, 2.5)]


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is displayed, with outputs stored."""
    shown: list[Any] = []
    monkeypatch.setenv("LABKIT_STATIC", "1")
    monkeypatch.setattr("IPython.display.display", shown.append)
    return shown


def test_static_shows_one_picture_and_returns_the_records(pictures: list[Any]) -> None:
    assert watch(iter(RUN), title="Falls") == RUN
    (picture,) = pictures
    assert isinstance(picture, Picture)
    training, held_out = picture.figure.data
    assert (training.name, list(training.x), list(training.y)) == (
        "training",
        [0, 10, 20],
        [None, 3, 2],
    )
    assert (held_out.name, list(held_out.y)) == ("held out", [4, 2, 2.5])


def test_the_words_by_hand(pictures: list[Any]) -> None:
    watch(RUN, title="Falls", y="bits per character", scale=2)
    assert pictures[0].says == (
        "Falls (bits per character against updates): training from ≈ 6 to ≈ 4; "
        "held out from ≈ 8 to ≈ 5, lowest ≈ 4 at ≈ 10."
    )


@pytest.mark.parametrize(
    ("x", "places", "name"),
    [
        ("step", [0, 10, 20], "updates"),
        ("tokens", [0, 1000, 2000], "tokens read"),
        ("cpu_seconds", [0, 5, 10], "processor time, seconds"),
    ],
)
def test_x_is_a_field_of_the_record(
    pictures: list[Any], x: Any, places: list[float], name: str
) -> None:
    watch(RUN, title="Falls", x=x)
    assert list(pictures[0].figure.data[1].x) == places
    assert pictures[0].figure.layout.xaxis.title.text == name


def test_an_unknown_x_is_refused_before_anything_is_trained() -> None:
    begun = []

    def training() -> Iterator[Record]:
        begun.append(True)
        yield RUN[0]

    with pytest.raises(ValueError, match="step, tokens, cpu_seconds, got 'time'"):
        watch(training(), title="Falls", x="time")  # type: ignore[arg-type]
    assert not begun


def test_records_are_consumed_one_by_one(
    pictures: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def training() -> Iterator[Record]:
        for each in RUN:
            order.append(f"trained {each.step}")
            yield each

    monkeypatch.setattr(
        live._Shown, "add", lambda _, row, __: order.append(f"drawn {row[0]:g}"), raising=True
    )
    watch(training(), title="Falls")
    assert order == [f"{did} {at}" for at in (0, 10, 20) for did in ("trained", "drawn")]


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ([], "training: no finite loss was recorded; held out: no finite loss was recorded."),
        ([record(0, NAN, math.inf)], "held out: no finite loss was recorded."),
        ([record(0, NAN, 1.0)], "held out from ≈ 1 to ≈ 1."),
        ([record(0, 1.0, 1.0), record(1, NAN, NAN)], "held out from ≈ 1 to ≈ 1."),
    ],
)
def test_a_run_without_numbers_still_has_its_picture(
    pictures: list[Any], records: list[Record], told: str
) -> None:
    assert watch(records, title="Falls") == records
    assert pictures[0].says.endswith(told)
    assert {"text/plain"} <= set(pictures[0].bundle())


def test_a_run_that_fails_leaves_its_picture(pictures: list[Any]) -> None:
    def training() -> Iterator[Record]:
        yield RUN[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(training(), title="Falls")
    assert "held out from ≈ 4 to ≈ 4" in pictures[0].says


def test_a_row_holds_the_losses_and_what_is_drawn_below(pictures: list[Any]) -> None:
    first, second = (
        dataclasses.replace(RUN[i], learning_rate=3e-4, gradient_norm=norm)
        for i, norm in ((0, NAN), (1, 0.5))
    )
    assert live._row(first, "step", 2.0) == (0, None, 8.0, 3e-4, None, None)
    assert live._row(second, "tokens", 2.0) == (1000, 6.0, 4.0, 3e-4, 0.5, 400)
    assert len(live.NAMES + live.STRIPS) == 5
    watch([first, second], title="Falls")
    watch([RUN[0], RUN[1]], title="Falls")
    assert pictures[0].figure == pictures[1].figure  # which stays the loss


@pytest.mark.parametrize(("every", "steps"), [(1, [0, 10, 20]), (2, [10]), (3, [20]), (4, [])])
def test_a_sample_is_written_after_every_so_many_records(
    pictures: list[Any], every: int, steps: list[int]
) -> None:
    at, written = [0], []

    def training() -> Iterator[Record]:
        for each in RUN:
            at[0] = each.step
            yield each

    def sample() -> str:
        written.append(at[0])
        return f"<b>{at[0]}"

    assert watch(training(), title="Falls", sample=sample, sample_every=every) == RUN
    assert written == steps
    watch(RUN, title="Falls")
    assert pictures[0].bundle() == pictures[1].bundle()  # a sample is part of no output


def test_a_sample_goes_with_a_message_once() -> None:
    sent: list[Any] = []
    times = iter([0.0, 0.0, 0.1, 0.3, 0.3, 0.6, 0.6])
    feed = live._Feed(sent.append, lambda: next(times))
    for i, sample in enumerate([{"sample": "a"}, {"sample": "b"}, {}, {}]):
        feed.sample = sample or feed.sample
        feed.add((i, 1.0, 1.0))
    assert [message.get("sample") for message in sent] == ["a", "b", None]


def test_a_sample_is_sent_with_its_step(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.delenv("LABKIT_STATIC", raising=False)
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: None)
    monkeypatch.setattr(live._LossCurve, "send", lambda _, message: sent.append(message))
    watch([record(1200, 1.0, 1.0)], title="Falls", sample=lambda: "Once upon")
    assert sent == [
        {
            "rows": [(1200, 1.0, 1.0, 0.0, 0.0, 400)],
            "says": str(record(1200, 1.0, 1.0)),
            "done": 60,
            "sample": "Once upon",
            "sampled": "written at step 1,200",
        }
    ]


def test_a_sample_that_fails_leaves_the_picture(pictures: list[Any]) -> None:
    def sample() -> str:
        raise RuntimeError("no words")

    with pytest.raises(RuntimeError, match="no words"):
        watch(RUN, title="Falls", sample=sample, sample_every=2)
    assert list(pictures[0].figure.data[0].x) == [0, 10]


def test_a_sample_never_is_refused() -> None:
    with pytest.raises(ValueError, match="sample_every of at least 1 record, got 0"):
        watch(RUN, title="Falls", sample=str, sample_every=0)


@given(st.lists(st.floats(0, 0.5), max_size=60))
def test_messages_lose_nothing_and_come_at_most_five_a_second(pauses: list[float]) -> None:
    now, sent = [0.0], []
    feed = live._Feed(lambda message: sent.append((now[0], message["rows"])), lambda: now[0])
    rows: list[live.Row] = []
    for pause in pauses:
        now[0] += pause
        rows.append((len(rows), None, 1.0))
        feed.add(rows[-1])
    arrived = [row for _, message in sent for row in message]
    assert arrived + feed.waiting == rows
    times = [at for at, _ in sent]
    assert all(b - a >= 0.2 for a, b in itertools.pairwise(times))
    assert all(now[0] - at < 0.2 for at in times[-1:] if feed.waiting)


def test_a_row_waits_for_the_next_message() -> None:
    sent: list[Any] = []
    times = iter([0.0, 0.0, 0.1, 0.3, 0.3])
    feed = live._Feed(sent.append, lambda: next(times))
    for i in range(3):
        feed.add((i, 1.0, 1.0), f"step {i}", i / 2)
    assert sent == [
        {"rows": [(0, 1.0, 1.0)], "says": "step 0", "done": 0.0},
        {"rows": [(1, 1.0, 1.0), (2, 1.0, 1.0)], "says": "step 2", "done": 1.0},
    ]


def test_a_record_says_its_pace_and_what_is_left() -> None:
    assert str(RUN[0]) == "step 0 of 20: held-out loss 4.000 nats per token"
    assert str(RUN[1]) == (
        "step 10 of 20: training loss 3.000, held-out loss 2.000 nats per token, "
        "400 tokens/s, 2 s left"
    )


def test_the_widget_is_as_large_as_the_picture_that_takes_its_place() -> None:
    look = live._look("title", "x", "y")
    assert (look["width"], look["height"]) == (WIDTH, HEIGHT)
    assert len(look["names"]) == len(look["colors"]) == len(look["dashes"]) == 2


def test_the_script_is_small_and_links_nowhere() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    assert len(text.encode()) <= 10_000
    assert text.count("//www.") == text.count("http") == 1  # the name of SVG's own language
    assert "http://www.w3.org/2000/svg" in text
    for unsafe in ("innerHTML", "insertAdjacentHTML", "eval(", "Function(", "fetch(", "import "):
        assert unsafe not in text


CELL = """import math
from labkit import viz
from labkit.training import Record

def training(stops=False):
    for i in range(3):
        yield Record(step=i, max_steps=2, tokens=i, train_loss=math.nan, val_loss=3.0 - i,
                     learning_rate=0, gradient_norm=math.nan, cpu_seconds=0, seconds=0,
                     peak_memory=0)
    if stops:
        raise RuntimeError("no more")

records = viz.watch(training(), title="A curve")"""


def executed(code: str, monkeypatch: pytest.MonkeyPatch) -> nbformat.NotebookNode:
    """Run cells in a kernel of a reader, who is not storing outputs, and keep all widgets."""
    monkeypatch.delenv("LABKIT_STATIC", raising=False)
    cells = [nbformat.v4.new_code_cell(CELL), nbformat.v4.new_code_cell(code)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = nbclient.NotebookClient(
        notebook, kernel_name="python3", allow_errors=True, store_widget_state=True
    )
    client.execute()
    return notebook


def test_a_picture_takes_the_widgets_place(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = executed("viz.watch(training(stops=True), title='Ends early')", monkeypatch)
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    assert [output["output_type"] for output in outputs] == ["display_data"] * 2 + ["error"]
    assert outputs[2]["evalue"] == "no more"
    for output, title in zip(outputs, ("A curve", "Ends early"), strict=False):
        assert set(output["data"]) == {"application/vnd.plotly.v1+json", "text/plain"}
        assert output["data"]["text/plain"] == (
            f"Picture: {title} (loss, nats per token against updates): training: no finite loss "
            "was recorded; held out from ≈ 3 to ≈ 1."
        )


def test_importing_the_pictures_does_not_import_torch() -> None:
    code = "import sys, labkit.viz; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0
