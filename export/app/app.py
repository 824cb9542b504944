"""What is known of an app: the model's files, how raw inputs are encoded, what answers mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.export.formats.format import FileRecord
from keras_rnn_zoo.preprocessing.preprocessor import VOCABULARY_FILE, Preprocessor
from keras_rnn_zoo.preprocessing.tokenizers import DEFAULT
from keras_rnn_zoo.preprocessing.tokenizers.cased_words import CasedWords, spellings
from keras_rnn_zoo.preprocessing.unicode import UnicodeTokenizer

# What the recorded inputs and outputs of a file are called in the code of an app.
ARRAYS = "arrays"
# Tokenizers that take what a pattern finds, which the code of each language has.
UNICODE = ("characters", "unicode_words", "words_and_punctuation")
# In `app/`: the words of `cased_words` in each way to write them, so that an app lowers nothing.
SPELLINGS_FILE = "spellings.txt"


@dataclass(frozen=True)
class Tensor:
    """An input or output of a file.

    Attributes:
        name: Its name in the signature.
        shape: Its shape, batch included; None where an app gives the size.
        dtype: NumPy name of its type.
        scale: Real value of one quantization step; 0 where it is not quantized.
        zero_point: The stored number that stands for 0.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    scale: float = 0.0
    zero_point: int = 0

    @property
    def size(self) -> int:
        """Numbers of one answer or sample, without the batch; sizes that are open count once."""
        return int(np.prod([size or 1 for size in self.shape[1:]], initial=1))


@dataclass(frozen=True)
class File:
    """A .tflite file that an app can run.

    Attributes:
        name: Its name.
        quantization: Its quantization mode.
        inputs: Its inputs.
        outputs: Its outputs.
        ops: Op -> how often it is there.
        states: Where a call takes some time steps: what goes in and comes out by the same names,
            in the order of these.
        steps: Time steps that a call takes; 0 where it takes everything, or does not say.
        every_step: Names of the outputs that answer each of them.
        keeps: A call takes some time steps, and the states are in the file.
        variables: It has tensors that keep state from call to call.
        resets: That is the app's to reset between sequences.
        bytes: Its size.
        arena: Bytes of tensor arena that it needs in TensorFlow Lite Micro; None where unknown.
    """

    name: str
    quantization: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    ops: Mapping[str, int] = field(default_factory=dict)
    states: tuple[Tensor, ...] = ()
    variables: bool = False
    resets: bool = False
    steps: int = 0
    every_step: tuple[str, ...] = ()
    keeps: bool = False
    bytes: int = 0
    arena: int | None = None

    @property
    def dtypes(self) -> set[str]:
        """Types of all inputs and outputs."""
        return {tensor.dtype for tensor in (*self.inputs, *self.outputs)}

    @property
    def starts(self) -> str | None:
        """Name of the file with the states that its calls start with; None where it has them."""
        return start_file(self.name) if self.steps and self.states else None

    @property
    def resizable(self) -> bool:
        """Whether the app gives its inputs their size."""
        return any(None in tensor.shape for tensor in self.inputs)


@dataclass(frozen=True)
class App:
    """All that the code of an app is generated from.

    Attributes:
        model: The model's name.
        files: The .tflite files, the default first.
        preprocessor: Of raw inputs and answers; None for a bare `.keras` file.
        golden: What golden.json holds.
        directory: Where the files lie.
        target: The client that they are for.
        classified: The files hold what MediaPipe's TextClassifier needs, and it opens them.
    """

    model: str
    files: tuple[File, ...]
    preprocessor: Preprocessor | None = None
    golden: Mapping[str, Any] = field(default_factory=dict)
    directory: Path = Path()
    target: str = "litert"
    classified: bool = False

    @property
    def kind(self) -> str:
        """What an answer is asked of: `"text"`, `"tokens"`, `"features"` or `"arrays"`.

        Texts that a tokenizer of a plug-in cuts come as the ids of their tokens.
        """
        known = self.preprocessor
        if known is None:
            return ARRAYS
        if known.vocabulary is not None and known.kind == "text":
            cut = known.vocabulary.tokenizer_name
            return "text" if cut in (DEFAULT, CasedWords.name, *UNICODE) else "tokens"
        return known.kind

    @property
    def cut(self) -> UnicodeTokenizer | None:
        """What cuts texts, where that is one of every script; None of other texts and inputs."""
        vocabulary = self.preprocessor.vocabulary if self.preprocessor else None
        if vocabulary is None or vocabulary.tokenizer_name not in UNICODE:
            return None
        found = vocabulary.tokenizer
        return found if isinstance(found, UnicodeTokenizer) else None

    @property
    def filler(self) -> float | None:
        """What fills up raw sequences of features, as float32; None if every number is a value."""
        value = self.preprocessor.padding_value if self.preprocessor else None
        return None if value is None else float(str(np.float32(value)))

    @property
    def spelled(self) -> bool:
        """Whether words are looked up as they are written, among all their spellings."""
        vocabulary = self.preprocessor.vocabulary if self.preprocessor else None
        return vocabulary is not None and vocabulary.tokenizer_name == CasedWords.name

    @property
    def vocabulary_file(self) -> str:
        """Name of the file with the vocabulary."""
        return SPELLINGS_FILE if self.spelled else VOCABULARY_FILE

    @property
    def spellings(self) -> str:
        """What `SPELLINGS_FILE` holds: a line `spelling id` for each."""
        vocabulary = self.preprocessor.vocabulary if self.preprocessor else None
        return "" if vocabulary is None else vocabulary.spelled(spellings)

    @property
    def unknown(self) -> int | None:
        """The id of a token that the vocabulary does not hold; None without one."""
        vocabulary = self.preprocessor.vocabulary if self.preprocessor else None
        return None if vocabulary is None else vocabulary.unknown_id

    @property
    def start(self) -> int | None:
        """The id that every text begins with; None without one."""
        vocabulary = self.preprocessor.vocabulary if self.preprocessor else None
        return None if vocabulary is None else vocabulary.start_id

    @property
    def scaling(self) -> tuple[list[float], list[float]] | None:
        """Mean and scale of each feature, as float32; None without."""
        scaling = self.preprocessor.scaling if self.preprocessor else None
        if scaling is None:
            return None
        mean, scale = (
            [float(str(np.float32(value))) for value in scaling[key]] for key in ("mean", "scale")
        )
        return mean, scale

    @property
    def steps(self) -> int:
        """Time steps that a call of the default file takes; 0 where it takes everything."""
        return self.files[0].steps if self.files else 0

    @property
    def integers(self) -> bool:
        """Whether a file takes or answers quantized numbers."""
        return any(tensor.scale for file in self.files for tensor in (*file.inputs, *file.outputs))

    def restricted(self, files: Sequence[File]) -> App:
        """Returns the same with some of the files."""
        return replace(self, files=tuple(files))


def start_file(file: str) -> str:
    """Returns the name of the file with the states that a .tflite file starts with."""
    return f"{Path(file).stem}.initial_state.bin"


def files_of(
    entries: Sequence[FileRecord], inputs: Sequence[str], outputs: Sequence[str], target: str
) -> tuple[File, ...]:
    """Returns the .tflite files that take and answer what the model does.

    Args:
        entries: What report.json says of the exported files.
        inputs: Names of the model's inputs.
        outputs: Names of its outputs.
        target: The client that they are for.
    """
    found = [
        File(
            name=entry.file,
            quantization=str(entry.quantization),
            inputs=tuple(map(_tensor, entry.tensors.get("inputs", ()))),
            outputs=tuple(map(_tensor, entry.tensors.get("outputs", ()))),
            ops=entry.ops,
            states=tuple(
                sorted(map(_tensor, entry.tensors.get("states", ())), key=lambda one: one.name)
            ),
            variables=bool(entry.variables),
            # What other targets are given forgets its state by itself.
            resets=target == "micro" and bool(entry.variables),
            steps=int((entry.streaming or {}).get("steps", 0)),
            every_step=tuple((entry.streaming or {}).get("every_step", ())),
            keeps=(entry.streaming or {}).get("state") == "internal",
            bytes=entry.bytes,
            arena=getattr(entry, "arena", None),
        )
        for entry in entries
        if entry.format == "tflite"
    ]
    return tuple(
        file
        for file in found
        if {tensor.name for tensor in file.inputs} == set(inputs)
        and {tensor.name for tensor in file.outputs} == set(outputs)
    )


def _tensor(values: Mapping[str, Any]) -> Tensor:
    return Tensor(
        name=str(values["name"]),
        shape=tuple(values["shape"]),
        dtype=np.dtype(values["dtype"]).name,
        scale=float(values.get("scale", 0.0)),
        zero_point=int(values.get("zero_point", 0)),
    )
