"""The embedding projector: vectors as points of a plane, neighbours by cosine in the whole space.

The plane is that of most variance (principal components), and it says how much that is. Of more
than `MOST_SENT` pairs, a point's neighbours are sent when it is chosen.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import traitlets
from numpy.typing import NDArray

from labkit.plain import Array, as_array, sentence, visible
from viewers.viewer import Viewer, script

MOST_POINTS, MOST_SENT, AT_ONCE = 20_000, 64_000, 512


class EmbeddingsViewer(Viewer):
    """What `embeddings` returns; `chosen` is the place of the point that was chosen."""

    _esm = script("embeddings.js")
    meta = traitlets.Dict().tag(sync=True)
    points = traitlets.Bytes().tag(sync=True)
    near = traitlets.Bytes().tag(sync=True)
    cosines = traitlets.Bytes().tag(sync=True)
    chosen = traitlets.Int(0).tag(sync=True)

    def __init__(self, vectors: Array, labels: Sequence[str], k: int, title: str) -> None:
        """Keep the vectors, of which neighbours can be asked for."""
        self.vectors, self.k, n = vectors, min(k, len(vectors) - 1), len(vectors)
        near, cosines = nearest(vectors, np.arange(n if n * self.k <= MOST_SENT else 1), self.k)
        points, shares = principal_plane(vectors)
        meta = {"labels": labels, "D": vectors.shape[1], "shares": shares.tolist(), "k": self.k}
        told = [f"{labels[near[0, j]]} {cosines[0, j]:.2f}" for j in range(min(3, self.k))]
        says = (
            f"{sentence(title)} {n:,} vectors of {vectors.shape[1]} numbers; two axes hold "
            f"{shares.sum():.1%} of the variance. "
            f"Nearest to {labels[0]}: {', '.join(told) or 'nothing'}."
        )
        packed = {"points": points.astype("<f4").tobytes(), "near": near.astype("<i4").tobytes()}
        packed["cosines"] = cosines.astype("<f4").tobytes()
        super().__init__(says, title=title, meta=meta, **packed)

    def answer(self, asked: Any) -> tuple[dict[str, Any], list[bytes]] | None:
        """Return the neighbours of the point that a view asks for, and their cosines."""
        near, cosines = nearest(self.vectors, np.array([asked["ask"]]), self.k)
        return {"of": asked["ask"]}, [near.astype("<i4").tobytes(), cosines.astype("<f4").tobytes()]


def embeddings(
    source: Any,
    labels: Any,
    *,
    title: str = "Embeddings: what is near in the plane, and what is truly near",
    neighbours: int = 8,
) -> EmbeddingsViewer:
    """Show vectors as points that can be searched, each with its nearest by cosine.

    `source` is (n, D), or a GPT, whose token vectors are taken; `labels` are n strings, or the
    tokenizer. Raises ValueError where these do not fit, or for numbers that are not finite.
    """
    vectors = as_array(source.tokens.weight if hasattr(source, "tokens") else source)
    if vectors.ndim != 2 or not vectors.size or len(vectors) > MOST_POINTS:
        raise ValueError(
            f"expected vectors of shape (n, D) with n from 1 to {MOST_POINTS:,}, got "
            f"{vectors.shape}: pass some of the rows"
        )
    n = len(vectors)
    names = [labels.label(i) for i in range(n)] if hasattr(labels, "label") else list(labels)
    if len(names) != n or neighbours < 1:
        raise ValueError(
            f"expected a label for each of {n} vectors and at least 1 neighbour, got "
            f"{len(names)} labels and {neighbours}"
        )
    if not np.isfinite(vectors).all():
        row = int(np.argmin(np.isfinite(vectors).all(axis=1)))
        raise ValueError(f"expected finite numbers, got others in vector {row}, {names[row]!r}")
    return EmbeddingsViewer(vectors, [visible(name) for name in names], neighbours, title)


def principal_plane(vectors: Array) -> tuple[Array, Array]:
    """Return each vector's place on the two axes of most variance, and the axes' shares of it.

    (n, D) -> (n, 2), (2,). The largest number of an axis is positive, so that it has one direction.
    """
    places, sizes, axes = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    signs = np.where(axes.max(axis=1) >= -axes.min(axis=1), 1, -1)
    points, shares = places * sizes * signs, sizes**2 / max((sizes**2).sum(), 1e-300)
    return np.pad(points, ((0, 0), (0, 1)))[:, :2], np.pad(shares, (0, 1))[:2]


def nearest(vectors: Array, rows: NDArray[np.int64], k: int) -> tuple[NDArray[np.int64], Array]:
    """Return the k nearest others of some rows by cosine, nearest first: (n, D) -> (rows, k) twice.

    A vector of zeros has cosine 0 with everything.
    """
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-300)
    found, cosines = np.empty((len(rows), k), dtype=np.int64), np.empty((len(rows), k))
    for start in range(0, len(rows), AT_ONCE):
        these = slice(start, start + AT_ONCE)
        less = -(units[rows[these]] @ units.T)
        less[np.arange(len(less)), rows[these]] = np.inf
        best = np.argpartition(less, k - 1, axis=1)[:, :k]
        order = np.lexsort((best, np.take_along_axis(less, best, axis=1)))
        found[these] = np.take_along_axis(best, order, axis=1)
        cosines[these] = -np.take_along_axis(less, found[these], axis=1)
    return found, cosines
