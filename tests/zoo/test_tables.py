"""Tables as people have them: separators, quotes, encodings, decimal commas, other formats."""

import gzip
import io

import numpy as np
import pytest

from keras_rnn_zoo.data import load_data, load_inputs
from keras_rnn_zoo.data.table import TextTable
from keras_rnn_zoo.errors import ConfigError, DataError

ROWS = [("a, b; c", "pos"), ("d | e", "neg"), ("plain", "pos")]


def written(directory, text, name="data.csv", encoding="utf-8"):
    path = directory / name
    path.write_bytes(text.encode(encoding))
    return path


def delimited(mark):
    return "\n".join(mark.join((f'"{a}"', b)) for a, b in [("text", "label"), *ROWS]) + "\n"


@pytest.mark.parametrize("mark", [",", ";", "|", "\t"])
def test_the_separator_is_found_by_the_columns_that_are_looked_for(tmp_path, mark):
    dataset = load_data(written(tmp_path, delimited(mark)))
    assert list(zip(dataset.train.x, dataset.train.y, strict=True)) == ROWS


def test_a_separator_that_is_said_counts(tmp_path):
    path = written(tmp_path, "text~label\na;b~x\nc~y\n")
    with pytest.raises(DataError, match="no column"):
        load_data(path)
    assert load_data(path, delimiter="~").train.x == ["a;b", "c"]
    with pytest.raises(ConfigError, match="delimiter is one character"):
        load_data(path, delimiter="; ")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_says_the_encoding(tmp_path, encoding):
    path = written(tmp_path, "text,label\nnaïve café,a\nb,b\n", encoding=encoding)
    assert load_data(path).train.x[0] == "naïve café"


def test_another_encoding_is_named_and_then_read(tmp_path):
    path = written(tmp_path, "text,label\nnaïve café “x”,a\nb,b\n", encoding="cp1252")
    with pytest.raises(DataError, match="--encoding cp1252"):
        load_data(path)
    assert load_data(path, encoding="cp1252").train.x[0] == "naïve café “x”"
    with pytest.raises(ConfigError, match="encoding"):
        load_data(path, encoding="klingon")


def test_quotes_that_nobody_closes_are_characters_and_it_is_said(tmp_path):
    text = 'text\tlabel\n"I love this\tpos\nbad\tneg\n"really" good\tpos\n5" nails\tneg\n'
    dataset = load_data(written(tmp_path, text, "data.tsv"))
    assert dataset.train.x == ['"I love this', "bad", '"really" good', '5" nails']
    assert any("Quotes are taken as characters" in note for note in dataset.notes)


def test_quotes_that_are_closed_hold_separators_and_line_breaks(tmp_path):
    text = 'text,label\n"one, a\ntwo",pos\n"say ""yes""",neg\n'
    dataset = load_data(written(tmp_path, text))
    assert dataset.train.x == ["one, a\ntwo", 'say "yes"'] and not dataset.notes
    plain = load_data(written(tmp_path, 'text,label\n"a",x\n"b",y\n'), quoting="none")
    assert plain.train.x == ['"a"', '"b"']


def test_numbers_have_a_decimal_comma_where_all_show_one(tmp_path):
    path = written(tmp_path, "a;b;label\n" + "1,5;2;x\n-0,25;1.024,5;y\n" * 4)
    dataset = load_data(path)
    np.testing.assert_allclose(dataset.train.x[1, :, 0], [-0.25, 1024.5])
    assert any("decimal comma" in note for note in dataset.notes)
    with pytest.raises(DataError, match=r"line 2: '1,5' in column 'a' is no number.*--decimal ,"):
        load_data(path, decimal=".", value_columns=["a", "b"])


def test_a_file_without_a_header_has_numbered_columns(tmp_path):
    path = written(tmp_path, "1\t0.5\t0.25\n2\t0.75\t1.5\n" * 3, "UCR_TRAIN.tsv")
    dataset = load_data(path, label_column="1")
    assert dataset.train.x.shape == (6, 2, 1) and dataset.task == "binary"
    assert any("no names" in note for note in dataset.notes)


def test_a_wide_table_has_a_series_in_each_row_and_missing_ends(tmp_path):
    path = written(tmp_path, "id,t0,t1,t2,label\n" + "1,1,2,3,a\n2,4,5,,b\n" * 3)
    dataset = load_data(path, value_columns=["t0", "t1", "t2"])
    assert dataset.kind == "features" and dataset.train.x.shape == (6, 3, 1)
    assert np.isnan(dataset.train.x[1, 2, 0])
    assert any("--window" in note for note in dataset.notes)


def test_a_log_without_a_window_is_told_what_to_say(tmp_path):
    path = written(tmp_path, "time,a,b\n2026-01-01 00:00,1,2\n2026-01-01 00:01,3,4\n")
    with pytest.raises(DataError, match="--window 60 --time-column time"):
        load_data(path)


def test_numbers_are_no_texts_unless_the_user_says_so(tmp_path):
    path = written(tmp_path, "text,label\n1.5,a\n2.5,b\n")
    with pytest.raises(DataError, match="holds numbers and no texts"):
        load_data(path)
    assert load_data(path, kind="text").train.x == ["1.5", "2.5"]


def test_json_lines_and_parquet_are_tables_too(tmp_path):
    lines = '{"text": "a b", "label": 1}\n\n{"label": 0, "text": "c", "more": [1]}\n'
    dataset = load_data(written(tmp_path, lines, "data.jsonl"))
    assert (dataset.train.x, dataset.train.y) == (["a b", "c"], ["1", "0"])
    with pytest.raises(DataError, match="line 2 is no JSON"):
        load_data(written(tmp_path, '{"text": "a", "label": 1}\n{"text"\n', "bad.jsonl"))
    with pytest.raises(DataError, match="line 1 holds no object"):
        load_data(written(tmp_path, "[1]\n", "list.jsonl"))
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"v": [1.0, 2.0, 3.0] * 9}), tmp_path / "log.parquet")
    assert load_data(tmp_path / "log.parquet", window=4, horizon=1).train.x.shape == (23, 4, 1)


def test_series_of_the_archives_may_differ_in_length(tmp_path):
    text = "#c\n@problemName x\n@classLabel true 1 2\n@data\n1,2,3:4,5,6:1\n7,8:9,10:2\n"
    dataset = load_data(written(tmp_path, text, "x_TRAIN.ts"))
    assert [row.shape for row in dataset.train.x] == [(3, 2), (2, 2)]
    np.testing.assert_array_equal(dataset.train.x[1], [[7, 9], [8, 10]])
    assert dataset.train.y == ["1", "2"]
    stamped = "@timeStamps true\n@classLabel true a b\n@data\n(2007-01-01 00:00:00,1.5),(x,2.5):a\n"
    found = load_inputs(written(tmp_path, stamped, "z.ts"))
    np.testing.assert_array_equal(found[0], [[1.5], [2.5]])
    with pytest.raises(DataError, match="no line @data"):
        load_data(written(tmp_path, "1,2\n", "y.ts"))


def test_a_folder_for_each_label_holds_texts(tmp_path):
    for part, label, text in [
        ("train", "pos", "good"),
        ("train", "neg", "bad"),
        ("test", "pos", "ok"),
    ]:
        (tmp_path / part / label).mkdir(parents=True)
        (tmp_path / part / label / "1.txt").write_text(text)
    dataset = load_data(tmp_path)
    assert (dataset.train.x, dataset.train.y) == (["bad", "good"], ["neg", "pos"])
    assert dataset.test.x == ["ok"]


def test_sentences_of_words_with_tags(tmp_path):
    text = "-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\nPeter NNP B-NP B-PER\n"
    dataset = load_data(written(tmp_path, text, "eng.conll"))
    assert dataset.train.x == [["EU", "rejects"], ["Peter"]]
    assert dataset.train.y == [["B-ORG", "O"], ["B-PER"]]
    assert dataset.task == "sequence_labelling"
    with pytest.raises(DataError, match="no tag"):
        load_data(written(tmp_path, "EU\nrejects\n", "bad.conll"))


def test_several_files_are_one_data_set(tmp_path):
    for name in ("a", "b"):
        written(tmp_path, f"text,label\n{name} one,x\n{name} two,y\n", f"{name}.csv")
    for data in ([tmp_path / "a.csv", tmp_path / "b.csv"], str(tmp_path / "*.csv"), tmp_path):
        dataset = load_data(data)
        assert dataset.train.x == ["a one", "a two", "b one", "b two"]
        assert [one["sha256"][:1] != "" for one in dataset.description["files"]] == [True, True]
    written(tmp_path, "words,label\na,x\n", "c.csv")
    with pytest.raises(DataError, match=r"c\.csv has no column 'text'"):
        load_data(tmp_path)
    np.savez(tmp_path / "d.npz", x=np.ones((2, 3), int), y=[0, 1])
    with pytest.raises(DataError, match="one kind"):
        load_data([tmp_path / "a.csv", tmp_path / "d.npz"])


@pytest.mark.parametrize("packed", [False, True])
def test_standard_input_is_read_by_what_it_holds(monkeypatch, packed):
    content = b"text,label\na film,x\na mess,y\n"
    stream = io.BytesIO(gzip.compress(content) if packed else content)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(stream))
    assert load_data("-").train.x == ["a film", "a mess"]


def test_lengths_say_which_steps_are_real(tmp_path):
    x, y = np.arange(12.0).reshape(2, 3, 2), np.array([0, 1])
    np.savez(tmp_path / "a.npz", x=x, y=y, lengths=[2, 3])
    assert [len(row) for row in load_data(tmp_path / "a.npz").train.x] == [2, 3]
    assert [len(row) for row in load_inputs(tmp_path / "a.npz")] == [2, 3]
    steps = np.array([[0, 1, -1], [1, 1, 0]])
    np.savez(tmp_path / "b.npz", x=x, y=steps, lengths=[2, 3])
    assert [len(row) for row in load_data(tmp_path / "b.npz").train.y] == [2, 3]
    for wrong in ([0, 3], [2, 4], [2], [2.0, 3.0]):
        np.savez(tmp_path / "c.npz", x=x, y=y, lengths=wrong)
        with pytest.raises(DataError, match="whole number from 1 to 3"):
            load_data(tmp_path / "c.npz")


def test_a_remedy_is_offered_only_where_it_was_not_tried(tmp_path):
    path = written(tmp_path, 'text,label\nsay "no,a\n"x" y,b\n')
    with pytest.raises(DataError, match="--quoting none"):
        load_data(path, quoting="standard")
    assert load_data(path, quoting="none").train.x == ['say "no', '"x" y']
    # As characters, the quotes leave a line of three fields.
    with pytest.raises(DataError, match="lines of different lengths"):
        load_data(written(tmp_path, 'text,label\n"a,b\nc,d,e\n'))


def test_a_wide_table_is_not_read_anew_for_each_of_its_columns(tmp_path, monkeypatch):
    names = [f"t{number}" for number in range(50)]
    lines = [",".join([*names, "label"]), *(",".join(["1.5"] * 50 + [one]) for one in "abab")]
    path = written(tmp_path, "\n".join(lines) + "\n")
    read = []
    real = TextTable.rows
    monkeypatch.setattr(TextTable, "rows", lambda self, some: read.append(1) or real(self, some))
    assert load_data(path).train.x.shape == (4, 50, 1)
    assert len(read) == 2  # its first rows, and all of them
