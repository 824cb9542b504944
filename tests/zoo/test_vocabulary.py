import pytest

from keras_rnn_zoo.errors import ConfigError, DataError, RunError
from keras_rnn_zoo.preprocessing.tokenizers import TOKENIZERS
from keras_rnn_zoo.preprocessing.vocabulary import Vocabulary


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("It's GREAT, really-great!", ["it's", "great", "really", "great"]),
        ("café naïve Привет", ["café", "naïve", "привет"]),
        ("a\tb\nc", ["a", "b", "c"]),
        ("snake_case 42", ["snake_case", "42"]),
        ("  ...  ", []),
        ("", []),
    ],
)
def test_a_text_is_lower_cased_and_cut_at_everything_but_word_characters(text, tokens):
    assert TOKENIZERS.get("words").tokens(text) == tokens


def test_ids_follow_frequency_then_the_alphabet_whatever_the_order_of_rows():
    texts = ["b a c", "a c", "c"]
    vocabulary = Vocabulary.from_texts(texts)
    assert vocabulary.tokens == ("<PAD>", "<UNKNOWN>", "c", "a", "b")
    assert Vocabulary.from_texts(reversed(texts)) == vocabulary


def test_size_counts_the_special_tokens_and_rare_words_become_unknown():
    vocabulary = Vocabulary.from_texts(["a a a b b c"], size=4)
    assert len(vocabulary) == 4
    assert vocabulary.encode("A b C d") == [2, 3, 1, 1]
    assert vocabulary.decode([2, 3, 1, 0, 0]) == ["a", "b", "<UNKNOWN>"]


def test_a_start_token_begins_every_text_and_is_no_known_word():
    vocabulary = Vocabulary(["<PAD>", "<START>", "<UNKNOWN>", "film"])
    assert vocabulary.encode("film x") == [1, 3, 2]
    assert vocabulary.knows_any([1, 3])
    assert not vocabulary.knows_any([0, 1, 2])


def test_a_saved_vocabulary_has_lines_of_token_and_index_and_loads_equal(tmp_path):
    # U+0085 and U+2028 end a line for str.splitlines, and Keras' IMDB index has such tokens.
    vocabulary = Vocabulary(["<PAD>", "<UNKNOWN>", "it's", "café", "\x85", "\u2028"])
    vocabulary.save(tmp_path / "vocab.txt")
    lines = (tmp_path / "vocab.txt").read_text(encoding="utf-8").split("\n")
    assert lines[:4] == ["<PAD> 0", "<UNKNOWN> 1", "it's 2", "café 3"]
    assert Vocabulary.load(tmp_path / "vocab.txt") == vocabulary


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<PAD> 0\n<UNKNOWN>\n",
        b"<PAD> 0\n<UNKNOWN> 2\n",
        b"a 0\nb 1\n",
        b"<PAD> 0\n<UNKNOWN> 1\na 2\na 3\n",
        b"\xff\xfe",
        None,
    ],
    ids=["empty", "no_index", "gap", "no_special", "twice", "binary", "missing"],
)
def test_a_damaged_vocabulary_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "vocab.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError) as caught:
        Vocabulary.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [3, 0, -1, 2.5, True, "10"])
def test_a_size_without_room_for_a_word_is_refused(size):
    with pytest.raises(ConfigError, match="at least 4"):
        Vocabulary.from_texts(["a"], size)


def test_texts_without_any_word_are_refused():
    with pytest.raises(DataError, match="No text holds a word"):
        Vocabulary.from_texts(["", "...", "  "])
