"""Token ids on disk, read where they are needed, as if they were one long text."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ABOUT, TOKENIZER = "about.json", "tokenizer.json"
"""Files of a prepared folder: what it is made from, and the tokens."""


def shard(folder: Path, part: str, stretch: int) -> Path:
    """Return the file with the ids of one stretch; `part` is train or val."""
    return folder / f"{part}-{stretch:05d}.npy"


class TokenShards:
    """The ids of some `.npy` files, one after the other, mapped into memory.

    Only what is asked for is read, so a text may be larger than memory.
    """

    def __init__(self, paths: list[Path]) -> None:
        """Open the files. Raises ValueError without any, or for one that is damaged."""
        if not paths:
            raise ValueError("expected at least one file of tokens, got none")
        self.files = [self._open(path) for path in paths]
        self.ends = np.cumsum([len(file) for file in self.files])
        self.begins = self.ends - [len(file) for file in self.files]

    @staticmethod
    def _open(path: Path) -> NDArray[np.unsignedinteger]:
        try:
            ids: NDArray[np.unsignedinteger] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(
                f"expected token ids in {path}, got a damaged file ({error}): delete it and "
                "prepare the folder again"
            ) from error
        if ids.dtype not in (np.uint16, np.uint32) or ids.ndim != 1:
            raise ValueError(f"expected token ids in {path}, got {ids.dtype} of {ids.ndim} axes")
        return ids

    def __len__(self) -> int:
        """Return the number of ids, N."""
        return int(self.ends[-1])

    def take(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the ids at some places, from 0 to N - 1: (…) -> (…)."""
        which = np.searchsorted(self.ends, places, side="right")
        ids = np.empty(places.shape, dtype=np.int64)
        for i in np.unique(which):
            here = which == i
            ids[here] = self.files[i][places[here] - self.begins[i]]
        return ids

    def places(self, token: int) -> NDArray[np.int64]:
        """Return where a token stands: (M,)."""
        pairs = zip(self.files, self.begins, strict=True)
        return np.concatenate([np.flatnonzero(ids == token) + begin for ids, begin in pairs])


def open_shards(folder: Path) -> tuple[TokenShards, TokenShards]:
    """Return the ids to learn from and those held out, which `prepare` wrote.

    Raises ValueError, naming the folder, if it was not prepared, or not to its end.
    """
    try:
        n_stretches = json.loads((folder / ABOUT).read_text(encoding="utf-8"))["n_stretches"]
    except FileNotFoundError:
        raise ValueError(
            f"expected a folder that `labkit data prepare` wrote, got no {ABOUT} in {folder}"
        ) from None
    done = len(list(folder.glob("train-*.npy")))
    if done < n_stretches:
        raise ValueError(
            f"expected {n_stretches} stretches in {folder}, got {done}: "
            "the command that prepared it goes on where it stopped"
        )
    train, val = (
        TokenShards([shard(folder, part, k) for k in range(n_stretches)])
        for part in ("train", "val")
    )
    return train, val
