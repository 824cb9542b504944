"""Texts with a label for each word, from a CoNLL file to a bundle that answers raw sentences."""

from __future__ import annotations

import random

import pytest

from keras_rnn_zoo.export import export_bundle
from keras_rnn_zoo.export.bundle.bundle import Bundle, verify_bundle
from keras_rnn_zoo.training.train import train

NAMES, PLACES = ["Ann", "O'Neil", "Zoë", "Jean-Luc"], ["Paris", "U.S.", "दिल्ली", "AT&T"]
END = [(",", "O"), ("paid", "O"), ("1,000.50", "O"), ("€", "O"), (".", "O")]


def sentence(name: str, place: str, family: bool, verb: str) -> list[tuple[str, str]]:
    rest = [("Smith", "I-PER")] if family else []
    return [(name, "B-PER"), *rest, (verb, "O"), (place, "B-LOC"), *END]


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    """A run that was trained on 60 sentences, and its bundle."""
    place, chosen = tmp_path_factory.mktemp("tagger"), random.Random(0)
    rows = [
        sentence(chosen.choice(NAMES), chosen.choice(PLACES), i % 2 == 0, verb)
        for i, verb in enumerate(["saw", "don't", "don't"] * 20)
    ]
    text = "\n\n".join("\n".join(f"{word} X {tag}" for word, tag in row) for row in rows)
    (place / "train.conll").write_text(f"{text}\n", encoding="utf-8")
    run = train(
        "bilstm",
        place / "train.conll",
        output=place / "run",
        config={"timesteps": 20, "units": 8},
        learning_rate=0.03,
        epochs=20,
        progress=False,
    )
    return run, export_bundle(place / "run", place / "bundle", format="tflite", quantization="none")


def test_raw_sentences_are_answered_as_their_words_are(tagger):
    run, bundle = tagger
    assert run.preprocessor.vocabulary.tokenizer_name == "words_and_punctuation"
    words = sentence("Zoë", "U.S.", True, "saw")
    text = "Zoë Smith saw U.S., paid 1,000.50 €."
    for model in (run, bundle, Bundle.load(bundle.path)):
        cut, raw = model.predict([[word for word, _ in words], text])
        assert cut["labels"] == raw["labels"] == [tag for _, tag in words]
        assert cut["tokens"] == [word for word, _ in words]
        assert raw["tokens"] == [word.lower() for word, _ in words]
        assert cut["scores"] == pytest.approx(raw["scores"], abs=1e-6)
    words = [word for word, _ in sentence("Ann", "AT&T", False, "saw")]
    answers = bundle.predict(["Ann saw AT&T.", words])
    assert answers[0]["tokens"][2:5] == ["at", "&", "t"]
    assert answers[0]["labels"][2:5] == ["B-LOC"] * 3
    assert answers[1]["tokens"][2] == "AT&T" and answers[1]["labels"][2] == "B-LOC"
    assert verify_bundle(bundle.path)["passed"]


def test_it_learns_more_than_that_most_words_are_outside(tagger):
    run, _ = tagger
    assert run.metrics["train_accuracy"] > 0.95
    always = 7 / 10  # of a sentence, so many are O
    assert run.metrics["train_accuracy"] > always + 0.2
