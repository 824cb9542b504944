import pytest

from keras_rnn_zoo.data import Dataset, Split
from keras_rnn_zoo.errors import ConfigError, RunError, UnknownNameError
from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor
from keras_rnn_zoo.preprocessing.tokenizers import TOKENIZERS, Tokenizer
from keras_rnn_zoo.preprocessing.vocabulary import Vocabulary
from keras_rnn_zoo.testing import check_tokenizer


class Letters(Tokenizer):
    """Single letters."""

    name = "letters"
    description = "every character that is no white space"

    def tokens(self, text):
        return [letter for letter in text if not letter.isspace()]


@pytest.fixture
def letters():
    TOKENIZERS.register(Letters.name, Letters())
    yield TOKENIZERS.get("letters")
    if "letters" in TOKENIZERS:
        TOKENIZERS.unregister("letters")


@pytest.mark.parametrize("name", TOKENIZERS.names())
def test_every_tokenizer_keeps_to_the_rules(name):
    check_tokenizer(name)


def test_another_tokenizer_is_chosen_by_name_and_travels_with_the_vocabulary(letters, tmp_path):
    check_tokenizer("letters")
    dataset = Dataset("t", "text", Split(["ab c", "ba"] * 4, ["x", "y"] * 4))
    made = Preprocessor.fit(dataset, timesteps=3, tokenizer="letters")
    assert made.vocabulary.tokens == ("<PAD>", "<UNKNOWN>", "a", "b", "c")
    assert made.encode_inputs(["c a"]).tolist() == [[4, 2, 0]]
    assert made.to_dict()["tokenizer"] == {"name": "letters"}
    made.save(tmp_path)
    assert (tmp_path / "vocab.txt").read_text().startswith("# tokenizer letters\n<PAD> 0\n")
    again = Preprocessor.from_dict(made.to_dict(), tmp_path)
    assert again == made
    assert again.vocabulary != Vocabulary(again.vocabulary.tokens)
    assert again.vocabulary.truncated(4).encode("ab") == [2, 3]
    TOKENIZERS.unregister("letters")
    with pytest.raises(RunError, match=r"for the tokenizer 'letters', which is not .* the package"):
        Vocabulary.load(tmp_path / "vocab.txt")


def test_words_are_saved_as_ever(tmp_path):
    vocabulary = Vocabulary.from_texts(["a film"])
    vocabulary.save(tmp_path / "vocab.txt")
    assert (tmp_path / "vocab.txt").read_text() == "<PAD> 0\n<UNKNOWN> 1\na 2\nfilm 3\n"


def test_what_is_no_tokenizer_is_told_what_it_lacks():
    class Bare(Tokenizer):
        name = "bare"

        def tokens(self, text):
            return []

    with pytest.raises(ConfigError, match=r"registered as a tokenizer lacks a description: .*Bare"):
        TOKENIZERS.register("bare", Bare())
    with pytest.raises(ConfigError, match=r"lacks the base class Tokenizer \(register an instance"):
        TOKENIZERS.register("letters", Letters)
    with pytest.raises(UnknownNameError, match=r"Unknown tokenizer: 'bare'"):
        TOKENIZERS.get("bare")
