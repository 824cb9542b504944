import gzip
import hashlib
import io

import numpy as np
import pytest

from keras_rnn_zoo.data import (
    DATASETS,
    Dataset,
    Split,
    hold_out,
    load_data,
    load_inputs,
    split_indices,
)
from keras_rnn_zoo.data.alike import repeats_told
from keras_rnn_zoo.data.holding_out import rows_held_out
from keras_rnn_zoo.errors import ConfigError, DataError
from keras_rnn_zoo.preprocessing.labels import infer_task
from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor
from keras_rnn_zoo.preprocessing.splitting import sample_indices

TABLE = 'text,label\n"good, ""very"" good",pos\n"bad\nworse",neg\n'


# ---------------------------------------------------------------------- tables


@pytest.mark.parametrize("name", ["data.csv", "data.CSV", "data.csv.gz"])
def test_a_table_is_read_plain_and_gzipped_with_quotes_and_line_breaks(write_table, name):
    dataset = load_data(write_table(TABLE, name))
    assert dataset.kind == "text"
    assert dataset.task == "binary"
    assert dataset.train.x == ['good, "very" good', "bad\nworse"]
    assert dataset.train.y == ["pos", "neg"]
    assert dataset.test is None


@pytest.mark.parametrize("name", ["data.tsv", "data.tsv.gz"])
def test_a_tab_separated_table_with_other_columns_and_a_byte_order_mark(write_table, name):
    content = "\ufeffid\tbody\tstars\r\n1\tso, so\t3\r\n\r\n2\tnice\t5\r\n3\tbad\t1\r\n"
    dataset = load_data(write_table(content, name), text_column="body", label_column="stars")
    assert dataset.train.x == ["so, so", "nice", "bad"]
    assert dataset.train.y == ["3", "5", "1"]
    assert dataset.task == "multiclass"


def test_a_byte_order_mark_before_the_wanted_column_is_no_part_of_its_name(write_table):
    assert len(load_data(write_table("\ufeff" + TABLE)).train) == 2


def test_a_text_longer_than_the_csv_modules_limit_is_read(write_table):
    dataset = load_data(write_table(f"text,label\n{'long ' * 50_000},a\nshort,b\n"))
    assert len(dataset.train.x[0]) == 250_000


def test_the_description_names_file_hash_and_columns_of_train_and_test(write_table):
    train, test = write_table(TABLE), write_table(TABLE, "test.csv.gz")
    dataset = load_data(train, test_data=test)
    assert len(dataset.test) == 2
    assert dataset.description["file"] == str(train)
    assert dataset.description["sha256"] == hashlib.sha256(train.read_bytes()).hexdigest()
    assert dataset.description["text_column"] == "text"
    assert dataset.description["test"]["file"] == str(test)


# ---------------------------------------------------------------------- arrays


def test_whole_numbers_are_token_ids_and_fractional_numbers_features(write_arrays):
    y = [0, 1, 0]
    tokens = load_data(write_arrays("t.npz", x=np.ones((3, 4), np.uint16), y=y))
    features = load_data(write_arrays("f.npz", x=np.ones((3, 4, 2), np.int8), y=y))
    series = load_data(write_arrays("s.npz", x=np.ones((3, 4)), y=y))
    assert [tokens.kind, features.kind, series.kind] == ["tokens", "features", "features"]
    assert series.train.x.shape == (3, 4, 1)


def test_strings_in_arrays_are_texts_and_label_names(write_arrays):
    dataset = load_data(write_arrays(x=["one film", "two films"], y=["neg", "pos"]))
    assert dataset.kind == "text"
    assert dataset.train.y == ["neg", "pos"]


def test_four_arrays_bring_their_own_test_split_and_test_data_replace_it(write_arrays):
    x, y = np.ones((4, 3), int), [0, 1, 0, 1]
    four = write_arrays("four.npz", x_train=x, y_train=y, x_test=x[:2], y_test=y[:2])
    three = write_arrays("three.npz", x=x[:3], y=y[:3])
    assert len(load_data(four).test) == 2
    assert len(load_data(four, test_data=three).test) == 3
    assert len(load_data(three, test_data=four).test) == 2
    assert load_data(write_arrays("two.npz", x_train=x, y_train=y)).test is None


@pytest.mark.parametrize(
    ("y", "task"),
    [
        ([0, 1, 1], "binary"),
        ([True, False, True], "binary"),
        ([[0], [1], [1]], "binary"),
        ([0, 1, 2], "multiclass"),
        ([0.5, 1.5, 2.0], "regression"),
        ([[0.5, 1], [1, 1], [2, 1]], "regression"),
        (np.ones((3, 4), int), "sequence_labelling"),
        (np.full((3, 4), "noun"), "sequence_labelling"),
    ],
)
def test_the_task_is_inferred_from_the_targets(write_arrays, y, task):
    assert load_data(write_arrays(x=np.ones((3, 4), int), y=y)).task == task


def test_a_given_task_wins_and_an_unknown_one_names_the_nearest(write_arrays):
    path = write_arrays(x=np.ones((3, 4), int), y=[1, 2, 3])
    assert load_data(path, task="regression").task == "regression"
    with pytest.raises(ConfigError, match="Did you mean 'regression'"):
        load_data(path, task="regresion")


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_a_task_with_one_label_refuses_rows_of_labels(write_arrays, task):
    with pytest.raises(DataError, match="one-hot"):
        load_data(write_arrays(x=np.ones((3, 4), int), y=np.full((3, 3), 2)), task=task)


def test_sequence_labelling_refuses_one_label_per_row(write_table):
    with pytest.raises(DataError, match="a label for each word"):
        load_data(write_table(TABLE), task="sequence_labelling")


def test_the_task_of_a_hand_made_data_set_is_kept():
    split = Split(np.ones((2, 3), int), np.array([1, 2]))
    assert infer_task(Dataset("d", "tokens", split, task="multiclass")) == "multiclass"


# ---------------------------------------------------------------------- named data sets


def test_digits_are_eight_steps_of_eight_features_with_a_fixed_test_split():
    dataset = load_data("digits")
    assert dataset.kind == "features"
    assert dataset.task == "multiclass"
    assert dataset.train.x.shape == (1438, 8, 8)
    assert dataset.test.x.shape == (359, 8, 8)
    np.testing.assert_array_equal(dataset.test.x, load_data("digits").test.x)
    assert set(dataset.test.y) == set(range(10))


@pytest.fixture
def imdb_archive(tmp_path, monkeypatch):
    """A tiny archive like Keras' own, where Keras' download would find it."""
    import json

    from keras.src.datasets import imdb

    def rows(*lengths):
        array = np.empty(len(lengths), dtype=object)
        array[:] = [[1 + (i % 3) for i in range(n)] for n in lengths]
        return array

    archive, index = tmp_path / "imdb.npz", tmp_path / "imdb_word_index.json"
    np.savez(
        archive,
        x_train=rows(3, 5, 7, 9),
        y_train=np.array([0, 1, 0, 1]),
        x_test=rows(2, 4),
        y_test=np.array([1, 0]),
    )
    index.write_text(json.dumps({"film": 1, "good": 2, "bad": 3}))

    def get_file(fname, **_):
        print("Downloading data")
        return str(index if fname.endswith(".json") else archive)

    monkeypatch.setattr(imdb, "get_file", get_file)


def test_imdb_comes_through_keras_with_a_vocabulary_for_raw_text(imdb_archive, capsys):
    dataset = load_data("imdb")
    assert capsys.readouterr().out == ""  # the download bar must not mix with results
    assert dataset.kind == "tokens"
    assert dataset.task == "binary"
    assert (len(dataset.train), len(dataset.test)) == (4, 2)
    assert set(dataset.train.y) == {"neg", "pos"}
    vocabulary = dataset.vocabulary
    assert vocabulary.tokens == (
        "<PAD>",
        "<START>",
        "<UNKNOWN>",
        "<UNUSED>",
        "film",
        "good",
        "bad",
    )
    # Keras' rows: start id 1, then rank + index_from.
    assert all(row[0] == 1 for row in dataset.train.x)
    assert dataset.train.x[0].dtype == np.int32
    preprocessor = Preprocessor.fit(dataset, timesteps=4)
    assert preprocessor.vocabulary_size == 7
    np.testing.assert_array_equal(
        preprocessor.encode_inputs(["a good film", [1, 5, 4]]), [[1, 2, 5, 4], [1, 5, 4, 0]]
    )


def test_imdb_without_a_network_says_what_to_do_in_one_line(monkeypatch):
    from keras.src.datasets import imdb

    def get_file(*_, **__):
        raise Exception("URL fetch failure on https://example.org: None -- [Errno -3]\nmore")

    monkeypatch.setattr(imdb, "get_file", get_file)
    with pytest.raises(DataError, match="digits") as caught:
        load_data("imdb")
    assert "\n" not in str(caught.value)


def test_every_reader_has_a_description_and_a_matching_name():
    for name in DATASETS.names():
        reader = DATASETS.get(name)
        assert reader.name == name
        assert reader.description
    assert {"arrays", "digits", "imdb", "table"} <= set(DATASETS.names())


# ---------------------------------------------------------------------- inputs to predict from


def test_inputs_without_labels_come_from_tables_arrays_and_plain_text(
    write_table, write_arrays, tmp_path
):
    assert load_inputs(write_table("id,body\n1,one\n2,two\n"), text_column="body") == ["one", "two"]
    assert load_inputs(write_arrays(x=np.ones((2, 3), int))).shape == (2, 3)
    (tmp_path / "a.txt").write_text("first film\n\nsecond film\n")
    assert load_inputs(tmp_path / "a.txt") == ["first film", "", "second film"]
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(DataError, match="no inputs"):
        load_inputs(tmp_path / "empty.txt")
    (tmp_path / "latin.txt").write_bytes("café".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        load_inputs(tmp_path / "latin.txt")


# ---------------------------------------------------------------------- splitting


def test_a_split_is_stratified_seeded_and_without_overlap():
    y = ["a"] * 80 + ["b"] * 20
    kept, held = split_indices(y, 0.1, seed=3)
    assert sorted([*kept, *held]) == list(range(100))
    assert [y[i] for i in held].count("a") == 8
    np.testing.assert_array_equal(held, split_indices(y, 0.1, seed=3)[1])
    assert not np.array_equal(held, split_indices(y, 0.1, seed=4)[1])


def test_a_label_of_one_row_stays_in_training():
    y = np.array([0] * 10 + [1] * 10 + [2])
    kept, held = split_indices(y, 0.5)
    assert 20 in kept
    assert len(held) == 10


def test_targets_without_labels_are_split_at_random():
    assert len(split_indices(np.linspace(0, 1, 50), 0.2)[1]) == 10
    assert len(split_indices(np.ones((50, 4), int), 0.2)[1]) == 10


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 2])
def test_a_fraction_out_of_range_is_refused(fraction):
    with pytest.raises(ConfigError, match="hold out"):
        split_indices(["a", "b"], fraction)


def test_too_few_rows_to_hold_any_out_are_refused_and_nothing_is_held_out_on_request():
    with pytest.raises(DataError, match="too few rows"):
        split_indices(["a", "b"], 0.1)
    assert len(split_indices(["a", "b"], 0)[1]) == 0


def test_samples_keep_the_labels_in_proportion():
    y = np.array([0] * 300 + [1] * 100)
    chosen = sample_indices(y, 40)
    assert len(chosen) == 40
    assert (y[chosen] == 1).sum() == 10
    assert len(sample_indices(y[:10], 40)) == 10


def test_hold_out_carves_a_test_split_only_where_there_is_none(texts):
    held = hold_out(texts, 0.25, seed=1)
    assert (len(held.train), len(held.test)) == (30, 10)
    assert not set(held.train.x) & set(held.test.x)
    assert held.description["held_out"] == {"fraction": 0.25, "seed": 1, "split": "random"}
    assert hold_out(held) is held


# ---------------------------------------------------------------------- bad input


def pickled():
    ragged = np.empty(2, dtype=object)
    ragged[:] = [[1, 2], [3]]
    return ragged


BAD_TABLES = {
    "empty": (b"", "empty"),
    "header_only": ("text,label\n", "no rows"),
    "wrong_column": ("txt,label\na,b\n", "no column 'text'.*Did you mean 'txt'"),
    "no_header": ("good,pos\nbad,neg\n", "no column 'text'"),
    "too_many_fields": ("text,label\na,b,c\n", "line 2: 3 fields"),
    "too_few_fields": ("text,label\nx,a\nalone\n", "line 3: 1 fields"),
    "open_quote": ('text,label\n"a,b\nc,d,e\n', "not a well-formed table"),
    "not_utf8": ("text,label\ncaf\xe9,a\n".encode("latin-1"), "not UTF-8.*--encoding cp1252"),
    "empty_label": ("text,label\na,pos\nb,\n", "line 3.*label"),
    "label_of_two_lines": ('text,label\na,"x\ny"\n', "line 3.*label"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_bad_table_is_refused_in_one_clear_line(write_table, case):
    content, message = BAD_TABLES[case]
    path = write_table(content)
    with pytest.raises(DataError, match=f"(?s){message}") as caught:
        load_data(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_table_that_is_not_gzip_or_cut_off_is_refused(tmp_path):
    plain, cut = tmp_path / "plain.csv.gz", tmp_path / "cut.csv.gz"
    plain.write_text(TABLE)
    cut.write_bytes(gzip.compress(TABLE.encode() * 50)[:-20])
    for path in (plain, cut):
        with pytest.raises(DataError, match="damaged or not gzip"):
            load_data(path)


def test_the_same_column_twice_is_refused(write_table):
    with pytest.raises(DataError, match="two different columns"):
        load_data(write_table(TABLE), label_column="text")


BAD_ARRAYS = {
    "pickle": ({"x": pickled(), "y": [0, 1]}, "'x'.*pickle"),
    "pickled_labels": ({"x": [[1], [2]], "y": pickled()}, "'y'.*pickle"),
    "missing": ({"X": [[1]], "Y": [1]}, "holds 'X', 'Y'. It needs"),
    "half": ({"x_train": [[1]], "x_test": [[1]]}, "It needs"),
    "lengths": ({"x": [[1], [2]], "y": [1]}, "2 inputs and 1 labels"),
    "no_rows": ({"x": np.ones((0, 3), int), "y": np.ones(0, int)}, "no rows"),
    "flat": ({"x": [1, 2], "y": [0, 1]}, r"'x' has shape \[2\]"),
    "four_dimensions": ({"x": np.ones((2, 2, 2, 2)), "y": [0, 1]}, "'x' has shape"),
    "bytes": ({"x": np.array([b"a", b"b"]), "y": [0, 1]}, "'x' has shape"),
    "complex": ({"x": np.ones((2, 3)), "y": [1j, 2j]}, "'y' has shape"),
    "scalar": ({"x": np.ones((2, 3)), "y": 1}, "'y' has shape"),
    "mixed_kinds": (
        {"x_train": [[1]], "y_train": [1], "x_test": [[0.5]], "y_test": [1]},
        "x_train holds tokens and x_test holds features",
    ),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_bad_arrays_are_refused_in_one_clear_line(write_arrays, case):
    arrays, message = BAD_ARRAYS[case]
    path = write_arrays(**arrays)
    with pytest.raises(DataError, match=message) as caught:
        load_data(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", ["text", "pickle", "npy", "cut"])
def test_a_file_that_is_no_npz_archive_is_refused(tmp_path, content):
    import pickle

    stream = io.BytesIO()
    np.savez(stream, x=np.ones((50, 3)), y=np.ones(50))
    array = io.BytesIO()
    np.save(array, np.ones(3))
    bytes_of = {
        "text": b"hello",
        "pickle": pickle.dumps([1, 2, 3]),
        "npy": array.getvalue(),
        "cut": stream.getvalue()[:-40],
    }
    path = tmp_path / "data.npz"
    path.write_bytes(bytes_of[content])
    with pytest.raises(DataError, match="NPZ archive") as caught:
        load_data(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_an_unknown_name_a_directory_and_a_strange_end_are_refused(
    write_table, tmp_path, monkeypatch
):
    write_table(TABLE, "reviews.csv")
    write_table(TABLE, "reviews.xlsx")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"No such file.*Did you mean 'reviews\.csv'"):
        load_data("review.csv")
    with pytest.raises(DataError, match=r"Unknown data: 'digit'.*Did you mean 'digits'"):
        load_data("digit")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="is a directory without files"):
        load_data(tmp_path / "nothing")
    with pytest.raises(DataError, match="Cannot tell"):
        load_data("reviews.xlsx")
    with pytest.raises(DataError):
        load_data("")
    with pytest.raises(DataError):
        load_data("table")


def test_a_data_sets_name_wins_over_a_file_or_directory_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert load_data("digits").name == "digits"
    with pytest.raises(DataError, match="is a directory without files"):
        load_data(tmp_path / "digits")


def test_test_data_of_another_kind_are_refused(write_table, write_arrays):
    with pytest.raises(DataError, match="same kind"):
        load_data(write_table(TABLE), test_data=write_arrays(x=[[1]], y=[1]))


def test_a_split_without_rows_or_of_different_lengths_is_refused():
    with pytest.raises(DataError, match="no rows"):
        Split([], [])
    with pytest.raises(DataError, match="pair up"):
        Split(["a"], [])


def test_a_kind_of_file_that_is_only_learnt_from_says_so(tmp_path):
    from keras_rnn_zoo.data import DATASETS, Reader, load_inputs

    class Labelled(Reader):
        name = "labelled"
        description = "for a test"
        suffixes = (".labelled",)

        def load(self, path, *, text_column, label_column):
            raise AssertionError("not to be read")

    DATASETS.register("labelled", Labelled())
    try:
        path = tmp_path / "x.labelled"
        path.write_text("x")
        with pytest.raises(DataError, match=r"data to learn from.*Give a table"):
            load_inputs(path)
    finally:
        DATASETS.unregister("labelled")
    with pytest.raises(TypeError, match="abstract"):
        Reader()


# ------------------------------------------------------------- files named for their part


def series(path, *labels):
    lines = "".join(f"{i},2,3:{label}\n" for i, label in enumerate(labels))
    path.write_text(f"@classLabel true a b\n@data\n{lines}")


def test_a_folder_with_an_archives_two_files_is_trained_and_tested_on_them(tmp_path):
    series(tmp_path / "Steps_TRAIN.ts", *"abab")
    series(tmp_path / "Steps_TEST.ts", *"ab")
    for given in (tmp_path, str(tmp_path / "*.ts")):
        data = load_data(given)
        assert (len(data.train), len(data.test)) == (4, 2)
        assert any("'Steps_TEST.ts', as its name says" in note for note in data.notes)
    # What is said counts: other tests, or both files by name.
    assert len(load_data(tmp_path, test_data=tmp_path / "Steps_TRAIN.ts").test) == 4
    assert len(load_data(tmp_path, test_data=tmp_path).test) == 2
    both = load_data([tmp_path / "Steps_TRAIN.ts", tmp_path / "Steps_TEST.ts"])
    assert len(both.train) == 6 and both.test is None


def test_other_names_are_files_to_train_on(tmp_path):
    for name in ("monday.ts", "latest.ts", "trains.ts"):
        series(tmp_path / name, *"ab")
    data = load_data(tmp_path)
    assert len(data.train) == 6 and data.test is None


def test_several_pairs_in_a_folder_are_asked_about(tmp_path):
    for name in ("A_TRAIN.ts", "A_TEST.ts", "A_eq_TRAIN.ts", "A_eq_TEST.ts"):
        series(tmp_path / name, *"abab")
    with pytest.raises(DataError, match=r"Say which are meant: --data \S+A_TRAIN.ts --test-data"):
        load_data(tmp_path)


# ------------------------------------------------------------------ rows that repeat others


def test_copies_of_a_row_stand_on_one_side():
    texts = [f"text {i // 2}" for i in range(80)]
    labels = ["a" if i // 2 % 2 else "b" for i in range(80)]
    kept, held = rows_held_out(Split(texts, labels), 0.25)
    assert len(kept) == 60 and len(held) == 20
    assert not {texts[i] for i in kept} & {texts[i] for i in held}
    x = np.repeat(np.random.default_rng(0).normal(size=(40, 5, 2)), 2, axis=0)
    kept, held = rows_held_out(Split(x, labels), 0.25)
    assert not {x[i].tobytes() for i in kept} & {x[i].tobytes() for i in held}


def test_rows_without_copies_are_held_out_as_ever():
    texts, labels = [f"text {i}" for i in range(40)], ["a", "b"] * 20
    expected = split_indices(labels, 0.2, 3)
    for found, wanted in zip(rows_held_out(Split(texts, labels), 0.2, 3), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_copies_on_both_sides_are_told():
    unique, twice = [f"text {i}" for i in range(8)], ["a", "a", "b", "c"]
    assert repeats_told(unique, np.arange(6), np.arange(6, 8), None) == []
    assert repeats_told(unique, np.arange(6), np.arange(6, 8), ["new"]) == []
    (told,) = repeats_told(unique, np.arange(6), np.arange(6, 8), ["text 1", "new"])
    assert told.startswith("1 of the 2 rows to test are also among those to train on")
    (told,) = repeats_told(twice, np.array([0, 2]), np.array([1, 3]), None)
    assert told.startswith("1 of the 2 rows to validate are also")
    (told,) = repeats_told(twice, np.array([0, 1]), np.array([2, 3]), None)
    assert told == "1 row repeats another one; copies are trained on or held out together."
