"""Token ids on disk: files of numbers that are read where they are needed, as if they were one."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


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

    @staticmethod
    def _open(path: Path) -> NDArray[np.unsignedinteger]:
        try:
            ids: NDArray[np.unsignedinteger] = np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            raise ValueError(
                f"expected token ids in {path}, got a damaged file: {error}"
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
            begin = self.ends[i] - len(self.files[i])
            ids[which == i] = self.files[i][places[which == i] - begin]
        return ids

    def places(self, token: int) -> NDArray[np.int64]:
        """Return where a token stands: (M,)."""
        begins = self.ends - [len(file) for file in self.files]
        found = [
            np.flatnonzero(ids == token) + b for ids, b in zip(self.files, begins, strict=True)
        ]
        return np.concatenate(found)
