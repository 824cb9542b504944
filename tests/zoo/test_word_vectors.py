"""What an embedding starts from: words that stand beside the same words are near each other."""

import keras
import numpy as np
import pytest

from keras_rnn_zoo import Dataset, Run, Split, get_model, train
from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.training.options import TrainOptions
from keras_rnn_zoo.training.word_vectors import (
    SMOOTHING,
    SPREAD,
    WINDOW,
    cooccurrence_vectors,
    start_from_words,
)

UNKNOWN = 1


@pytest.fixture(scope="module")
def rows():
    """Ids 2 and 3 stand among 5 to 8, 4 among 9 to 12; each row has some padding."""
    generator = np.random.default_rng(0)
    x = np.zeros((300, 12), np.int32)
    for row in x:
        word, first = ((2, 5), (3, 5), (4, 9))[generator.integers(3)]
        row[:10] = generator.integers(first, first + 4, 10)
        row[generator.integers(10, size=2)] = word
    return x


def spread(vectors):
    return np.sqrt(np.mean(np.square(vectors)))


def brute_force(x, size):
    counts = np.zeros((size, size))
    for row in x:
        for i, one in enumerate(row):
            for other in row[max(0, i - WINDOW) : i]:
                if one > UNKNOWN and other > UNKNOWN:
                    counts[one, other] += 1
                    counts[other, one] += 1
    return counts


def test_the_vectors_are_the_components_of_pointwise_mutual_information(rows):
    found, vectors = cooccurrence_vectors(rows, 14, 11, UNKNOWN)
    assert found.tolist() == list(range(2, 13))  # neither padding nor unknown words, nor id 13
    counts = brute_force(rows, 14)[2:13, 2:13]
    context = counts.sum(axis=0) ** SMOOTHING
    with np.errstate(divide="ignore"):
        information = np.log(counts * context.sum() / (counts.sum(axis=1, keepdims=True) * context))
    left, values, _ = np.linalg.svd(np.maximum(information, 0))
    expected = left * np.sqrt(values)
    # Components have no sign of their own, products of vectors have none to lose. 1e-4: float32.
    expected = expected @ expected.T * SPREAD**2 / np.square(expected).mean()
    np.testing.assert_allclose(vectors @ vectors.T, expected, atol=1e-4 * np.abs(expected).max())


def test_words_that_stand_beside_the_same_words_are_near(rows):
    _, vectors = cooccurrence_vectors(rows, 14, 2, UNKNOWN)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    near, far = unit[0] @ unit[1], unit[0] @ unit[2]  # of the ids 2 and 3, and of 2 and 4
    assert near > 0.9 > 0.1 > abs(far)


def test_the_embedding_alone_starts_otherwise(rows):
    keras.utils.set_random_seed(0)
    model = get_model("conv_gru", vocabulary_size=14, timesteps=12, embedding_dim=20)
    before = [np.array(weight) for weight in model.weights]
    start_from_words(model, rows, "random", UNKNOWN, 0)
    assert all((one == two).all() for one, two in zip(before, model.weights, strict=True))
    start_from_words(model, rows, "cooccurrence", UNKNOWN, 0)
    table = np.array(model.weights[0])
    assert (table[UNKNOWN] == 0).all()
    # Id 13 stands nowhere; of 20 columns 11 words fill 11.
    np.testing.assert_array_equal(table[[0, 13]], before[0][[0, 13]])
    np.testing.assert_array_equal(table[2:13, 11:], before[0][2:13, 11:])
    assert spread(table[2:13, :11]) == pytest.approx(SPREAD, rel=1e-5)
    for one, two in zip(before[1:], model.weights[1:], strict=True):
        np.testing.assert_array_equal(one, np.array(two))


def test_rows_of_one_word_leave_random_vectors():
    model = get_model("rnn", vocabulary_size=5, timesteps=4)
    before = np.array(model.weights[0])
    start_from_words(model, np.array([[2, 0, 0, 0]]), "cooccurrence", UNKNOWN, 0)
    np.testing.assert_array_equal(np.array(model.weights[0])[2:], before[2:])


def test_a_run_records_them_and_goes_on_with_them(rows, tmp_path):
    data = Dataset("d", "tokens", Split(rows, rows[:, 0] % 2))
    settings = {
        "config": {"units": 2, "embedding_dim": 3, "layers": 1, "timesteps": 12},
        "epochs": 1,
        "progress": False,
        "output": tmp_path / "run",
        # So small that the vectors stay what they were at first.
        "learning_rate": 1e-9,
    }
    train("rnn", data, word_vectors="cooccurrence", **settings)
    run = Run.load(tmp_path / "run")
    assert run.info["hyperparameters"]["word_vectors"] == "cooccurrence"
    assert spread(np.array(run.load_model().weights[0])[2:13]) == pytest.approx(SPREAD, rel=1e-4)
    settings["epochs"] = 2
    with pytest.raises(ConfigError, match="word_vectors was cooccurrence and is random"):
        train("rnn", data, resume=True, **settings)
    again = train("rnn", data, word_vectors="cooccurrence", resume=True, **settings)
    assert again.metrics["epochs"] == 2


def test_what_has_no_words_is_refused(rows):
    x = np.random.default_rng(0).normal(size=(40, 5, 2)).astype(np.float32)
    data = Dataset("d", "features", Split(x, np.arange(40) % 2))
    with pytest.raises(ConfigError, match="word_vectors are of texts and token ids"):
        train("rnn", data, word_vectors="cooccurrence", epochs=1, progress=False)
    with pytest.raises(ConfigError, match="Did you mean 'cooccurrence'"):
        TrainOptions(word_vectors="cooccurence")
    inputs = keras.Input((12,))
    with pytest.raises(ConfigError, match="has none"):
        start_from_words(keras.Model(inputs, inputs), rows, "cooccurrence", UNKNOWN, 0)
