"""Starting embeddings from the company that tokens keep in the training rows, without labels and before any step.

Tokens that stand beside the same others begin with similar numbers. This is what word2vec learns, in closed form
(Levy and Goldberg, "Neural word embedding as implicit matrix factorization", 2014): positive pointwise mutual
information of neighbours, and the largest singular vectors of that matrix.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
def start_from_neighbours(
    embeddings: Sequence[nn.Embedding], ids: Tensor, known: dict[str, tuple[Tensor, Tensor]]
) -> None:
    """Set the embeddings of tokens that have neighbours; the others, and padding, stay as they are.

    Args:
        embeddings: of the same token ids, of which 0 is padding; what is found serves all that are equally wide.
        ids: `(N, T)` of training rows.
        known: what was found for these rows before, by width; it is added to.
    """
    widths = {embedding.embedding_dim: None for embedding in embeddings}
    missing = [width for width in widths if f"neighbours {width}" not in known]
    if missing:
        known |= {f"neighbours {width}": pair for width, pair in _found(missing, embeddings[0], ids)}
    for embedding in embeddings:
        tokens, vectors = known.get(f"neighbours {embedding.embedding_dim}", (None, None))
        if tokens is not None and vectors is not None:
            embedding.weight[tokens, : vectors.shape[1]] = vectors.to(embedding.weight)


def _found(widths: Sequence[int], embedding: nn.Embedding, ids: Tensor) -> Iterator[tuple[int, tuple[Tensor, Tensor]]]:
    """For each width: tokens that have neighbours, and their numbers."""
    size = min(embedding.num_embeddings, _MOST_TOKENS)
    rows = ids[:: -(-len(ids) // _MOST_ROWS)].numpy()
    information = _mutual_information(np.where(rows < size, rows, 0), size)
    tokens = np.flatnonzero(np.diff(information.indptr))
    if size < 3 or not len(tokens):
        return
    for width in widths:
        vectors = torch.from_numpy(_largest_vectors(information, min(width, size - 2))[tokens])
        vectors *= _DEVIATION / (float(vectors.std(correction=0)) or 1.0)
        yield width, (torch.from_numpy(tokens), vectors)


def _largest_vectors(information: Any, count: int) -> NDArray[np.float64]:
    """`(V, count)`: the largest singular vectors, each by the root of its value, around 0."""
    from scipy.sparse.linalg import svds
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # its products are so small that a second thread makes them three times slower
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
