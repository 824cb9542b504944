"""What the text classifiers of MediaPipe and of the Task Library read from a file.

Both take a text as it is: cut it with a regular expression, look the tokens up in a vocabulary, pad
or cut on the right to the size of the input, and call the outputs by the names in a list of labels
(`TextClassifier` and `NLClassifier`; `RegexTokenizerOptions` of the metadata's schema).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.export.targets.target import About, Target
from keras_rnn_zoo.export.tflite import metadata as md
from keras_rnn_zoo.preprocessing.demands import Demands
from keras_rnn_zoo.preprocessing.preprocessor import LABELS_FILE, VOCABULARY_FILE, Preprocessor
from keras_rnn_zoo.preprocessing.tokenizers.cased_words import DELIMITER, CasedWords, spellings

PROVENANCE_FILE = "provenance.json"
# The version of the schema that has all of the fields that are used.
PARSER = "1.2.1"
# Bytes of provenance and metadata, and of the archive around them, at most about.
OTHERS = 4_000


class TextClassifier(Target):
    """A client that takes texts, and finds in the file how to encode them."""

    encodes: ClassVar[bool] = True
    states: ClassVar[tuple[str, ...]] = ()
    demands: ClassVar[Demands] = Demands(
        kinds=("text",),
        tasks=("binary", "multiclass"),
        settings={"padding": "post", "truncating": "post", "tokenizer": CasedWords.name},
        reasons={
            "kind": "an app hands it a text, and it makes the numbers itself",
            "task": "it answers a probability for each label of the whole text",
            "padding": "it fills short texts on the right",
            "truncating": "it keeps the beginning of long texts",
            "tokenizer": "it looks words up as they are written, and has no other way to cut texts",
        },
    )

    def check_options(self, **options: Any) -> None:
        """Refuses integer answers and several texts a call; see `Target.check_options`."""
        for name, value in (("inference_type", "float32"), ("batch_size", 1)):
            if options[name] != value:
                raise ConfigError(
                    f"The target '{self.name}' takes {name} {value}: it hands the model one text a "
                    f"call, and reads probabilities as floats. Received: {options[name]!r}. Leave "
                    f"{name} out."
                )

    def finished(self, content: bytes, preprocessor: Preprocessor, about: About) -> bytes:
        """Adds metadata, vocabulary, labels and provenance; see `Target.finished`."""
        files = associated_files(preprocessor, about)
        return md.with_metadata(content, _metadata(preprocessor, about), files)

    def attached(self, preprocessor: Preprocessor) -> int:
        """Counts the vocabulary and the labels; see `Target.attached`."""
        files = associated_files(preprocessor, About("", ""))
        return sum(map(len, files.values())) + OTHERS

    def found(self, content: bytes) -> dict[str, Any] | None:
        """Reads the metadata that it would read; see `Target.found`."""
        read = md.metadata_of(content)
        if read is None:
            return None
        metadata, files = read
        (graph,) = metadata["subgraph_metadata"]
        (takes,), (answers,) = graph["input_tensor_metadata"], graph["output_tensor_metadata"]
        return {
            "takes": takes["description"],
            "answers": answers["description"],
            "delimiter": takes["process_units"][0]["options"]["delim_regex_pattern"],
            "license": metadata.get("license"),
            "files": {
                name: {"lines": data.count(b"\n"), "bytes": len(data)}
                for name, data in files.items()
            },
        }


def associated_files(preprocessor: Preprocessor, about: About) -> dict[str, bytes]:
    """Returns name -> content of the files that are packed with a model."""
    vocabulary, labels = preprocessor.vocabulary, preprocessor.labels
    assert vocabulary is not None and labels is not None, "see Target.check_preprocessor"
    texts = {
        VOCABULARY_FILE: vocabulary.spelled(spellings),
        LABELS_FILE: "".join(f"{label}\n" for label in labels),
        PROVENANCE_FILE: json.dumps(about.provenance, indent=1, sort_keys=True) + "\n",
    }
    return {name: text.encode() for name, text in texts.items()}


def _metadata(preprocessor: Preprocessor, about: About) -> dict[str, Any]:
    """Returns the `ModelMetadata` of a classifier of texts."""
    labels = preprocessor.labels or ()
    tokenizer = {
        "delim_regex_pattern": DELIMITER,
        "vocab_file": [
            _file(VOCABULARY_FILE, "Spellings of tokens, and their ids.", md.VOCABULARY)
        ],
    }
    steps = preprocessor.timesteps
    takes = {
        "name": "input_text",
        "description": f"Ids of the first {steps} tokens of a text; shorter ones end in zeros.",
        "content": _FEATURES,
        "process_units": [{"options_type": md.REGEX_TOKENIZER, "options": tokenizer}],
    }
    answers = {
        "name": "probability",
        "description": f"The probability of each label: {', '.join(labels)}.",
        "content": _FEATURES,
        "associated_files": [
            _file(LABELS_FILE, "Labels in the order of the outputs.", md.AXIS_LABELS)
        ],
    }
    graph = {"input_tensor_metadata": [takes], "output_tensor_metadata": [answers]}
    provenance = _file(PROVENANCE_FILE, "What made the model, as JSON.", md.DESCRIPTIONS)
    return {
        "name": about.name,
        "description": about.description,
        "version": "1",
        "subgraph_metadata": [graph],
        **({} if about.license is None else {"license": about.license}),
        "associated_files": [provenance],
        "min_parser_version": PARSER,
    }


_FEATURES: Mapping[str, Any] = {
    "content_properties_type": md.FEATURE_PROPERTIES,
    "content_properties": {},
}


def _file(name: str, description: str, kind: int) -> dict[str, Any]:
    return {"name": name, "description": description, "type": kind}
