"""Files for MediaPipe's and the Task Library's classifiers, which encode raw texts themselves."""

from __future__ import annotations

import io
import itertools
import json
import random
import subprocess
import zipfile

import numpy as np
import pytest

from keras_rnn_zoo.data import Dataset, Split
from keras_rnn_zoo.errors import ConfigError, RunError, VerificationError
from keras_rnn_zoo.export import CLIENTS, QUANTIZATIONS, TARGETS, TFLiteModel, export_tflite
from keras_rnn_zoo.export.bundle.bundle import Bundle
from keras_rnn_zoo.export.bundle.two_labels import check_same, with_two_outputs
from keras_rnn_zoo.export.bundle.write import export_bundle, plan_bundle
from keras_rnn_zoo.export.clients.client import ClientRefuses, installed
from keras_rnn_zoo.export.clients.prove import prove
from keras_rnn_zoo.export.clients.texts import text_of
from keras_rnn_zoo.export.keras_model.model import KerasModel
from keras_rnn_zoo.export.targets import About
from keras_rnn_zoo.export.tflite import contents
from keras_rnn_zoo.export.tflite import metadata as md
from keras_rnn_zoo.export.verify.reference import Reference
from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor
from keras_rnn_zoo.preprocessing.tokenizers.cased_words import CasedWords, spellings
from keras_rnn_zoo.training.train import train

TEXTS = [
    "a wonderful, moving film",
    "It's WONDERFUL: McQueen and his DVDs",
    "a dull film, and a café",
    "Don't! Dull as 2 hours of O'Connor",
] * 5
LABELS = ["good", "good", "bad", "bad"] * 5
DATASET = Dataset("films", "text", Split(TEXTS, LABELS))
# What the model has to tell apart, and a client may take otherwise.
RAW = [
    "A Wonderful FILM",
    "a wonderful film " * 9 + "dull dull dull",
    "CAFÉ; café—Café’s cafe\u0301<br />dull_2 2dull",
    "mcqueen McQueen MCQUEEN DVDs dvds",
    "don't DON'T Don't DoN'T o'connor O'Connor o'Connor",
    "İstanbul straße STRASSE ﬁlm film\u00a0dull\u3000FILM 素晴らしい映画 😀",
    "Dull",
]
CLIENT_NAMES = ("mediapipe", "mediapipe_js", "task_library")


def clients():
    """Each installation of a client that classifies texts."""
    known = map(CLIENTS.get, CLIENT_NAMES)
    return [(client, one) for client in known for one in installed(client)]


def needs_clients(*names):
    found = [(client, one) for client, one in clients() if client.name in (names or CLIENT_NAMES)]
    if not found:
        pytest.skip("no classifier of texts is installed: see keras-rnn-zoo clients")
    return found


@pytest.fixture(scope="module")
def trained(eagerly):
    """Returns what trains on `DATASET`, or another one, for a moment."""

    def learn(directory, model="lstm", data=DATASET, **options):
        with eagerly():
            return _train(directory, model, data, **options)

    return learn


def _train(directory, model, data, **options):
    config = {"units": 4, "embedding_dim": 6, "timesteps": 12}
    options = {"target": "mediapipe", "validation_split": 0.0, "epochs": 1, **options}
    return train(model, data, output=directory, config=config, progress=False, **options)


@pytest.fixture(scope="module")
def run(tmp_path_factory, trained):
    """A run for MediaPipe whose answers lie far apart."""
    made = trained(tmp_path_factory.mktemp("run") / "run", learning_rate=0.3, epochs=3)
    return made.path


@pytest.fixture(scope="module")
def bundle(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "bundle"
    return export_bundle(
        run, path, target="mediapipe", format=["tflite"], license="CC0-1.0", command="the command"
    )


# ---------------------------------------------------------------------------- tokens and spellings


SPELLINGS = (
    "wonderful Wonderful WONDERFUL wOnderful McQueen mcqueen DVDs dvds DVDS Dvds it's It's "
    "It'S IT'S O'Connor o'connor O'connor x_1 X_1 1990s 1990S ﬁne Fine FINE "
    "straße STRASSE strasse Straße ẞ ß İstanbul istanbul ISTANBUL ΣΑΣ Σας σας "
    "σασ ŉ ǅ Ǆ ǆ ² ½ Ⅷ ⅷ été ÉTÉ Été "
    "素晴らしい ' ''"
)
WORDS = SPELLINGS.split(" ")


def test_a_word_is_a_spelling_of_the_token_that_it_becomes_and_of_no_other():
    tokenizer = CasedWords()
    tokens = {word: tokenizer.tokens(word) for word in WORDS}
    assert all(len(found) == 1 for found in tokens.values())
    every = {found[0] for found in tokens.values()}
    for word, (token,) in tokens.items():
        assert [one for one in every if word in spellings(one)] == [token]
    assert tokens["McQueen"] == ["McQueen"] and tokens["Dvds"] == tokens["DVDS"] == ["dvds"]
    assert spellings("o'connor") == ["o'connor", "O'CONNOR", "O'Connor", "O'connor"]
    assert spellings("DVDs") == ["DVDs"]


def test_a_text_is_cut_where_the_delimiter_of_the_client_cuts_it():
    texts = "café—Café’s<br />x_1 cafe\u0301\t2½\u200ba\u00a0b"
    assert CasedWords().tokens(texts) == ["café", "café", "s", "br", "x_1", "cafe", "2½", "a", "b"]
    assert CasedWords().tokens("ends\0here") == ["ends"]


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    """A file that answers the ids that a client makes of a text, and the preprocessor for it."""
    import keras

    steps, generator = 8, random.Random(0)
    letters = [chr(one) for one in range(0x21, 0x500) if chr(one).isprintable()]

    def word():
        if generator.random() < 0.5:
            return "".join(generator.choices(letters, k=4))
        found = generator.choice(WORDS)
        return generator.choice([str, str.lower, str.upper, str.title, str.swapcase])(found)

    between = [" ", "\n", "<br />", "—", "-", "\u00a0", "\u3000", "😀", "\u0301", "\u200b", "’"]
    texts = [
        "".join(word() + generator.choice(between) for _ in range(generator.randrange(1, 14)))
        for _ in range(300)
    ]
    labels = [f"place_{number % steps}" for number in range(len(texts))]
    preprocessor = Preprocessor.fit(
        Dataset("made up", "text", Split(texts, labels)), timesteps=steps, target="mediapipe"
    )
    inputs = keras.Input((steps,), dtype="int32", name="tokens")
    # Exact in float32, and no client refuses answers below 1.
    model = keras.Model(inputs, keras.ops.cast(inputs, "float32") / 4096)
    path = tmp_path_factory.mktemp("probe") / "probe.tflite"
    export_tflite(model, path, samples=preprocessor.encode_inputs(texts[:4], strict=False))
    content = TARGETS.get("mediapipe").finished(path.read_bytes(), preprocessor, About("ids", "."))
    return content, preprocessor, [text for text in texts if CasedWords().tokens(text)]


def differing(content, preprocessor, texts, client, place):
    scores, labels = client.scores(place, content, texts)
    assert labels == list(preprocessor.labels)
    ours = preprocessor.encode_inputs(texts, strict=False)
    return int((np.rint(scores * 4096) != ours).any(axis=1).sum())


def test_clients_make_the_same_ids_of_texts_as_the_preprocessor(probe):
    found = needs_clients()
    content, preprocessor, texts = probe
    ids = preprocessor.encode_inputs(texts, strict=False)
    assert (ids == preprocessor.vocabulary.unknown_id).mean() < 0.5 < (ids > 1).mean()
    for client, place in found:
        assert differing(content, preprocessor, texts, client, place) == 0


def test_without_a_spelling_the_ids_of_a_client_are_seen_to_differ(probe):
    client, place = needs_clients("mediapipe")[0]
    content, preprocessor, _ = probe
    metadata, files = md.metadata_of(content)
    lines = files["vocab.txt"].decode().splitlines()
    assert any(line.startswith("WONDERFUL ") for line in lines)
    fewer = [line for line in lines if not line.startswith("WONDERFUL ")]
    wrong = md.with_metadata(content, metadata, {**files, "vocab.txt": "\n".join(fewer).encode()})
    texts = ["Wonderful wonderful", "so WONDERFUL"]
    assert differing(content, preprocessor, texts, client, place) == 0
    assert differing(wrong, preprocessor, texts, client, place) == 1


# -------------------------------------------------------------------------------------- metadata


METADATA = {
    "name": "films",
    "description": "Déjà vu?",
    "subgraph_metadata": [
        {
            "input_tensor_metadata": [
                {
                    "name": "text",
                    "content": {"content_properties_type": 1, "content_properties": {}},
                    "process_units": [
                        {
                            "options_type": 6,
                            "options": {
                                "delim_regex_pattern": "[^a]",
                                "vocab_file": [{"name": "vocab.txt", "type": md.VOCABULARY}],
                            },
                        }
                    ],
                }
            ],
            "output_tensor_metadata": [{"name": "answer"}],
        }
    ],
    "license": "CC0-1.0",
    "min_parser_version": "1.2.1",
}


def test_metadata_are_read_as_they_were_written_and_change_no_answer(bundle):
    plain = bundle.file("none").read_bytes()
    content = md.with_metadata(plain, METADATA, {"vocab.txt": b"a 0\n"})
    assert md.metadata_of(content) == (METADATA, {"vocab.txt": b"a 0\n"})
    assert content == md.with_metadata(content, METADATA, {"vocab.txt": b"a 0\n"})
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        # Clients map the file into memory: nothing in it is compressed.
        assert {one.compress_type for one in archive.infolist()} == {zipfile.ZIP_STORED}
    with pytest.raises(ValueError, match="has no"):
        md.with_metadata(plain, {"nam": "films"}, {})


def test_a_file_without_metadata_has_none_and_damaged_ones_are_told(bundle, tmp_path):
    content = bundle.file("none").read_bytes()
    assert md.metadata_of(content) is not None
    place = content.rindex(b"M001") - 4
    for start in (place, place + 8, place + 40):
        damaged = bytearray(content)
        damaged[start : start + 24] = b"\xff" * 24
        with pytest.raises(RunError, match=r"metadata .* damaged"):
            md.metadata_of(bytes(damaged))
    with pytest.raises(RunError, match=r"metadata .* damaged"):
        md.metadata_of(content[:-30])


def test_metadata_are_those_of_the_schema_as_mediapipe_reads_it(bundle):
    found = [place for _, place in needs_clients("mediapipe") if place.number.startswith("0.10.")]
    if not found:
        pytest.skip("MediaPipe 0.10.x is not installed: others do not show metadata")
    script = (
        "import sys; from mediapipe.tasks.python.metadata import metadata as m; "
        "d = m.MetadataDisplayer.with_model_file(sys.argv[1]); print(d.get_metadata_json())"
    )
    command = [found[0].place, "-c", script, bundle.file("none")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    read = json.loads(done.stdout)
    assert read["license"] == "CC0-1.0" and read["min_parser_version"] == "1.2.1"
    (graph,) = read["subgraph_metadata"]
    (unit,) = graph["input_tensor_metadata"][0]["process_units"]
    assert unit["options_type"] == "RegexTokenizerOptions"
    assert unit["options"]["vocab_file"][0]["type"] == "VOCABULARY"
    (labels,) = graph["output_tensor_metadata"][0]["associated_files"]
    assert (labels["name"], labels["type"]) == ("labels.txt", "TENSOR_AXIS_LABELS")


# ------------------------------------------------------------------------------- two probabilities


def binary(end="dense"):
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((5, 3))
    x = keras.layers.LSTM(4)(inputs)
    if end == "dense":
        return keras.Model(inputs, keras.layers.Dense(1, "sigmoid", name="answer")(x))
    return keras.Model(inputs, keras.layers.Activation("sigmoid")(keras.layers.Dense(1)(x)))


@pytest.mark.parametrize("end", ["dense", "activation"])
def test_both_probabilities_are_those_of_the_model(end):
    model = binary(end)
    weights = [np.array(one) for one in model.weights]
    two = with_two_outputs(model)
    x = {"input": 5 * np.random.default_rng(0).normal(size=(20, 5, 3)).astype("float32")}
    x = {KerasModel(model).inputs[0].name: x["input"]}
    check_same(KerasModel(model), KerasModel(two), x)
    assert two.output_shape == (None, 2) and model.output_shape == (None, 1)
    for before, after in zip(weights, model.weights, strict=True):
        assert (before == np.array(after)).all()
    head = two.layers[-1]
    if end == "dense":
        kernel, bias = head.get_weights()
        head.set_weights([kernel * 1.001, bias])
        with pytest.raises(VerificationError, match="differs by"):
            check_same(KerasModel(model), KerasModel(two), x)


# ----------------------------------------------------------------------------------------- bundles


def test_a_bundle_says_what_a_client_finds_in_its_files(bundle):
    report = bundle.report
    vocabulary = (bundle.path / "vocab.txt").read_text().splitlines()
    assert vocabulary[0] == "# tokenizer cased_words" and "McQueen" in " ".join(vocabulary)
    for entry in report.files:
        metadata, files = md.metadata_of((bundle.path / entry.file).read_bytes())
        assert set(files) == {"vocab.txt", "labels.txt", "provenance.json"}
        lines = files["vocab.txt"].decode().splitlines()
        assert {"wonderful 7", "WONDERFUL 7", "Wonderful 7"} <= {
            f"{line.split()[0]} 7" for line in lines if line.split()[0].lower() == "wonderful"
        }
        assert len(lines) == entry.metadata["files"]["vocab.txt"]["lines"] > len(vocabulary)
        assert files["labels.txt"] == b"bad\ngood\n"
        provenance = json.loads(files["provenance.json"])
        assert provenance["export"]["command"] == "the command"
        assert provenance["training"]["seed"] == 0 and provenance["model"] == "lstm"
        assert metadata["license"] == entry.metadata["license"] == "CC0-1.0"
        assert "first 12 tokens" in entry.metadata["takes"]
        assert entry.subgraphs == 1 and entry.bytes == (bundle.path / entry.file).stat().st_size
    assert any("vocab.txt (" in note for note in report.notes)
    assert any("both probabilities, of 'bad' and of 'good'" in note for note in report.notes)
    page = (bundle.path / "report.html").read_text()
    assert "vocab.txt in it" in page and "cuts texts at" in page and "CC0-1.0" in page


def test_a_bundle_predicts_what_its_run_predicts_and_verifies(bundle, run):
    from keras_rnn_zoo import load

    texts = RAW[:3]
    ours, keras = bundle.predict(texts), load(run).predict(texts)
    for one, other in zip(ours, keras, strict=True):
        assert one["label"] == other["label"] and list(one["scores"]) == list(other["scores"])
        # Twice what float32 rounds in a sigmoid and in a softmax.
        assert one["score"] == pytest.approx(other["score"], abs=1e-6)
    checked = Bundle.load(bundle.path).verify()
    assert checked["passed"], checked["text"]
    assert TFLiteModel(bundle.file("int8")).outputs["answer"].shape == (1, 2)


def test_clients_answer_raw_texts_as_predict_does(bundle):
    found = needs_clients()
    for entry in bundle.report.files:
        mode, content = entry.quantization, (bundle.path / entry.file).read_bytes()
        ours = bundle.predict(RAW, quantization=mode)
        assert {one["label"] for one in ours} == {"good", "bad"}
        # What rounds activations may round them otherwise: then as far as the file is from Keras.
        limit = 1e-6
        if mode not in ("none", "float16"):
            limit = max(limit, entry.parity["max_abs_output"])
        for client, place in found:
            if client.name == "mediapipe_js" and mode in ("float16", "dynamic"):
                continue  # a browser takes seconds
            answers = client.classify(place, content, RAW)
            for one, scores in zip(ours, answers, strict=True):
                assert max(scores, key=scores.get) == one["label"]
                assert scores == pytest.approx(one["scores"], abs=limit)


def test_verify_runs_the_files_in_the_clients_and_tells_a_wrong_one(bundle, tmp_path):
    needs_clients("mediapipe")
    checked = bundle.verify(clients=["mediapipe"])
    assert checked["passed"], checked["text"]
    assert {record["outcome"] for record in checked["clients"]} == {"right"}
    # Cut where the client cuts nothing, every text is one word that it does not know.
    content = bundle.file("none").read_bytes()
    metadata, files = md.metadata_of(content)
    (takes,) = metadata["subgraph_metadata"][0]["input_tensor_metadata"]
    takes["process_units"][0]["options"]["delim_regex_pattern"] = "#"
    (tmp_path / "wrong.tflite").write_bytes(md.with_metadata(content, metadata, files))
    reference = Reference.load(bundle.path / "reference.npz")
    client, place = needs_clients("mediapipe")[0]
    mode = QUANTIZATIONS.get("none")
    record = prove(client, place, tmp_path / "wrong.tflite", reference, mode)
    assert record.outcome == "wrong" and record.max_abs_output > 0.1


def test_a_file_without_metadata_is_refused_by_the_client_and_before_it_is_asked(tmp_path):
    result = export_tflite(binary(), tmp_path / "m.tflite", target="mediapipe", verify=False)
    assert "opens the file once it has metadata" in result.notes[-1]
    for name in CLIENT_NAMES:
        why = CLIENTS.get(name).refuses(None, contents.inspect(result.path))
        assert "holds no metadata" in why and "--target" in why
    for client, place in needs_clients():
        with pytest.raises(ClientRefuses, match="is refused"):
            client.scores(place, result.path.read_bytes(), RAW)


def test_samples_become_texts_that_become_the_samples_again():
    dataset = Dataset("films", "text", Split(TEXTS, LABELS))
    preprocessor = Preprocessor.fit(dataset, timesteps=12, target="mediapipe")
    known = {i: spellings(one) for i, one in enumerate(preprocessor.vocabulary.tokens)}
    known[preprocessor.vocabulary.unknown_id] = ["000"]
    ids = preprocessor.encode_inputs([*TEXTS, "nobody knows film", *RAW])
    texts = [text_of(row, number, known) for number, row in enumerate(ids)]
    assert (preprocessor.encode_inputs(texts) == ids).all()
    assert len({text.lower() for text in texts}) < len(set(texts))
    gaps = np.array([[1, 2, 0], [0, 0, 0], [0, 2, 0], [2, 0, 2], [2, 2, 2]])
    askable = CLIENTS.get("mediapipe").askable({"tokens": gaps})
    assert askable.tolist() == [True, True, False, False, True]


def test_what_is_no_lstm_is_spelled_out_step_by_step(tmp_path, trained):
    run = trained(tmp_path / "run", model="gru")
    plans = plan_bundle(run.path, target="mediapipe", quantization=["none", "int8"])
    for plan in plans.values():
        assert set(plan.lowerings.values()) == {"unrolled"}
        assert all("the op is an LSTM" in why for why in plan.fallbacks.values())
        assert [one.head for one in plan.outputs] == ["softmax"]


def test_three_labels_stay_three_outputs(tmp_path, trained):
    labels = list(itertools.islice(itertools.cycle(["bad", "fair", "good"]), len(TEXTS)))
    dataset = Dataset("films", "text", Split(TEXTS, labels))
    run = trained(tmp_path / "run", data=dataset)
    bundle = run.export(
        tmp_path / "bundle", target="mediapipe", format=["tflite"], quantization=["none"]
    )
    assert not any("both probabilities" in note for note in bundle.report.notes)
    ours = bundle.predict(RAW)
    for client, place in clients()[:1]:
        answers = client.classify(place, bundle.file().read_bytes(), RAW)
        for one, scores in zip(ours, answers, strict=True):
            assert scores == pytest.approx(one["scores"], abs=1e-6)


# ------------------------------------------------------------------------------- refused up front


@pytest.fixture(scope="module")
def usual_run(tmp_path_factory, trained):
    return trained(tmp_path_factory.mktemp("usual") / "run", target=None).path


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"truncating": "pre"}, "takes truncating 'post': it keeps the beginning of long texts"),
        ({"padding": "pre"}, "takes padding 'post': it fills short texts on the right"),
        ({"tokenizer": "words"}, "takes tokenizer 'cased_words': it looks words up as they are"),
    ],
)
def test_settings_that_the_client_does_not_have_are_refused_when_they_are_said(
    settings, told, tmp_path, trained
):
    ((name, value),) = settings.items()
    with pytest.raises(ConfigError) as caught:
        trained(tmp_path / "run", **settings)
    assert told in str(caught.value) and f"Received: {value!r}" in str(caught.value)
    assert f"Leave {name} out" in str(caught.value)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("dataset", "told"),
    [
        (
            Dataset("f", "features", Split(np.ones((4, 3, 2), "float32"), ["a", "b"] * 2)),
            r"takes data of kind 'text': .*Received: 'features'",
        ),
        (
            Dataset("t", "tokens", Split([[1, 2], [2, 1]] * 4, ["a", "b"] * 4)),
            "takes data of kind 'text'",
        ),
        (
            Dataset("r", "text", Split(TEXTS, [0.5 * i for i in range(20)]), task="regression"),
            r"takes the tasks 'binary', 'multiclass': .*Received: 'regression'",
        ),
    ],
)
def test_data_that_the_client_does_not_take_are_refused_before_training(dataset, told, tmp_path):
    with pytest.raises(ConfigError, match=told):
        train("lstm", dataset, output=tmp_path / "run", target="mediapipe", progress=False)
    assert not any(tmp_path.iterdir())


def test_a_run_that_encodes_otherwise_is_refused_before_anything_is_converted(usual_run, tmp_path):
    for name in ("mediapipe", "task_library"):
        with pytest.raises(ConfigError, match=rf"Train again with --target {name}"):
            export_bundle(usual_run, tmp_path / "bundle", target=name)
        with pytest.raises(ConfigError, match=rf"Train again with --target {name}"):
            plan_bundle(usual_run, target=name)
    with pytest.raises(ConfigError, match="brings no vocabulary and no labels"):
        export_bundle(usual_run / "model.keras", tmp_path / "bundle", target="mediapipe")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("option", [{"batch_size": 2}, {"inference_type": "int8"}])
def test_options_that_the_client_does_not_go_with_are_refused(option, run, tmp_path):
    ((name, value),) = option.items()
    with pytest.raises(ConfigError, match=f"{name} .*Received: {value!r}. Leave {name} out"):
        export_bundle(run, tmp_path / "bundle", target="mediapipe", **option)
    settings = {"quantization": "int8", "representative_data": [], **option}
    with pytest.raises(ConfigError, match=f"Leave {name} out"):
        export_tflite(None, tmp_path / "m.tflite", target="mediapipe", **settings)
    assert not any(tmp_path.iterdir())


def test_a_run_for_mediapipe_is_exported_for_other_clients_as_ever(run, tmp_path):
    bundle = export_bundle(run, tmp_path / "b", format=["tflite"], quantization=["none"])
    assert md.metadata_of(bundle.file().read_bytes()) is None
    assert TFLiteModel(bundle.file()).outputs["answer"].shape == (1, 1)
    assert bundle.report.files[0].metadata is None
