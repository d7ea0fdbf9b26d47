"""Problem set 2: the judges, and what the songs are."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.checks import ps2, songs
from tests.course.right import ps2 as right


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 9))
def test_reading_in_pieces_is_reading_at_once(seed: int, window: int, n_words: int) -> None:
    rng = np.random.default_rng(seed)
    x = torch.tensor(rng.normal(size=(2, n_words, 6)))
    weights = tuple(torch.tensor(rng.normal(size=(6, 6))) for _ in range(4))
    whole = right.my_windowed_heads__loops(x, weights, 3, window)
    kept = (x.new_zeros(2, 3, 0, 2),) * 2
    begin, outs = 0, []
    while begin < n_words:
        end = begin + int(rng.integers(1, 5))
        out, *kept = ps2.read_on.reference(x[:, begin:end], *kept, weights, window)
        begin = end
        outs.append(out)
        assert kept[0].shape[2] == min(begin, n_words, window - 1)
    assert torch.allclose(torch.cat(outs, dim=1), whole, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 3))
def test_layers_with_a_window_reach_as_far_as_their_windows_together(
    seed: int, window: int, n_layers: int
) -> None:
    rng = np.random.default_rng(seed)
    layers = [tuple(torch.tensor(rng.normal(0, 0.5, (4, 4, 4)))) for _ in range(3)]

    def read(x: torch.Tensor) -> torch.Tensor:
        for layer in layers[:n_layers]:
            x = x + ps2.windowed_heads.reference(x, layer, 2, window)
        return x

    x = torch.tensor(rng.normal(size=(1, 10, 4)))
    others = x.repeat(10, 1, 1)
    others[range(10), range(10)] = torch.tensor(rng.normal(size=(10, 4)))
    leaks, reach = ps2.reach.reference(read(x)[0].numpy(), read(others)[None].numpy())
    assert leaks == []
    assert reach == min(9, n_layers * (window - 1))


def test_a_song_says_each_verse_again_in_other_words() -> None:
    learned, beginnings, _, (came, counted) = songs.tongue(3, 32, range(8, 15))
    assert learned.shape == (songs.SONGS, songs.LENGTH)
    assert len(beginnings) == len(came) == songs.PLACES
    partner, partners = ps2._partners(learned), dict[int, set[int]]()
    for song in learned.tolist():
        (verse, *_) = [
            p
            for p in range(8, 15)
            if all(partner[a] == b for a, b in zip(song, song[p:], strict=False))
        ]
        for a, b in zip(song, song[verse:], strict=False):
            partners.setdefault(a, set()).add(b)
    assert all(len(found) == 1 for found in partners.values())
    assert sorted(b for found in partners.values() for b in found) == list(range(32))
    assert 4.8 < counted < 5.3


@pytest.mark.parametrize("order", [2, 3, 4, 6])
def test_counting_runs_of_any_length_earns_nothing(order: int) -> None:
    (case, *_) = ps2.next_words.cases(np.random.default_rng(5))
    probs = songs.counting(case[0], case[1], order)
    assert np.allclose(probs.sum(axis=1), 1)
    assert ps2.next_words.mark(case, probs).share == 0


def case() -> tuple[Any, ...]:
    """One place, four words, and a table that pays four bits for what came."""
    return np.array([[0, 1, 2, 3]]), [[1, 2]], 10.0, (np.array([0]), 4.0)


@pytest.mark.parametrize(
    ("bits", "share"),
    [(0, 1), (0.39, 1), (0.41, 0.7), (0.99, 0.7), (1.01, 0.5), (1.99, 0.5), (2.1, 0.3), (3.1, 0)],
)
def test_the_judge_gives_the_share_of_the_table(bits: float, share: float) -> None:
    first = 2.0**-bits
    mark = ps2.next_words.mark(case(), [[first, 1 - first, 0, 0]])
    assert mark.share == share
    assert bool(mark.text) == (share < 1)


@pytest.mark.parametrize("got", [None, 7, "ab", ([], None), ([3], 1), ([(0, 1)],), ({}, "far")])
def test_what_is_no_reach_earns_nothing(got: Any) -> None:
    (first, *_) = ps2.reach.cases(np.random.default_rng(0))
    assert ps2.reach.mark(first, got).share == 0


@pytest.mark.parametrize("got", [None, 7, torch.zeros(3), (None, None, None), [1, 2]])
def test_what_is_no_reading_earns_nothing(got: Any) -> None:
    (first, *_) = ps2.read_on.cases(np.random.default_rng(0))
    assert ps2.read_on.mark(first, got).share == 0
