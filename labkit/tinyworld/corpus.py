"""Whole corpora of TinyWorld: a text file with a story on each line, and a split that composes.

Equal settings give equal bytes, whatever the machine. Train, val and test are independent draws.
"""

import hashlib
from pathlib import Path

from tqdm.auto import tqdm

from labkit.files import write_atomically
from labkit.tinyworld.lexicon import world
from labkit.tinyworld.tinyworld import Story, TinyWorld

HELD_OUT = 12
"""One pair in so many is kept out of the training stories of the compositional split."""


def write_corpus(
    path: Path, tiny: TinyWorld, n_stories: int, *, seed: int, split: str = "train"
) -> int:
    """Write n stories to a file, one on each line, with a progress bar; return its size in bytes.

    Until it is whole, the file keeps what it held before. Raises ValueError for fewer than one
    story, and OSError where the file cannot be written.
    """
    if n_stories < 1:
        raise ValueError(f"expected at least 1 story, got {n_stories}")
    stories = tiny.stories(n_stories, seed=seed, split=split)
    shown = tqdm(stories, total=n_stories, unit=" stories", desc=path.name)
    data = "".join(f"{story.text}\n" for story in shown).encode()
    write_atomically(path, data)
    return len(data)


def is_new_combination(story: Story) -> bool:
    """Tell whether a story has a pair that the compositional split keeps out of training.

    Pairs are of a person and a toy, and of the plot and a place; one in twelve is held out, by its
    hash. Train on stories where this is False, and test on those where it is True.
    """
    names = set(story.roles.values())
    people = [name for name in names if name in world().things["people"]]
    toys = [name for name in names if name in world().things["toys"]]
    places = [name for name in names if name in world().things["places"]]
    pairs = [(person, toy) for person in people for toy in toys]
    return any(map(_held_out, [*pairs, *((story.plot, place) for place in places)]))


def _held_out(pair: tuple[str, str]) -> bool:
    digest = hashlib.sha256(":".join(pair).encode()).digest()
    return int.from_bytes(digest[:4], "big") % HELD_OUT == 0
