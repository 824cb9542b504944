"""What the package plugs in does what keras-rnn-zoo counts on."""

import sqlite3

from keras_rnn_zoo import testing


def test_model():
    testing.check_model("causal_conv_gru")


def test_dataset(tmp_path):
    rows = [(f"a {word} film", label) for label, word in _WORDS for _ in range(8)]
    path = tmp_path / "rows.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE reviews (text TEXT, label TEXT)")
        database.executemany("INSERT INTO reviews VALUES (?, ?)", rows)
    testing.check_dataset("sqlite", path)


_WORDS = (("good", "moving"), ("bad", "dull"))


def test_tokenizer():
    testing.check_tokenizer("graphemes")


def test_lowering():
    testing.check_lowering("stepwise")


def test_quantization():
    testing.check_quantization("compressible")


def test_target():
    testing.check_target("my_app")


def test_client():
    testing.check_client("reference_kernels")


def test_format():
    testing.check_format("keras_archive")


def test_tuner():
    testing.check_tuner("defaults")


def test_engine():
    testing.check_engine("inline")


def test_command():
    testing.check_command("layers")
