"""Starting embeddings from the company that tokens keep in the training rows, without labels and before any step.

Tokens that stand beside the same others begin with similar numbers. This is what word2vec learns, in closed form
(Levy and Goldberg, "Neural word embedding as implicit matrix factorization", 2014): positive pointwise mutual
information of neighbours, and the largest singular vectors of that matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

_REACH: Final = 4
"""A pair counts for up to so many steps apart, the reciprocal of their distance."""
_SMOOTHED: Final = 0.75
_MOST_TOKENS: Final = 20_000
_MOST_ROWS: Final = 50_000
_DEVIATION: Final = 0.1


@torch.no_grad()
def start_from_neighbours(embeddings: Sequence[nn.Embedding], ids: Tensor) -> None:
    """Set the embeddings of tokens that have neighbours; the others, and padding, stay as they are.

    Args:
        embeddings: of the same token ids, of which 0 is padding; what is found serves all that are equally wide.
        ids: `(N, T)` of training rows.
    """
    if not embeddings:
        return
    size = min(embeddings[0].num_embeddings, _MOST_TOKENS)
    rows = ids[:: -(-len(ids) // _MOST_ROWS)].numpy()
    information = _mutual_information(np.where(rows < size, rows, 0), size)
    known = np.flatnonzero(np.diff(information.indptr))
    if size < 3 or not len(known):
        return
    for width in {embedding.embedding_dim: None for embedding in embeddings}:
        found = torch.from_numpy(_largest_vectors(information, min(width, size - 2))[known])
        found *= _DEVIATION / (float(found.std(correction=0)) or 1.0)
        for embedding in embeddings:
            if embedding.embedding_dim == width:
                embedding.weight[torch.from_numpy(known), : found.shape[1]] = found.to(embedding.weight)


def _largest_vectors(information: Any, count: int) -> NDArray[np.float64]:
    """`(V, count)`: the largest singular vectors, each by the root of its value, around 0."""
    from scipy.sparse.linalg import svds

    vectors, values, _ = svds(information, k=count, v0=np.ones(information.shape[0]), tol=1e-3)
    places: NDArray[np.float64] = vectors * np.sqrt(values)
    places -= places.mean(axis=0)
    return places


def _mutual_information(rows: NDArray[np.int64], size: int) -> Any:
    """`(V, V)` sparse: log of how much oftener two tokens are neighbours than by chance, where that is above 0."""
    from scipy import sparse

    pairs = sparse.csr_matrix((size, size))
    for distance in range(1, min(_REACH, rows.shape[1] - 1) + 1):
        first, second = rows[:, :-distance].ravel(), rows[:, distance:].ravel()
        there = (first > 0) & (second > 0)
        weight = np.full(int(there.sum()), 1 / distance)
        pairs = pairs + sparse.csr_matrix((weight, (first[there], second[there])), shape=(size, size))
    pairs = (pairs + pairs.T).tocoo()
    total = np.asarray(pairs.sum(axis=1)).ravel()
    smoothed = total**_SMOOTHED
    with np.errstate(divide="ignore"):
        expected = total[pairs.row] * smoothed[pairs.col] / max(smoothed.sum(), 1e-12)
        information = np.maximum(np.log(pairs.data / expected), 0)
    kept = information > 0
    return sparse.csr_matrix((information[kept], (pairs.row[kept], pairs.col[kept])), shape=(size, size))
