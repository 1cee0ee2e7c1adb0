"""Starting embeddings from the company that tokens keep in the training rows, without labels and before any step.

Tokens that stand beside the same others begin with similar numbers. This is what word2vec learns, in closed form
(Levy and Goldberg, "Neural word embedding as implicit matrix factorization", 2014): positive pointwise mutual
information of neighbours, and the largest singular vectors of that matrix.
"""

from __future__ import annotations

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
def start_from_neighbours(embedding: nn.Embedding, ids: Tensor) -> None:
    """Set the embeddings of tokens that have neighbours; the others, and padding, stay as they are.

    Args:
        embedding: of token ids; 0 is padding.
        ids: `(N, T)` of training rows.
    """
    from scipy.sparse.linalg import svds

    size = min(embedding.num_embeddings, _MOST_TOKENS)
    rows = ids[:: -(-len(ids) // _MOST_ROWS)].numpy()
    information = _mutual_information(np.where(rows < size, rows, 0), size)
    wanted = min(embedding.embedding_dim, size - 2)
    if wanted < 1 or not information.nnz:
        return
    vectors, values, _ = svds(information, k=wanted, v0=np.ones(size), tol=1e-3)
    places = vectors * np.sqrt(values)
    places -= places.mean(axis=0)
    known = np.flatnonzero(np.diff(information.indptr))
    scaled = places[known] * (_DEVIATION / (places[known].std() or 1.0))
    embedding.weight[torch.from_numpy(known), :wanted] = torch.from_numpy(scaled).to(embedding.weight)


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
