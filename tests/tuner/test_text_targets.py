"""A search for a client that encodes texts itself: what it makes is of use there."""

from __future__ import annotations

import pytest
import tiny

from keras_rnn_zoo.data import Dataset, Split
from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.export.targets._text_classifier import OTHERS
from keras_rnn_zoo.tuner import DeviceBudget, search

TEXTS = [f"a {how} film, number{i}" for i in range(20) for how in ("wonderful", "dull")]
FILMS = Dataset("films", "text", Split(TEXTS, ["good", "bad"] * 20))


def searched(directory, **options):
    return search(
        ["lstm"],
        FILMS,
        output=directory,
        config={"units": 3, "layers": 1, "embedding_dim": 4, "timesteps": 6, "dropout": 0.0},
        learning_rate=0.01,
        max_trials=1,
        epochs=1,
        progress=False,
        **options,
    )


def test_a_search_encodes_for_the_target_of_its_budget_and_counts_what_the_file_holds(tmp_path):
    import tensorflow as tf

    budget = DeviceBudget(target="mediapipe", quantization="none", max_size=1_000_000)
    found = searched(tmp_path / "search", budget=budget)
    preprocessor = found.best.preprocessor
    assert (preprocessor.truncating, preprocessor.padding) == ("post", "post")
    assert preprocessor.vocabulary.tokenizer_name == "cased_words"
    # The fused op is a function, and functions that run eagerly (see conftest) are no ops.
    tf.config.run_functions_eagerly(False)
    bundle = found.best.export(
        tmp_path / "bundle", target="mediapipe", format=["tflite"], quantization=["none"]
    )
    (entry,) = bundle.report.files
    held = entry.metadata["files"]
    (trial,) = found.trials
    # Beside vocabulary and labels, what is not known before is estimated.
    assert abs(trial.bytes - entry.bytes) < OTHERS < entry.bytes
    assert trial.bytes > held["vocab.txt"]["bytes"] + OTHERS
    # The same search goes on, whichever way its target is said.
    again = searched(tmp_path / "search", budget=budget, target="mediapipe")
    assert again.best.info == found.best.info


def test_two_targets_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"said twice and differently: 'mediapipe' .* 'litert'"):
        searched(tmp_path / "search", budget=DeviceBudget(), target="mediapipe")
    assert not any(tmp_path.iterdir())


def test_data_that_the_client_does_not_take_are_refused_before_any_trial(tmp_path):
    budget = DeviceBudget(target="mediapipe")
    with pytest.raises(
        ConfigError, match=r"'mediapipe' takes data of kind 'text'.*Received: 'features'"
    ):
        search(["lstm"], tiny.tiny_data(), output=tmp_path / "s", budget=budget, progress=False)
    assert not (tmp_path / "s" / "trials.json").exists()
