import json
from dataclasses import replace

import numpy as np
import pytest

from keras_rnn_zoo.data import Dataset, Split, load_data
from keras_rnn_zoo.errors import ConfigError, DataError, RunError, UnknownNameError
from keras_rnn_zoo.preprocessing.options import EncodingOptions
from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor
from keras_rnn_zoo.preprocessing.vocabulary import Vocabulary


def features(x, y=None, task=None):
    y = np.arange(len(x)) % 2 if y is None else y
    return Dataset("arrays", "features", Split(x, y), task=task)


def tokens(x, y=None, task=None):
    y = np.arange(len(x)) % 2 if y is None else y
    return Dataset("arrays", "tokens", Split(x, y), task=task)


# ---------------------------------------------------------------------- texts and tokens


def test_texts_are_padded_on_the_right_and_keep_their_end_by_default(texts):
    preprocessor = Preprocessor.fit(texts, timesteps=3)
    decode = preprocessor.vocabulary.decode
    encoded = preprocessor.encode_inputs(["great film", "a wonderful moving film"])
    assert encoded.dtype == np.int32
    assert encoded.shape == (2, 3)
    assert encoded[0, 2] == 0
    assert decode(encoded[0]) == ["great", "film"]
    assert decode(encoded[1]) == ["wonderful", "moving", "film"]


@pytest.mark.parametrize(
    ("padding", "truncating", "short", "long"),
    [
        ("post", "pre", [1, 2, 0], [2, 3, 4]),
        ("post", "post", [1, 2, 0], [1, 2, 3]),
        ("pre", "pre", [0, 1, 2], [2, 3, 4]),
        ("pre", "post", [0, 1, 2], [1, 2, 3]),
    ],
)
def test_padding_and_truncating_take_either_side(padding, truncating, short, long):
    dataset = tokens([[1, 2], [1, 2, 3, 4]])
    preprocessor = Preprocessor.fit(dataset, timesteps=3, padding=padding, truncating=truncating)
    np.testing.assert_array_equal(preprocessor.encode_inputs(dataset.train.x), [short, long])


def test_padding_that_the_data_bring_along_is_not_mistaken_for_words():
    x = np.array([[1, 2, 0, 0], [0, 0, 3, 4]])
    preprocessor = Preprocessor.fit(tokens(x), timesteps=2)
    np.testing.assert_array_equal(preprocessor.encode_inputs(x), [[1, 2], [3, 4]])


def test_the_vocabulary_is_fitted_on_the_chosen_rows_only(texts):
    preprocessor = Preprocessor.fit(texts, rows=np.arange(2))
    assert "19" not in preprocessor.vocabulary.tokens
    assert "0" in preprocessor.vocabulary.tokens


def test_token_ids_without_a_vocabulary_need_room_for_the_largest():
    preprocessor = Preprocessor.fit(tokens([[1, 2], [7]]))
    assert preprocessor.vocabulary_size == 8
    assert preprocessor.timesteps == 200
    with pytest.raises(DataError, match=r"Row 2 holds the token id 8; .* 0 to 7"):
        preprocessor.encode_inputs([[1], [8]])
    assert Preprocessor.fit(tokens([[1], [7]]), vocabulary_size=50).vocabulary_size == 50
    small = Preprocessor.fit(tokens([[1], [7]]), vocabulary_size=5)
    with pytest.raises(DataError, match="Row 2"):
        small.encode_inputs([[1], [7]])


@pytest.mark.parametrize("text", ["", "  ", "!!!", "xyzzy plugh"])
def test_a_text_without_a_known_word_is_named_or_becomes_unknown(texts, text):
    preprocessor = Preprocessor.fit(texts, timesteps=4)
    with pytest.raises(DataError, match="Row 2 has no word"):
        preprocessor.encode_inputs(["great film", text])
    assert preprocessor.encode_inputs([text], strict=False)[0, 0] == 1


def test_raw_text_for_a_model_of_bare_token_ids_is_refused():
    preprocessor = Preprocessor.fit(tokens([[1], [2]]))
    with pytest.raises(DataError, match="token ids without a vocabulary"):
        preprocessor.encode_inputs(["film"])


def test_one_text_instead_of_a_list_is_refused(texts):
    with pytest.raises(DataError, match="Give a list"):
        Preprocessor.fit(texts).encode_inputs("great film")


@pytest.mark.parametrize("value", [3, None, [1, 2], 0.5])
def test_something_else_than_a_text_is_refused(texts, value):
    with pytest.raises(DataError, match="Row 1 is not a text"):
        Preprocessor.fit(texts).encode_inputs([value])


@pytest.mark.parametrize("value", [[0.5], [[1]], [], ["a"], 3, [[1], [2, 3]]], ids=str)
def test_something_else_than_token_ids_is_refused(value):
    with pytest.raises(DataError, match="Row 1"):
        Preprocessor.fit(tokens([[1], [2]])).encode_inputs([value])


# ---------------------------------------------------------------------- features


def test_features_are_standardized_by_the_training_rows_alone():
    generator = np.random.default_rng(0)
    x = generator.normal([5.0, -3.0], [2.0, 10.0], (200, 6, 2))
    preprocessor = Preprocessor.fit(features(x), rows=np.arange(100))
    encoded = preprocessor.encode_inputs(x)
    assert encoded.dtype == np.float32
    assert preprocessor.timesteps == 6
    fitted = encoded[:100].reshape(-1, 2)
    # 1e-5: float32 sums of 600 values near 1.
    np.testing.assert_allclose(fitted.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(fitted.std(axis=0), 1, atol=1e-5)
    assert abs(encoded[100:].mean()) > 1e-4


@pytest.mark.parametrize("filler", [0.0, -999.0, np.nan])
@pytest.mark.parametrize("padding", ["post", "pre"])
def test_steps_of_padding_stay_zero_and_are_not_fitted_on(padding, filler):
    x = np.full((4, 5, 1), 3.0)
    x[::2] = 5.0
    side = slice(3, None) if padding == "post" else slice(None, 2)
    x[:, side] = filler
    data = replace(features(x), padding_value=None if np.isnan(filler) else filler)
    preprocessor = Preprocessor.fit(data, padding=padding, timesteps=5)
    assert preprocessor.scaling["mean"] == [4.0]
    encoded = preprocessor.encode_inputs(x)
    assert (encoded[:, side] == 0).all()
    assert np.count_nonzero(encoded) == 4 * 3


@pytest.mark.parametrize("filler", [None, 0.0])
def test_a_zero_step_inside_and_a_row_of_zeros_are_data_and_not_padding(filler):
    x = np.array([[[1.0], [0.0], [2.0]], [[0.0], [0.0], [0.0]]])
    data = replace(features(x), padding_value=filler)
    encoded = Preprocessor.fit(data).encode_inputs(x)
    assert (encoded != 0).all()


def test_a_zero_at_the_end_is_a_value_unless_it_is_said_to_be_padding():
    x = np.array([[[1.0], [3.0], [0.0]], [[2.0], [0.0], [0.0]]])
    assert (Preprocessor.fit(features(x)).encode_inputs(x) != 0).all()
    padded = Preprocessor.fit(replace(features(x), padding_value=0.0)).encode_inputs(x)
    assert np.count_nonzero(padded) == 3


def test_a_run_from_before_there_was_a_choice_takes_zeros_for_padding(tmp_path):
    x = np.array([[[1.0], [3.0], [0.0]], [[2.0], [0.0], [0.0]]])
    values = Preprocessor.fit(replace(features(x), padding_value=0.0)).to_dict()
    del values["padding_value"]
    old = Preprocessor.from_dict(values, tmp_path)
    assert np.count_nonzero(old.encode_inputs(x)) == 3


def test_a_step_that_equals_the_mean_is_not_masked_as_padding():
    x = np.array([[[1.0], [2.0], [3.0]], [[1.0], [2.0], [3.0]]])
    encoded = Preprocessor.fit(features(x)).encode_inputs(x)
    assert encoded[0, 1, 0] != 0
    assert abs(encoded[0, 1, 0]) < 1e-5


def test_a_constant_feature_does_not_become_infinite():
    x = np.full((4, 3, 2), 0.1, np.float32)
    x[:, :, 1] = np.arange(12).reshape(4, 3)
    encoded = Preprocessor.fit(features(x)).encode_inputs(x)
    assert np.isfinite(encoded).all()
    assert abs(encoded[:, :, 0]).max() < 1e-5


def test_sequences_of_different_lengths_are_padded_and_cut():
    x = [[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]]
    preprocessor = Preprocessor.fit(features(x))
    assert preprocessor.timesteps == 3
    encoded = preprocessor.encode_inputs(x)
    assert (encoded[0, 1:] == 0).all()
    longer = preprocessor.encode_inputs([[[0.5, 0.5], *x[1]]])
    np.testing.assert_array_equal(longer[0], encoded[1])


BAD_FEATURES = {
    "nan": ([[[1.0], [np.nan], [1.0]]], "Row 1, time step 2 holds NaN"),
    "nan_only": ([[[np.nan], [np.nan]]], "Row 1, time step 1 holds NaN"),
    "inf": ([[[np.inf], [1.0]]], "Row 1, time step 1"),
    "beyond_float32": ([[[1e300], [1.0]]], "Row 1, time step 1"),
    "ragged": ([[[1.0], [1.0, 2.0]]], "Row 1 is ragged"),
    "text": ([["a", "b"]], "Row 1 is ragged or holds something that is no number"),
    "object": ([None], "Row 1"),
    "wrong_width": ([[[1.0]], [[1.0, 2.0]]], "Row 2 has 2 features"),
    "too_deep": ([[[[1.0]]]], r"Row 1 has shape \[1, 1, 1\]"),
    "no_steps": ([np.zeros((0, 1))], "Row 1 is empty"),
}


@pytest.mark.parametrize("case", BAD_FEATURES)
def test_bad_features_are_refused_by_row_in_training_and_prediction(case):
    x, message = BAD_FEATURES[case]
    preprocessor = Preprocessor.fit(features(np.arange(8.0).reshape(4, 2, 1)))
    with pytest.raises(DataError, match=message):
        preprocessor.encode_inputs(x)
    good = [[[1.0]], [[2.0]]] if case == "wrong_width" else []
    with pytest.raises(DataError):
        Preprocessor.fit(features([*good, *x], y=np.arange(len(good) + len(x)) % 2))


# ---------------------------------------------------------------------- labels


def test_labels_are_sorted_by_the_alphabet_or_as_numbers():
    names = Dataset("t", "text", Split(["a"] * 3, ["pos", "neg", "pos"]))
    numbers = Dataset("t", "text", Split(["a"] * 4, ["10", "9", "-1", "9"]))
    assert Preprocessor.fit(names).labels == ("neg", "pos")
    assert Preprocessor.fit(numbers).labels == ("-1", "9", "10")
    np.testing.assert_array_equal(Preprocessor.fit(names).encode_labels(names.train.y), [1, 0, 1])


def test_whole_numbers_booleans_and_whole_floats_are_the_same_labels():
    preprocessor = Preprocessor.fit(tokens([[1], [2]], np.array([0, 1])))
    for y in (np.array([True, False]), np.array([1.0, 0.0]), ["1", "0"], np.array([[1], [0]])):
        np.testing.assert_array_equal(preprocessor.encode_labels(y), [1, 0])


def test_an_unseen_label_is_named_with_its_row_and_the_legal_ones(texts):
    with pytest.raises(DataError, match=r"Row 2 .*'positive'.*'neg', 'pos'"):
        Preprocessor.fit(texts).encode_labels(["pos", "positive"])


@pytest.mark.parametrize(
    ("y", "task", "message"),
    [
        (["pos"] * 30, None, "same label.*'pos'"),
        ([f"id{i}" for i in range(30)], None, "30 different labels"),
        (["a", "b", "c"] * 10, "binary", "takes two labels"),
        (["a", " "] * 15, None, "empty"),
        (np.arange(30) + 0.5, "multiclass", "neither a name nor a whole number"),
        (["1.5", "x"] * 15, "regression", "Row 2 has the target 'x'"),
        (["1.5", "nan"] * 15, "regression", "Row 2 has a target that is NaN"),
        (np.array([1.0, np.inf] * 15), None, "Row 2"),
        ([[1.0, 2.0], [1.0]] * 15, "regression", "different numbers of values"),
        (np.eye(30, dtype=int), None, "not one-hot"),
    ],
    ids=[
        "one_label",
        "all_different",
        "not_binary",
        "blank",
        "fractions",
        "unparsable",
        "nan",
        "inf",
        "ragged",
        "one_hot",
    ],
)
def test_bad_labels_are_refused(y, task, message):
    dataset = tokens([[1, 2]] * 30, y)
    with pytest.raises(DataError, match=message) as caught:
        preprocessor = Preprocessor.fit(dataset, task=task)
        preprocessor.encode_labels(y, dataset.train.x)
    assert "\n" not in str(caught.value)


def test_regression_targets_keep_their_values_and_their_number():
    preprocessor = Preprocessor.fit(features(np.ones((2, 3, 1)), np.array([[0.5, 1], [2, 3]])))
    assert (preprocessor.outputs, preprocessor.labels) == (2, None)
    assert preprocessor.encode_labels([[1, 2]]).dtype == np.float32
    with pytest.raises(DataError, match="1 values per row"):
        preprocessor.encode_labels([1.0])
    parsed = Dataset("t", "text", Split(["a", "b"], ["1.5", "-2"]))
    preprocessor = Preprocessor.fit(parsed, task="regression")
    np.testing.assert_array_equal(preprocessor.encode_labels(["1.5", "-2"]), [[1.5], [-2]])


@pytest.mark.parametrize("padding", ["post", "pre"])
def test_labels_per_time_step_are_padded_and_cut_like_their_inputs(padding):
    x = [[5, 6], [7, 8, 9, 5]]
    y = [["a", "b"], ["a", "a", "b", "c"]]
    preprocessor = Preprocessor.fit(tokens(x, y), timesteps=3, padding=padding)
    assert preprocessor.task == "sequence_labelling"
    assert preprocessor.labels == ("a", "b", "c")
    short = [0, 1, 0] if padding == "post" else [0, 0, 1]
    np.testing.assert_array_equal(preprocessor.encode_labels(y, x), [short, [0, 1, 2]])


def test_labels_of_padded_steps_are_no_labels():
    x = np.array([[1, 2, 0, 0], [3, 4, 5, 0]])
    y = np.array([[1, 2, -1, -1], [1, 1, 2, -1]])
    preprocessor = Preprocessor.fit(tokens(x, y), timesteps=4)
    assert preprocessor.labels == ("1", "2")
    np.testing.assert_array_equal(preprocessor.encode_labels(y, x), [[0, 1, 0, 0], [0, 0, 1, 0]])
    values = np.where(x == 0, np.nan, x)[..., np.newaxis]
    same = Preprocessor.fit(features(values, y), timesteps=4)
    np.testing.assert_array_equal(same.encode_labels(y, values), preprocessor.encode_labels(y, x))


# ---------------------------------------------------------------------- answers


def test_one_output_decodes_to_two_labels_split_at_one_half(texts):
    answers = Preprocessor.fit(texts).decode(np.array([[0.8], [0.1], [0.5]], np.float32))
    assert [answer["label"] for answer in answers] == ["pos", "neg", "neg"]
    # 1e-7: float32 outputs.
    assert answers[1]["score"] == pytest.approx(0.9, abs=1e-7)
    assert answers[0]["scores"] == pytest.approx({"neg": 0.2, "pos": 0.8}, abs=1e-7)


def test_class_probabilities_decode_to_the_most_likely_label():
    preprocessor = Preprocessor.fit(tokens([[1]] * 3, np.array([2, 4, 6])))
    (answer,) = preprocessor.decode(np.array([[0.1, 0.7, 0.2]]))
    assert answer == {"label": "4", "score": 0.7, "scores": {"2": 0.1, "4": 0.7, "6": 0.2}}


def test_labels_per_step_decode_without_the_padding():
    preprocessor = Preprocessor.fit(
        tokens([[1, 2], [2, 1]], np.array([[0, 1], [1, 0]])), timesteps=3
    )
    outputs = np.array([[[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]])
    (answer,) = preprocessor.decode(outputs, np.array([[1, 2, 0]]))
    assert answer == {"labels": ["0", "1"], "scores": [0.9, 0.8]}
    assert len(preprocessor.decode(outputs)[0]["labels"]) == 3


def test_regression_outputs_decode_to_values():
    preprocessor = Preprocessor.fit(features(np.ones((2, 3, 1)), np.array([0.5, 1.5])))
    assert preprocessor.decode(np.array([[2.5]])) == [{"values": [2.5]}]


# ---------------------------------------------------------------------- settings and travelling


@pytest.mark.parametrize(
    "settings",
    [
        {"padding": "left"},
        {"truncating": "both"},
        {"timesteps": 0},
        {"timesteps": 2.5},
        {"timesteps": True},
        {"vocabulary_size": 2},
        {"task": "binari"},
    ],
    ids=str,
)
def test_an_illegal_setting_is_refused(texts, settings):
    with pytest.raises(ConfigError):
        Preprocessor.fit(texts, **settings)


def test_the_data_dictate_a_models_inputs_and_head(texts):
    config = Preprocessor.fit(texts, timesteps=5).model_config()
    vocabulary_size = config.pop("vocabulary_size")
    assert 20 < vocabulary_size < 60  # the words there are, not the 10,000 there may be
    assert config == {"features": None, "timesteps": 5, "task": "binary", "outputs": 1}
    assert Preprocessor.fit(load_data("digits")).model_config() == {
        "features": 8,
        "timesteps": 8,
        "task": "multiclass",
        "outputs": 10,
    }


def test_a_preprocessor_travels_as_strict_json_and_text_files(texts, tmp_path):
    for dataset in (
        texts,
        load_data("digits"),
        tokens([[1], [2]]),
        features(np.ones((2, 3, 1)), np.array([0.5, 1.5])),
    ):
        directory = tmp_path / dataset.kind
        directory.mkdir(exist_ok=True)
        preprocessor = Preprocessor.fit(dataset, padding="pre")
        preprocessor.save(directory)
        text = json.dumps(preprocessor.to_dict(), allow_nan=False)
        loaded = Preprocessor.from_dict(json.loads(text), directory)
        assert loaded == preprocessor
        np.testing.assert_array_equal(
            loaded.encode_inputs(dataset.train.x), preprocessor.encode_inputs(dataset.train.x)
        )
    assert (tmp_path / "text" / "labels.txt").read_text() == "neg\npos\n"
    assert (tmp_path / "text" / "vocab.txt").read_text().startswith("<PAD> 0\n<UNKNOWN> 1\n")


def test_a_damaged_description_is_refused(texts, tmp_path):
    values = Preprocessor.fit(texts).to_dict()
    with pytest.raises(RunError, match=r"vocab\.txt"):
        Preprocessor.from_dict(values, tmp_path)
    with pytest.raises(RunError, match="damaged"):
        Preprocessor.from_dict({"kind": "text"}, tmp_path)


# ---------------------------------------------------------------------------- asked for by clients


def test_settings_that_nobody_chose_are_those_that_the_target_asks_for():
    usual = EncodingOptions()
    assert (usual.padding, usual.truncating, usual.tokenizer) == ("post", "pre", None)
    assert EncodingOptions(target="litert") == usual.replace(target="litert")
    asked = EncodingOptions(target="mediapipe")
    assert (asked.padding, asked.truncating, asked.tokenizer) == ("post", "post", "cased_words")
    assert EncodingOptions.from_dict(asked.to_dict()) == asked
    assert EncodingOptions(target="mediapipe", truncating="post") == asked
    with pytest.raises(ConfigError, match=r"takes truncating 'post'.*Received: 'pre'\. Leave"):
        EncodingOptions(target="mediapipe", truncating="pre")
    with pytest.raises(UnknownNameError, match="Did you mean 'mediapipe'"):
        EncodingOptions(target="media_pipe")


# ---------------------------------------------------------------------- streams


def test_the_parts_of_a_text_give_the_ids_of_the_whole(texts):
    fitted = Preprocessor.fit(texts, timesteps=4)
    started = Vocabulary(["<PAD>", "<START>", *fitted.vocabulary.tokens[1:]])
    for vocabulary, most in ((fitted.vocabulary, 4), (started, 5)):
        preprocessor = replace(fitted, vocabulary=vocabulary, timesteps=most)
        (whole,) = preprocessor.encode_inputs(["A great, wonderful film"])
        parts = ["A great,", "...", "", "wonderful film"]
        ids = [preprocessor.encode_part(part, begins=not n) for n, part in enumerate(parts)]
        assert [one for part in ids for one in part] == whole.tolist()
        assert ids[1] == ids[2] == []
    assert started.start_id == 1 and ids[0][0] == 1
    assert preprocessor.encode_part(["great", "film"], begins=True)[0] != 1
    with pytest.raises(DataError, match="takes no texts: it was trained on features"):
        Preprocessor.fit(features(np.ones((4, 3, 2)))).encode_part("film", True)


def test_steps_are_scaled_and_ids_checked_as_rows_are():
    x = np.random.default_rng(0).normal(4, 3, (6, 5, 2)).astype("float32")
    preprocessor = Preprocessor.fit(features(x))
    assert np.array_equal(preprocessor.encode_steps(x), preprocessor.encode_inputs(x))
    assert np.array_equal(preprocessor.encode_steps(x[0, 0]), preprocessor.encode_inputs(x)[0, 0])
    mean = np.array(preprocessor.scaling["mean"], np.float32)
    # Zeros alone would be taken for padding.
    assert preprocessor.encode_steps(mean).any()
    ids = Preprocessor.fit(tokens([[1, 2], [3, 4]]))
    assert ids.encode_steps(np.array([0, 4])).tolist() == [0, 4]
    for wrong in (5, -1):
        with pytest.raises(DataError, match=f"A step holds the token id {wrong}"):
            ids.encode_steps(np.array([1, wrong]))
