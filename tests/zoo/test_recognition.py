"""What labels and numbers mean where nobody says it, and how the user overrules it."""

import numpy as np
import pytest

from keras_rnn_zoo.data import load_data
from keras_rnn_zoo.errors import DataError
from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor

FEATURES = np.random.default_rng(0).normal(size=(40, 10, 2)).astype("float32")


def saved(directory, **arrays):
    np.savez(directory / "data.npz", **arrays)
    return directory / "data.npz"


def table(directory, labels, texts=None):
    texts = texts or [f"film {i}" for i in range(len(labels))]
    lines = [f'"{text}","{label}"' for text, label in zip(texts, labels, strict=True)]
    (directory / "data.csv").write_text("text,label\n" + "\n".join(lines) + "\n")
    return directory / "data.csv"


def test_float_class_numbers_are_classes_and_the_user_may_say_otherwise(tmp_path):
    path = saved(tmp_path, x=FEATURES, y=np.arange(40.0) % 4)
    data = load_data(path)
    assert data.task == "multiclass" and data.train.y.dtype == np.int64
    assert any("4 classes" in note for note in data.notes)
    assert load_data(path, task="regression").train.y.dtype == np.float64


@pytest.mark.parametrize("y", [np.arange(40.0) / 3, np.arange(40.0) * 1000])
def test_fractions_and_whole_numbers_of_many_kinds_are_values(tmp_path, y):
    assert load_data(saved(tmp_path, x=FEATURES, y=y)).task == "regression"


@pytest.mark.parametrize("dtype", ["float64", "int64", "bool"])
def test_one_hot_labels_are_classes(tmp_path, dtype):
    path = saved(tmp_path, x=FEATURES, y=np.eye(4)[np.arange(40) % 4].astype(dtype))
    data = load_data(path)
    assert data.task == "multiclass"
    np.testing.assert_array_equal(data.train.y, np.arange(40) % 4)


def test_a_test_row_that_is_not_one_hot_is_named(tmp_path):
    y = np.eye(4)[np.arange(40) % 4]
    wrong = np.where(np.arange(40)[:, None] == 2, 1.0, y)
    path = saved(tmp_path, x_train=FEATURES, y_train=y, x_test=FEATURES, y_test=wrong)
    with pytest.raises(DataError, match="Row 3 has labels that are not one-hot"):
        load_data(path)


def test_labels_per_time_step_are_no_one_hot_labels(tmp_path):
    y = np.eye(10, dtype=int)[np.arange(40) % 10]
    assert load_data(saved(tmp_path, x=FEATURES, y=y)).task == "sequence_labelling"
    assert load_data(saved(tmp_path, x=FEATURES, y=y), task="multiclass").task == "multiclass"


def test_numbers_as_texts_are_one_label_however_written_or_values(tmp_path):
    data = load_data(table(tmp_path, ["5", "5.0", "1", "1.00"]))
    assert data.train.y == ["5", "5", "1", "1"] and data.task == "binary"
    prices = [f"{i * 1.37:.2f}" for i in range(60)]
    assert load_data(table(tmp_path, prices)).task == "regression"
    assert load_data(table(tmp_path, [1, 2, 3] * 9), task="regression").train.y.dtype == np.float64
    stars = load_data(table(tmp_path, ["0.5", "1.0", "1.5"] * 9))
    assert stars.task == "multiclass" and set(stars.train.y) == {"0.5", "1", "1.5"}


@pytest.mark.parametrize("label", ["nan", "NaN", ""])
def test_a_bare_nan_is_a_missing_label(tmp_path, label):
    with pytest.raises(DataError, match="label is missing"):
        load_data(table(tmp_path, ["a", label, "b"]))


def test_a_label_that_only_looks_like_one_is_kept(tmp_path):
    assert set(load_data(table(tmp_path, ["nano", "none", "nano"])).train.y) == {"nano", "none"}


def test_whole_numbers_below_zero_are_readings(tmp_path):
    x = np.random.default_rng(0).integers(-5, 5, (40, 8))
    data = load_data(saved(tmp_path, x=x, y=np.arange(40) % 2))
    assert data.kind == "features" and data.train.x.shape == (40, 8, 1)
    assert any("below 0" in note for note in data.notes)


def test_zeros_among_whole_numbers_are_asked_about_and_kind_settles_it(tmp_path):
    x = np.random.default_rng(0).integers(0, 5, (40, 8))
    path = saved(tmp_path, x=x, y=np.arange(40) % 2)
    data = load_data(path)
    assert data.kind == "tokens" and any("--kind features" in note for note in data.notes)
    assert load_data(path, kind="features").kind == "features"
    padded = np.where(np.arange(8) < 5, 1 + x, 0)
    assert not load_data(saved(tmp_path, x=padded, y=np.arange(40) % 2)).notes
    with pytest.raises(DataError, match="kind='text'"):
        load_data(path, kind="text")


def test_steps_of_zeros_at_the_end_are_values_and_asked_about(tmp_path):
    lengths = np.random.default_rng(0).integers(3, 10, 40)
    x = np.where(np.arange(10)[None, :, None] < lengths[:, None, None], FEATURES, 0)
    path = saved(tmp_path, x=x, y=np.arange(40) % 2)
    data = load_data(path)
    assert any("--padding-value 0" in note for note in data.notes)
    asked = load_data(path, padding_value=0)
    assert not asked.notes
    encoded = Preprocessor.fit(asked).encode_inputs(x)
    np.testing.assert_array_equal((encoded != 0).any(axis=2).sum(axis=1), lengths)
    rain = np.where(FEATURES > 0.5, FEATURES, 0)
    assert (
        (
            Preprocessor.fit(load_data(saved(tmp_path, x=rain, y=np.arange(40) % 2))).encode_inputs(
                rain
            )
            != 0
        )
        .any(axis=2)
        .all()
    )


def test_a_tag_for_each_word_is_seen_and_a_wrong_number_is_told(tmp_path):
    texts, tags = ["John lives in Paris", "I love London"] * 4, ["PER O O LOC", "O O LOC"] * 4
    data = load_data(table(tmp_path, tags, texts))
    assert data.task == "sequence_labelling" and data.train.x[1] == ["I", "love", "London"]
    assert load_data(table(tmp_path, tags, texts), task="multiclass").task == "multiclass"
    with pytest.raises(DataError, match="Row 1 has 4 words and 3 labels"):
        load_data(table(tmp_path, ["PER O O", *tags[1:]], texts), task="sequence_labelling")
    filled = np.array([["PER", "O", "O", "LOC"], ["O", "O", "LOC", "O"]] * 4)
    arrays = load_data(saved(tmp_path, x=np.array(texts), y=filled))
    assert arrays.train.y[1] == ["O", "O", "LOC"]


def test_labels_of_words_are_not_seen_in_texts_of_one_word(tmp_path):
    assert load_data(table(tmp_path, ["a", "b"] * 4, ["yes", "no"] * 4)).task == "binary"


def test_names_of_several_words_that_never_come_again_are_no_tags(tmp_path):
    path = table(tmp_path, [f"id {i}" for i in range(60)], [f"text {i}" for i in range(60)])
    assert load_data(path).task == "multiclass"
