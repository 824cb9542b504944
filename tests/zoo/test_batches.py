"""Batches of like length: nothing that is answered or learnt depends on the padding left out."""

import numpy as np
import pytest

from keras_rnn_zoo import list_models
from keras_rnn_zoo.builder import MODELS, get_builder
from keras_rnn_zoo.data import Dataset, Split
from keras_rnn_zoo.training import batches, feed
from keras_rnn_zoo.training.batches import Batches, any_length
from keras_rnn_zoo.training.feed import Feed
from keras_rnn_zoo.training.train import train

ROWS, TIMESTEPS = 90, 12
CONFIG = {
    "timesteps": TIMESTEPS,
    "vocabulary_size": 30,
    "embedding_dim": 4,
    "units": 4,
    "dropout": 0.0,
}
TRIMMING = [name for name in list_models() if MODELS.get(name).any_length]


def rows(kind="tokens"):
    """Rows of every length from 0 on, most of them short; labels."""
    generator = np.random.default_rng(0)
    lengths = np.minimum(np.arange(ROWS) % 17, TIMESTEPS) * (np.arange(ROWS) % 3 + 1) // 3
    real = np.arange(TIMESTEPS) < lengths[:, None]
    if kind == "tokens":
        x = (generator.integers(1, 30, real.shape) * real).astype("int32")
    else:
        x = (generator.normal(size=(*real.shape, 3)) * real[..., None]).astype("float32")
    return x, generator.integers(0, 2, ROWS).astype("int32")


def wide(builder):
    """A model with weights that matter."""
    model = builder.build()
    generator = np.random.default_rng(1)
    model.set_weights([generator.normal(scale=0.5, size=w.shape) for w in model.get_weights()])
    return model


@pytest.fixture
def small(monkeypatch):
    """Has rows be answered in batches of eight."""
    monkeypatch.setattr(feed, "BATCH_SIZE", 8)


def test_a_length_reaches_to_the_last_step_that_is_no_padding():
    x = np.array([[1, 2, 0, 0], [0, 0, 3, 0], [0, 0, 0, 0], [1, 0, 0, 4]])
    assert Batches(x, 2).lengths.tolist() == [2, 3, 1, 4]
    features = np.stack([x * 0, x], axis=2)
    assert Batches(features, 2).lengths.tolist() == [2, 3, 1, 4]


@pytest.mark.parametrize("size", [7, 9, 200])
@pytest.mark.parametrize("per_timestep", [False, True])
def test_every_row_comes_once_an_epoch_with_its_label_and_without_padding(size, per_timestep):
    x, _ = rows()
    numbers = np.arange(ROWS)
    labels = np.tile(numbers[:, None], TIMESTEPS) if per_timestep else numbers
    one = Batches(x, size, per_timestep)
    data = one.to_learn_from(labels, numbers[:, None] * [1.0] if per_timestep else None, seed=3)
    seen = []
    for _ in range(2):
        epoch = []
        for given, number, *_ in data.as_numpy_iterator():
            found = number[:, 0] if per_timestep else number
            longest = one.lengths[found].max()
            assert given.shape == (len(found), longest)
            assert number.shape[1:] == ((longest,) if per_timestep else ())
            np.testing.assert_array_equal(given, x[found, :longest])
            assert not x[found, longest:].any()
            epoch.append(found)
        assert [len(found) for found in epoch] == [size] * (ROWS // size) + [ROWS % size] * (
            ROWS % size > 0
        )
        seen.append(np.concatenate(epoch))
        assert sorted(seen[-1]) == numbers.tolist()
    assert (seen[0] != seen[1]).any()


def test_batches_are_the_same_of_the_same_seed_and_others_of_another():
    x, _ = rows()

    def order(seed):
        data = Batches(x, 8).to_learn_from(np.arange(ROWS), seed=seed)
        return [tuple(numbers) for _ in range(2) for _, numbers in data.as_numpy_iterator()]

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_rows_of_like_length_come_together_in_other_company_each_epoch():
    generator = np.random.default_rng(0)
    x = (np.arange(100) < generator.integers(1, 101, (4000, 1))).astype("int32")
    one = Batches(x, 32)
    # Evenly spread lengths are half padding, of which nearly all is left out.
    assert 0.4 < one.saved < 0.5
    first, second = (one.shuffled(np.random.default_rng(seed)) for seed in (0, 1))
    company = {frozenset(batch) for batch in first[:3968].reshape(-1, 32).tolist()}
    assert not company & {frozenset(batch) for batch in second[:3968].reshape(-1, 32).tolist()}
    # Short ones do not come before long ones.
    lengths = one.lengths[first[:3968]].reshape(-1, 32).mean(axis=1)
    assert abs(np.corrcoef(lengths, np.arange(len(lengths)))[0, 1]) < 0.3


def test_few_rows_and_answers_per_step_are_not_sorted():
    x, _ = rows()
    shuffled = np.random.default_rng(0).permutation(ROWS)
    few = Batches(x, 32).shuffled(np.random.default_rng(0))
    assert {frozenset(few[:32]), frozenset(few[32:64])} == {
        frozenset(shuffled[:32]),
        frozenset(shuffled[32:64]),
    }
    steps = Batches(np.tile(x, (50, 1)), 8, per_timestep=True)
    order = steps.shuffled(np.random.default_rng(0))
    np.testing.assert_array_equal(order, np.random.default_rng(0).permutation(50 * ROWS))
    np.testing.assert_array_equal(steps.sorted(), np.arange(50 * ROWS))


@pytest.mark.parametrize(
    ("name", "kind", "config"),
    [
        *((name, kind, {}) for name in TRIMMING for kind in ("tokens", "features")),
        *(("gru", "tokens", {"pooling": how}) for how in ("max", "mean", "attention")),
    ],
)
@pytest.mark.usefixtures("small", "eager")
def test_answers_and_figures_are_those_of_whole_rows(name, kind, config):
    x, y = rows(kind)
    features = 3 if kind == "features" else None
    builder = get_builder(name, **CONFIG, **config, features=features)
    assert builder.trims
    model = wide(builder)
    fed = Feed.of("binary", 1, (x, y), None, "balanced", trims=builder.trims)
    fed.compile(model, 1e-3)
    whole = model.predict(x, verbose=0)
    # 1e-6: the same float32 arithmetic, in products of other sizes.
    np.testing.assert_allclose(fed.answers(model, x), whole, atol=1e-6)
    assert np.std(whole) > 1e-3
    found = fed.evaluate(model, x, y)
    right = model.evaluate(x, y, sample_weight=fed.row_weights(y), verbose=0, return_dict=True)
    assert found == pytest.approx(right, abs=1e-5)


@pytest.mark.usefixtures("eager")
def test_a_model_that_does_not_skip_padding_is_never_asked_without_it():
    x, y = rows()
    builder = get_builder("gru", **CONFIG, mask=False)
    assert not builder.trims
    model = wide(builder)
    fed = Feed.of("binary", 1, (x, y), trims=builder.trims)
    fed.compile(model, 1e-3)
    whole = model.predict(x, verbose=0)
    np.testing.assert_array_equal(fed.answers(model, x), whole)
    # It would answer something else.
    with any_length(model):
        assert np.abs(Batches(x, 8).answers(model) - whole).max() > 1e-2


@pytest.mark.parametrize(
    ("name", "config", "trims"),
    [
        ("gru", {}, True),
        ("gru", {"mask": False}, False),
        # Their loop is as long as the model was built for.
        ("gru_cell", {}, False),
        # Its linear path has weights for each time step.
        (
            "gru",
            {"features": 2, "task": "regression", "outputs": 1, "autoregression": "0"},
            False,
        ),
    ],
)
def test_who_trims(name, config, trims):
    assert get_builder(name, **config).trims is trims


def test_padding_on_the_left_is_left_where_it_is():
    x = np.zeros((20, 6), "int32")
    x[:, 4:] = 7
    assert (Batches(x, 4).lengths == 6).all()
    assert Batches(x, 4).saved == 0


def test_a_model_takes_other_lengths_only_meanwhile():
    model = get_builder("gru", **CONFIG).build()
    x, _ = rows()
    with pytest.raises(ZeroDivisionError), any_length(model):
        assert model(x[:, :5]).shape == (ROWS, 1)
        raise ZeroDivisionError
    with pytest.raises(ValueError, match="expected shape"):
        model(x[:, :5])
    assert model(x).shape == (ROWS, 1)


@pytest.mark.parametrize("task", ["binary", "sequence_labelling"])
def test_a_step_of_training_learns_the_same_without_padding(task, eagerly, monkeypatch):
    monkeypatch.setattr(batches, "LEAST_SAVED", 0)
    x, y = rows()
    x[:, TIMESTEPS - 2 :] = 0  # of all rows, so that one batch has padding to leave out
    if task == "sequence_labelling":
        y = x % 3
    weights = []
    for trims in (True, False):
        builder = get_builder("gru", **CONFIG, task=task, outputs=1 if task == "binary" else 3)
        model = wide(builder)
        fed = Feed.of(task, builder.config["outputs"], (x, y), (x, y), "balanced", trims=trims)
        fed.compile(model, 0.01)
        with eagerly():
            told = fed.fit(model, epochs=2, batch_size=ROWS, callbacks=(), seed=0).history
        weights.append((model.get_weights(), told))
    for one, other in zip(weights[0][0], weights[1][0], strict=True):
        # Adam's first steps are of one size whatever the gradient is, so that rounding shows.
        np.testing.assert_allclose(one, other, atol=1e-4)
    for name, values in weights[0][1].items():
        assert values == pytest.approx(weights[1][1][name], rel=1e-4), name


def test_a_training_in_a_graph_leaves_padding_out_and_is_the_same_again(monkeypatch):
    generator = np.random.default_rng(0)
    texts = [
        " ".join(generator.choice(["good", "bad", "film", "plot"], n))
        for n in generator.integers(1, 13, 300)
    ]
    data = Dataset("texts", "text", Split(texts, [str("good" in text) for text in texts]))
    seen = []
    whole = Batches._dataset

    def watched(self, *args):
        found = whole(self, *args)
        seen.append({one[0].shape[1] for one in found.as_numpy_iterator()})
        return found

    monkeypatch.setattr(Batches, "_dataset", watched)
    losses = [
        train(
            "rnn",
            data,
            config={**CONFIG, "layers": 1, "dropout": 0.3},
            epochs=2,
            batch_size=8,
            seed=seed,
            validation_split=0,
            progress=False,
            baseline=False,
        ).metrics["train_loss"]
        for seed in (1, 1, 2)
    ]
    assert all(len(lengths) > 3 for lengths in seen[::2])
    # 1e-6: float32 sums may be taken in another order.
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert abs(losses[0] - losses[2]) > 1e-5
