import json
import shutil
import subprocess
import unicodedata
from unicodedata import category

import numpy as np
import pytest

from keras_rnn_zoo.data import Dataset, Split
from keras_rnn_zoo.errors import ConfigError, RunError, UnknownNameError
from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor
from keras_rnn_zoo.preprocessing.text_needs import needed_tokenizer
from keras_rnn_zoo.preprocessing.tokenizers import TOKENIZERS, Tokenizer
from keras_rnn_zoo.preprocessing.unicode import EMOJI, LEFT_OUT, SPACES, UNSPACED
from keras_rnn_zoo.preprocessing.vocabulary import Vocabulary
from keras_rnn_zoo.testing import check_tokenizer
from keras_rnn_zoo.testing.tokenizers import TEXTS
from keras_rnn_zoo.training.prepare import prepare


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


@pytest.mark.parametrize(
    ("pieces", "message"), [([], "makes no token of a word"), (["a b"], "hold white space")]
)
def test_a_tokenizer_that_loses_a_word_with_a_label_is_noticed(pieces, message):
    class Losing(Letters):
        def pieces(self, word):
            return pieces

    with pytest.raises(AssertionError, match=message):
        check_tokenizer(Losing())


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


# ---------------------------------------------------------------------- every script

FAMILY, SKIN, FLAG = "👨\u200d👩\u200d👧", "👍🏽", "🇩🇪"
# A text, and what unicode_words makes of it: tokens, separated by |.
SCRIPTS = {
    "hindi": ("मुझे यह फ़िल्म पसंद आई!", "मुझे|यह|फ़िल्म|पसंद|आई"),
    "conjuncts": ("ක්‍ර श्री", "ක්‍ර|श्री"),
    "malayalam": ("വളരെ നല്ല സിനിമ", "വളരെ|നല്ല|സിനിമ"),
    "thai": ("หนังดี ๒๕๖๔", "ห|นั|ง|ดี|๒๕๖๔"),
    "khmer": ("ខ្ញុំ", "ខ្|ញុំ"),
    "burmese": ("မြန်မာ", "မြ|န်|မာ"),
    "chinese": ("好看，2024年！", "好|看|2024|年"),
    "japanese": ("ラーメンは𠮷い。", "ラ|ー|メ|ン|は|𠮷|い"),
    "korean": ("이 영화는 재미있다.", "이|영화는|재미있다"),
    "jamo": ("\u110c\u1162\u1106\u1175", "재미"),
    "arabic": ("رائعٌ جدًّا!", "رائعٌ|جدًّا"),
    "persian": ("می\u200cخواهم", "می\u200cخواهم"),
    "turkish": ("İSTANBUL'da I\u0307 ISI ısı", "istanbul'da|i|isi|ısı"),
    "german": ("Donau\u00addampf, STRASSE ẞ Ä A\u0308", "donaudampf|strasse|ß|ä|ä"),
    "greek": ("ΟΔΟΣ οδός", "οδοσ|οδόσ"),
    "english": ("Don’t 'quote' it's rock'n'roll '90s", "don't|quote|it's|rock'n'roll|90s"),
    "emoji": (f"{FAMILY}{SKIN}{FLAG}🇫🇷 ❤\ufe0f❤", f"{FAMILY}|{SKIN}|{FLAG}|🇫🇷|❤|❤"),
    "joined": ("❤\ufe0f\u200d🔥🧑🏾\u200d🚀 1\ufe0f\u20e3", "❤\u200d🔥|🧑🏾\u200d🚀|1\u20e3"),
    "loose": ("\u0301 \u200d a\u200d ☺x", "a\u200d|☺|x"),
    "cyrillic": ("Привет, МИР_1 м'ять", "привет|мир_1|м'ять"),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_marks_stay_and_letters_without_spaces_are_tokens(script):
    text, expected = SCRIPTS[script]
    assert TOKENIZERS.get("unicode_words").tokens(text) == expected.split("|")


def test_what_words_loses_is_what_unicode_words_is_for():
    words, other = TOKENIZERS.get("words"), TOKENIZERS.get("unicode_words")
    for script in ("hindi", "thai", "emoji", "turkish", "chinese", "conjuncts"):
        assert words.tokens(SCRIPTS[script][0]) != other.tokens(SCRIPTS[script][0])
    for text in ("A wonderful, moving film!", "Größe 42 Привет", "it's snake_case 3"):
        assert words.tokens(text) == other.tokens(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("“Hi,” he (Bob) said...", "“|hi|,|”|he|(|bob|)|said|.|.|."),
        ("1,000.50 € -5 50% 3.", "1,000.50|€|-|5|50|%|3|."),
        ("the U.S. e.g. a.m., St. a.b end.", "the|u.s.|e.g.|a.m.|,|st|.|a|.|b|end|."),
        ("don't 'x' AT&T a_b e-mail", "don't|'|x|'|at|&|t|a_b|e|-|mail"),
        ("好，喜欢😀！", "好|，|喜|欢|😀|！"),
        ("फ़िल्म।", "फ़िल्म|।"),
    ],
)
def test_punctuation_marks_are_tokens_too(text, expected):
    assert TOKENIZERS.get("words_and_punctuation").tokens(text) == expected.split("|")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" Été\t\n क्षि! ", "é|t|é|▁|क्|षि|!"),
        (f"{FAMILY}{FLAG} ok\x00\ufeff ", f"{FAMILY}|{FLAG}|▁|o|k"),
        ("e\u0301 นี้", "é|▁|นี้"),
    ],
)
def test_characters_have_their_marks_and_white_space_is_one(text, expected):
    tokenizer = TOKENIZERS.get("characters")
    assert tokenizer.tokens(text) == expected.split("|")
    assert tokenizer.tokens(tokenizer.text(tokenizer.tokens(text))) == expected.split("|")


NEW = ["unicode_words", "words_and_punctuation", "characters"]


@pytest.mark.parametrize("name", NEW)
@pytest.mark.parametrize(
    "word",
    ["U.S.", "don't", "1,000.50", "फ़िल्म", "e-mail", "素晴らしい", "Größe", "AT&T", "😀", "C++"],
)
def test_a_word_that_is_cut_already_is_what_it_is_in_a_text(name, word):
    tokenizer = TOKENIZERS.get(name)
    assert tokenizer.pieces(word) == tokenizer.tokens(word)
    if name != "characters":
        apart = tokenizer.tokens(f"the {word} x")
        assert apart == ["the", *tokenizer.pieces(word), "x"]


def test_a_word_has_a_token_at_least():
    assert TOKENIZERS.get("unicode_words").pieces("...") == ["..."]
    assert TOKENIZERS.get("words_and_punctuation").pieces(" ") == ["<UNKNOWN>"]
    assert TOKENIZERS.get("words").pieces("U.S.") == ["u.s."], "as ever"


def test_ranges_hold_what_they_say():
    """Of code points that this Python knows: letters alone, symbols alone, white space."""

    def codes(ranges):
        return [chr(code) for a, b in ranges for code in range(a, b + 1)]

    assert {category(c)[0] for c in codes(UNSPACED)} == {"L", "C"}
    assert {category(c)[0] for c in codes(EMOJI)} == {"S", "C"}
    assert {c for c in map(chr, range(0x110000)) if c.isspace()} == set(codes(SPACES))
    for ranges in (UNSPACED, EMOJI, SPACES, LEFT_OUT):
        assert all(a <= b for a, b in ranges)
        assert len(set(codes(ranges))) == len(codes(ranges))
    # Whole scripts: no letter of them is left among those with spaces.
    scripts = "CJK UNIFIED", "HIRAGANA", "KATAKANA LETTER", "THAI", "LAO", "KHMER", "MYANMAR LETTER"
    inside = set(codes(UNSPACED))
    for letter in map(chr, range(0x40000)):
        if category(letter)[0] == "L" and unicodedata.name(letter, "").startswith(scripts):
            assert letter in inside, hex(ord(letter))


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node to try it in")
@pytest.mark.parametrize("name", NEW)
def test_what_is_described_is_all_that_a_client_needs(name):
    """A client made of `describe()` alone, in the language whose `\\p` is another library's."""
    described = TOKENIZERS.get(name).describe()
    texts = [*TEXTS, *(text for text, _ in SCRIPTS.values())]
    program = """
const [known, texts] = JSON.parse(require("fs").readFileSync(0, "utf8"));
const pattern = (text) => new RegExp(text.replaceAll("\\\\x{", "\\\\u{"), "gu");
console.log(JSON.stringify(texts.map((text) => {
  text = text.replace(pattern(known.left_out), "").toLowerCase();
  for (const [from, to] of known.replaced) text = text.replaceAll(from, to);
  text = text.normalize(known.normalization);
  if (known.space) {
    text = text.replace(pattern(known.white_space), known.space);
    text = text.replace(new RegExp(`^${known.space}+|${known.space}+$`, "gu"), "");
  }
  return text.match(pattern(known.token_pattern)) ?? [];
})));
"""
    given = json.dumps([described, texts])
    done = subprocess.run(["node", "-e", program], input=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for text, tokens in zip(texts, json.loads(done.stdout), strict=True):
        assert tokens == TOKENIZERS.get(name).tokens(text), text


# ---------------------------------------------------------------------- which one is needed


@pytest.mark.parametrize(
    ("texts", "name", "why"),
    [
        (["A film", "it's dull"], "words", None),
        (["Größe", "Привет", "이 영화는", "الفيلم رائع", "été"], "words", None),
        (["a film"] * 99 + ["a film 😀"], "words", None),
        (["a film"] * 97 + ["a film 😀"] * 3, "unicode_words", "emoji"),
        (["मुझे यह"] * 4, "unicode_words", "vowel signs"),
        (["e\u0301te\u0301"] * 4, "unicode_words", "accents"),
        (["İstanbul", "ısı"], "unicode_words", "accents"),
        (["好看", "很好看"], "unicode_words", "without spaces"),
        (["the sign 好 of Han"] * 4, "words", None),
        ([["a", "film"], ["!"]], "words_and_punctuation", "each word has a label"),
    ],
)
def test_texts_say_which_tokenizer_they_need(texts, name, why):
    found, note = needed_tokenizer(texts)
    assert found == name
    assert (note is None) if why is None else (why in note and name in note)


def test_the_choice_is_made_where_nobody_says_and_travels():
    hindi = Dataset("t", "text", Split(["मुझे यह", "फ़िल्म यह"] * 4, ["x", "y"] * 4))
    fitted = Preprocessor.fit(hindi, timesteps=3)
    assert fitted.vocabulary.tokenizer_name == "unicode_words"
    assert fitted.vocabulary.tokens[2:] == ("यह", "फ़िल्म", "मुझे")
    said = Preprocessor.fit(hindi, timesteps=3, tokenizer="words")
    assert said.vocabulary.tokenizer_name == "words"
    asked = Preprocessor.fit(hindi, timesteps=3, target="mediapipe")
    assert asked.vocabulary.tokenizer_name == "cased_words"


def test_whoever_trains_is_told_why(tagged):
    def notes(dataset, **options):
        found = prepare(dataset, {"timesteps": 3}, **options).data["understood"]["notes"]
        return [note for note in found if "also among those to train on" not in note]

    hindi = Dataset("t", "text", Split(["मुझे यह", "फ़िल्म यह"] * 8, ["x", "y"] * 8))
    assert any("unicode_words: words cuts words at" in note for note in notes(hindi))
    assert any("words_and_punctuation, as each word" in note for note in notes(tagged))
    assert notes(hindi, tokenizer="words") == []
    assert notes(Dataset("t", "text", Split(["a film", "b"] * 8, ["x", "y"] * 8))) == []


# ---------------------------------------------------------------------- a label for each word


@pytest.fixture
def tagged():
    words = [["AT&T", "troops", "left", "Paris", "."], ["Ann", "left", "."]] * 4
    tags = [["B-LOC", "O", "O", "B-LOC", "O"], ["B-PER", "O", "O"]] * 4
    tags[-1] = ["I-LOC", "O", "O"]
    return Dataset("t", "text", Split(words, tags), task="sequence_labelling")


def test_the_tokens_of_a_word_share_its_label(tagged):
    fitted = Preprocessor.fit(tagged, timesteps=8)
    assert fitted.vocabulary.tokenizer_name == "words_and_punctuation"
    assert fitted.labels == ("B-LOC", "B-PER", "I-LOC", "O")
    x, y = tagged.train.x[:2], tagged.train.y[:2]
    # A text and its words are the same ids.
    texts = ["AT&T troops left Paris.", "Ann left."]
    encoded = fitted.encode_inputs(x)
    assert encoded.tolist() == fitted.encode_inputs(texts).tolist()
    tokens = ["at", "&", "t", "troops", "left", "paris", "."]
    assert fitted.vocabulary.decode(encoded[0].tolist()) == tokens
    # What begins with B- goes on with I-, where there is that label; others go on as they are.
    assert fitted.encode_labels(y, x).tolist() == [
        [0, 2, 2, 3, 3, 0, 3, 0],
        [1, 3, 3, 0, 0, 0, 0, 0],
    ]
    assert fitted._spread([1], [0, 2]) == [1, 1], "there is no I-PER"


@pytest.mark.parametrize(
    ("truncating", "kept", "places"),
    [("pre", ["troops", "left", "Paris", "."], [0, 1, 2, 3]), ("post", ["AT&T", "troops"], [0, 3])],
)
def test_words_have_the_label_of_their_first_token(tagged, truncating, kept, places):
    fitted = Preprocessor.fit(tagged, timesteps=4, truncating=truncating)

    def model(x):
        return np.eye(4)[np.arange(x.size).reshape(x.shape) % 4]

    (answer,) = fitted.answer([tagged.train.x[0]], model)
    assert answer["tokens"] == kept
    assert answer["labels"] == [fitted.labels[place] for place in places]
    assert len(answer["scores"]) == len(kept)
    (answer,) = fitted.answer(["AT&T troops left Paris."], model)
    tokens = ["at", "&", "t", "troops", "left", "paris", "."]
    assert answer["tokens"] == (tokens[3:] if truncating == "pre" else tokens[:4])
