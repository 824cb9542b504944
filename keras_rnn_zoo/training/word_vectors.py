"""Word vectors that an embedding starts from, learnt from the training texts alone.

What stands beside what says much about words of which labels say little: most words are in few of
25,000 reviews, and a random vector learns these by heart. The vectors are principal components of
the words' positive pointwise mutual information, which is what word2vec factorizes, too (Levy and
Goldberg, "Neural word embedding as implicit matrix factorization", 2014), as Levy, Goldberg and
Dagan found them good ("Improving distributional similarity with lessons learned from word
embeddings", 2015): contexts smoothed by a power of 0.75, and the roots of the singular values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnn_zoo.errors import ConfigError

if TYPE_CHECKING:
    import keras

WINDOW = 8
"""Words on either side that are a word's context."""

SMOOTHING = 0.75

SPREAD = 0.3
"""Root of the mean square of the vectors' entries: the layers above start as ever."""

# Of rows at once, so that counting takes little memory beside them.
_ROWS = 2048


def check_words(word_vectors: str, x: np.ndarray) -> None:
    """Refuses word vectors where there are no words.

    Args:
        word_vectors: One of `options.WORD_VECTORS`.
        x: Training rows, `[rows, timesteps]`, or `[rows, timesteps, features]`.

    Raises:
        ConfigError: The rows are features.
    """
    if word_vectors != "random" and x.ndim > 2:
        raise ConfigError(
            "word_vectors are of texts and token ids, and these data are features. Leave it out. "
            f"Received: {word_vectors!r}"
        )


def start_from_words(
    model: keras.Model, x: np.ndarray, word_vectors: str, unknown_id: int, seed: int
) -> None:
    """Has the embedding of a model that is not trained yet start as it was asked for.

    Of cooccurrence vectors, ids that stand beside no others keep their random ones, and that of
    unknown words is zero.

    Args:
        model: With an `Embedding` that reads token ids.
        x: Training rows, int `[rows, timesteps]`, padded with 0.
        word_vectors: One of `options.WORD_VECTORS`.
        unknown_id: Of words that the vocabulary lacks.
        seed: Of the decomposition.

    Raises:
        ConfigError: The model has no embedding, or the data have no words.
    """
    import keras

    if word_vectors == "random":
        return
    check_words(word_vectors, x)
    layers = [one for one in model._flatten_layers() if isinstance(one, keras.layers.Embedding)]
    if not layers:
        raise ConfigError(
            f"Word vectors are what an embedding starts from, and model '{model.name}' has none. "
            "Leave word_vectors out."
        )
    for layer in layers:
        table = np.array(layer.embeddings)
        found, vectors = cooccurrence_vectors(x, len(table), table.shape[1], unknown_id, seed)
        table[found, : vectors.shape[1]] = vectors
        table[unknown_id] = 0
        layer.embeddings.assign(table)


def cooccurrence_vectors(
    x: np.ndarray, size: int, width: int, unknown_id: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Returns vectors of the ids that stand beside others.

    Args:
        x: int `[rows, timesteps]`, ids below `size`, padded with 0.
        size: Ids of the vocabulary.
        width: Numbers of a vector, at most.
        unknown_id: Which, like padding, is nobody's context.
        seed: Of the decomposition.

    Returns:
        The ids, `[found]`, and their vectors, float32 `[found, at most width]`, whose entries
        have a mean square of 0.3 squared.
    """
    from scipy.sparse import csr_matrix
    from sklearn.utils.extmath import randomized_svd

    counts = _counts(x, size, unknown_id)
    found = np.flatnonzero(np.diff(counts.indptr))
    if len(found) < 2:
        return found[:0], np.zeros((0, width), np.float32)
    counts = counts[found][:, found].tocoo()
    often = np.asarray(counts.sum(axis=1), np.float64).ravel()
    context = often**SMOOTHING
    information = np.log(counts.data * context.sum())
    information -= np.log(often[counts.row] * context[counts.col])
    kept = information > 0
    entries = information[kept].astype(np.float32), (counts.row[kept], counts.col[kept])
    matrix = csr_matrix(entries, shape=counts.shape)
    left, values, _ = randomized_svd(matrix, min(width, len(found)), random_state=seed)
    vectors: np.ndarray = left * np.sqrt(values)
    spread = np.sqrt(np.mean(np.square(vectors)))
    return found, (vectors * (SPREAD / spread if spread else 0)).astype(np.float32)


def _counts(x: np.ndarray, size: int, unknown_id: int) -> Any:
    """Returns how often ids stand within a window of each other, `[size, size]`, sparse."""
    from scipy.sparse import coo_matrix, csr_matrix

    counts: Any = csr_matrix((size, size), dtype=np.float32)
    for start in range(0, len(x), _ROWS):
        rows = x[start : start + _ROWS]
        real = (rows != 0) & (rows != unknown_id)
        for distance in range(1, min(WINDOW, rows.shape[1] - 1) + 1):
            both = real[:, :-distance] & real[:, distance:]
            pair = rows[:, :-distance][both], rows[:, distance:][both]
            ones = np.ones(len(pair[0]), np.float32)
            counts = counts + coo_matrix((ones, pair), shape=(size, size)).tocsr()
    return (counts + counts.T).tocsr()
