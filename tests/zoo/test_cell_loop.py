import keras
import numpy as np
import pytest
from keras import layers

from keras_rnn_zoo.layers import CellLoop

CELLS = {
    "rnn": lambda: [layers.SimpleRNNCell(5)],
    "lstm": lambda: [layers.LSTMCell(5)],
    "gru": lambda: [layers.GRUCell(5)],
    "gru_reset_before": lambda: [layers.GRUCell(5, reset_after=False)],
    "stacked": lambda: [layers.LSTMCell(4), layers.GRUCell(3), layers.SimpleRNNCell(6)],
}
MASKS = {
    "none": None,
    "right": np.arange(7) < np.array([[7], [4], [1], [0]]),
    "left": np.arange(7) >= np.array([[0], [3], [6], [7]]),
    "holes": np.random.default_rng(1).random((4, 7)) > 0.4,
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_it_computes_what_keras_rnn_computes(kind, return_sequences, mask):
    loop = CellLoop(CELLS[kind](), return_sequences=return_sequences)
    cells = CELLS[kind]()
    layer = layers.RNN(cells if len(cells) > 1 else cells[0], return_sequences=return_sequences)
    x = np.random.default_rng(0).normal(size=(4, 7, 3)).astype(np.float32)
    loop.build(x.shape), layer.build(x.shape)
    generator = np.random.default_rng(2)
    weights = [generator.normal(size=w.shape) for w in loop.get_weights()]
    loop.set_weights(weights)
    layer.set_weights(weights)
    mask = MASKS[mask]
    given = None if mask is None else keras.ops.convert_to_tensor(mask)
    received, expected = np.asarray(loop(x, mask=given)), np.asarray(layer(x, mask=given))
    assert np.abs(expected).max() > 0.1
    # 1e-6: the same float32 arithmetic.
    np.testing.assert_allclose(received, expected, atol=1e-6)


def test_a_sequence_passes_its_mask_on_and_a_vector_has_none():
    inputs = keras.Input((4,), dtype="int32")
    x = layers.Embedding(5, 2, mask_zero=True)(inputs)
    tokens = np.array([[1, 2, 0, 0]])
    for return_sequences, expected in ((True, [[True, True, False, False]]), (False, None)):
        output = CellLoop(layers.GRUCell(3), return_sequences=return_sequences)(x)
        answer = keras.Model(inputs, output)(tokens)
        mask = getattr(answer, "_keras_mask", None)
        assert (mask is None) == (expected is None)
        if expected is not None:
            np.testing.assert_array_equal(mask, expected)


def test_dropout_is_drawn_once_a_call_and_anew_each_call():
    keras.utils.set_random_seed(0)
    cell = layers.SimpleRNNCell(
        6, dropout=0.5, activation="linear", kernel_initializer="identity", use_bias=False
    )
    loop = CellLoop(cell, return_sequences=True)
    x = np.ones((1, 3, 6), np.float32)
    loop.build(x.shape)
    cell.recurrent_kernel.assign(np.zeros((6, 6)))
    first, second = (np.asarray(loop(x, training=True)) for _ in range(2))
    assert (first == first[:, :1]).all() and 0 < (first[0, 0] == 0).sum() < 6
    assert (first != second).any()
    np.testing.assert_array_equal(loop(x, training=False), x)


def test_a_training_step_in_a_graph_with_dropout_draws_new_masks_each_batch():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3, 4))
    cells = [layers.GRUCell(4, dropout=0.5, recurrent_dropout=0.5) for _ in range(2)]
    model = keras.Model(inputs, layers.Dense(1)(CellLoop(cells)(inputs)))
    model.compile("sgd", "mse")
    assert model.jit_compile is False
    x = np.ones((8, 3, 4))
    losses = model.fit(x, np.ones((8, 1)), epochs=3, batch_size=4, verbose=0).history["loss"]
    assert np.isfinite(losses).all()


@pytest.mark.parametrize(
    ("cells", "message"),
    [([], "a cell or a list of cells"), ([3], "Received: 3"), (layers.Dense(3), "state_size")],
)
def test_what_is_no_cell_is_refused(cells, message):
    with pytest.raises(ValueError, match=message):
        CellLoop(cells)


def test_an_open_number_of_time_steps_is_refused_by_name():
    with pytest.raises(ValueError, match="'open' loops over a fixed number of time steps"):
        CellLoop(layers.GRUCell(2), name="open")(keras.Input((None, 3)))


def test_the_config_rebuilds_the_layer():
    loop = CellLoop(CELLS["stacked"](), return_sequences=True, name="mine")
    again = CellLoop.from_config(loop.get_config())
    assert again.get_config() == loop.get_config()
    assert again.return_sequences and again.name == "mine"
    assert [type(cell).__name__ for cell in again.cells] == ["LSTMCell", "GRUCell", "SimpleRNNCell"]
    assert again.compute_output_shape((None, 7, 3)) == (None, 7, 6)
