"""The conformance suites: what is ours keeps to them, and what is wrong is told in a sentence.

The models are checked in tests/test_every_model.py.
"""

from __future__ import annotations

import itertools

import click
import numpy as np
import pytest

from keras_rnn_zoo.builder import ModelBuilder, common_fields
from keras_rnn_zoo.cli._group import cli
from keras_rnn_zoo.data import DATASETS, Dataset, Reader, Split
from keras_rnn_zoo.errors import DataError
from keras_rnn_zoo.preprocessing.tokenizers import Tokenizer
from keras_rnn_zoo.testing import check_command, check_dataset, check_model, check_tokenizer


@pytest.mark.parametrize("name", [name for name in DATASETS.names() if name != "imdb"])
def test_every_data_set_keeps_to_the_rules(name, tmp_path):
    check_dataset(name, _example(name, tmp_path))


TEXTS = {
    "table": ("rows.csv", "text,label\n" + "a film,pos\na mess,neg\n" * 4),
    "json_lines": ("rows.jsonl", '{"text": "a", "label": 1}\n{"text": "b", "label": 2}\n' * 4),
    "ts": ("rows.ts", "@classLabel true a b\n@data\n" + "1,2:3,4:a\n5,6:7,8:b\n" * 4),
    "conll": ("rows.conll", "EU NNP B-ORG\nrejects VBZ O\n\nPeter NNP B-PER\n\n" * 4),
}


def _example(name, directory):
    """A file, or a folder, for a reader of such; None for a data set that has a name."""
    if name in TEXTS:
        file, text = TEXTS[name]
        (directory / file).write_text(text)
        return directory / file
    if name == "arrays":
        np.savez(directory / "rows.npz", x=np.ones((8, 4, 2), "float32"), y=np.arange(8) % 2)
        return directory / "rows.npz"
    if name == "folder":
        for label, number in itertools.product(("pos", "neg"), range(4)):
            (directory / label).mkdir(exist_ok=True)
            (directory / label / f"{number}.txt").write_text(f"film {number}")
        return directory
    if name == "parquet":
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")

        table = pyarrow.table({"text": ["a film", "a mess"] * 4, "label": ["pos", "neg"] * 4})
        parquet.write_table(table, directory / "rows.parquet")
        return directory / "rows.parquet"
    return None


@pytest.mark.parametrize("name", cli.list_commands(None))
def test_every_command_keeps_to_the_rules(name):
    check_command(name)


# ---------------------------------------------------------------------- what is wrong


class Recurrent(ModelBuilder):
    """One GRU."""

    name = "for_a_test"
    description = "a GRU"
    fields = common_fields(units=2)

    def recurrence(self, x):
        from keras import layers

        return layers.GRU(self.config["units"], return_sequences=self.per_timestep)(x)


class Deaf(Recurrent):
    def recurrence(self, x):
        import keras

        return super().recurrence(keras.ops.zeros_like(x))


class Maskless(Recurrent):
    def recurrence(self, x):
        import keras

        return super().recurrence(keras.ops.multiply(x, 1.0))


class Vector(Recurrent):
    def recurrence(self, x):
        from keras import layers

        return layers.GRU(self.config["units"])(x)


class Regularized(Recurrent):
    """Answers the same without padding, and learns to make it small."""

    any_length = True

    def recurrence(self, x):
        from keras import layers

        steps = layers.GRU(self.config["units"], return_sequences=True)(x)
        steps = layers.ActivityRegularization(l2=1.0)(steps)
        return layers.GRU(self.config["units"], return_sequences=self.per_timestep)(steps)


class Stray(Recurrent):
    def search_space(self, hp):
        return {"unit": hp.Choice("unit", [3])}


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (type("Bare", (ModelBuilder,), {"description": "d", "name": "b"}), "lacks the methods 're"),
        (type("N", (Recurrent,), {"fields": common_fields()[:3]}), "lacks the fields 'ta"),
        (
            type("T", (Recurrent,), {"fields": (*common_fields(), common_fields()[0])}),
            "lacks one field for each name: 'features' comes twice",
        ),
        (type("F", (Recurrent,), {"fields": ("units",)}), "lacks fields that are `Field`s"),
        (Deaf, "answers all inputs alike|leave '.*' as it was"),
        (Maskless, "something else where there is padding on the right"),
        (Vector, "for the task 'sequence_labelling'"),
        (Regularized, "learns something else without the padding.*any_length = True"),
        (Stray, "has no setting 'unit'"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_model_is_told_what_it_gets_wrong(model, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_model(model)


class Waves(Reader):
    """Made up."""

    name = "waves"
    description = "made up"

    def load(self, path, options):
        return Dataset("waves", "features", Split(self.rows(), np.arange(8) % 2))

    def rows(self):
        return np.ones((8, 4, 2), "float32")


class Random(Waves):
    def rows(self):
        return np.random.default_rng().normal(size=(8, 4, 2))


class Broken(Waves):
    def rows(self):
        return np.full((8, 4, 2), np.inf)


class Trusting(Waves):
    suffixes = (".wave",)


class Untyped(Trusting):
    def load(self, path, options):
        raise KeyError("two\nlines")


class Careful(Trusting):
    def load(self, path, options):
        if path.stat().st_size:
            raise DataError("It is damaged. Take a complete copy.")
        return super().load(path, options)


@pytest.mark.parametrize(
    ("reader", "sentence"),
    [
        (Random(), "train rows are others the second time"),
        (Broken(), "encoding what it loads fails with DataError: Row 1, time step 1"),
        (Trusting(), "a file that holds anything is accepted, and has to be refused"),
        (Untyped(), r"refused with a type of keras_rnn_zoo.errors. Received KeyError"),
        (Waves, "lacks the base class Reader"),
        (type("S", (Waves,), {"suffixes": (".a", "b")})(), "lacks a tuple of suffixes"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_data_set_is_told_what_it_gets_wrong(reader, sentence, tmp_path):
    (tmp_path / "x.wave").write_text("")
    with pytest.raises(AssertionError, match=sentence):
        check_dataset(reader, tmp_path / "x.wave")
    with pytest.raises(AssertionError, match=r"give one"):
        check_dataset(Careful())
    check_dataset(Careful(), tmp_path / "x.wave")
    check_dataset(Waves())


def tokenizer(cut, **more):
    body = {"name": "t", "description": "d", "tokens": lambda self, text: cut(text), **more}
    return type("T", (Tokenizer,), body)()


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (tokenizer(str.split, description=None), "lacks a description"),
        (tokenizer(str), "returns a list of str"),
        (tokenizer(lambda text: text.split(" ")), "empty or hold white space"),
        (tokenizer(lambda text: [text.split()[0]]), "given ' ', fails with IndexError"),
        (tokenizer(lambda text: [str(object())[-8:]]), "otherwise the second time"),
        (tokenizer(lambda text: []), "finds no token"),
        (tokenizer(str.split, describe=lambda self: {1: object()}), "as JSON fails with TypeError"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_tokenizer_is_told_what_it_gets_wrong(made, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_tokenizer(made)


def swallow():
    def parse(ctx, args):
        return []

    made = click.Command("swallow", short_help="Takes anything.")
    made.parse_args = parse
    return made


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (print, "lacks the type click.Command"),
        (click.Command("Shout", help="x"), "lacks a name of lower-case letters"),
        (click.Command("mute"), "lacks a short_help or a docstring"),
        (
            click.Command("dumb", help="x", params=[click.Option(["--loud"])]),
            "lacks the help of --loud",
        ),
        (swallow(), "accepts an option that it does not have"),
        ("trian", "Did you mean 'train'"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_command_is_told_what_it_gets_wrong(command, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_command(command)
