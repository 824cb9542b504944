"""What every format is: a way to write a model, to compare what was written, and to serve it."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from keras_rnn_zoo.records import Record
from keras_rnn_zoo.registry import Registry, extends, is_line

if TYPE_CHECKING:
    from keras_rnn_zoo.export.keras_model.model import KerasModel
    from keras_rnn_zoo.export.options import BundleOptions
    from keras_rnn_zoo.export.progress import Progress
    from keras_rnn_zoo.export.targets import About
    from keras_rnn_zoo.export.tflite.interpreter import Arrays
    from keras_rnn_zoo.export.verify.compare import Parity
    from keras_rnn_zoo.export.verify.reference import Reference
    from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor


@dataclass(frozen=True, eq=False)
class BundleJob:
    """What a format needs to write its files of a bundle.

    Attributes:
        model: The model, as `prepare` returns it.
        options: What was asked.
        references: What the model answers; with others for files that can be resized.
        calibration: Inputs like those that it will meet; None where there are none.
        score: Takes what a file answers to rows with labels, and returns how well it does; None
            where there are no such rows.
        labelled_inputs: Those rows, `[rows, ...]`.
        preprocessor: Of the model's inputs and answers; None where it came without.
        about: What there is to say of it.
        diagnose: Where to write what a bug report needs; False writes nothing.
        say: Is told what is done.
    """

    model: KerasModel
    options: BundleOptions
    references: list[Reference]
    calibration: Any
    score: Callable[[Any], dict[str, Any]] | None
    labelled_inputs: Any
    diagnose: Path | bool
    say: Progress
    preprocessor: Preprocessor | None = None
    about: About | None = None

    @property
    def reference(self) -> Reference:
        """What the model answers to the samples as they are."""
        return self.references[0]


@dataclass(frozen=True)
class FileRecord(Record):
    """An exported file or directory of a bundle; what is not known of it is None, or empty.

    Attributes:
        file: Its name.
        format: A name of `FORMATS`.
        description: What it is, in a line.
        bytes: Its size.
        parity: How it compares with the Keras model: `Parity.to_dict`.
        quantization: Quantization mode of a .tflite file.
        signatures: Signature -> names of its `inputs` and `outputs`.
        labelled: How well it does on rows with labels: `before`, `after`, `changed_answers`...;
            None without such rows.
        float32_bytes: Size of the same file without quantization.
        ops: Op of TFLite -> how often it is there.
        min_runtime: The oldest TensorFlow Lite that knows all of these.
        subgraphs: How many.
        weights: dtype -> bytes of constants.
        unquantized: Weights that the mode left in float32, with the reasons.
        variables: Tensors that keep state.
        tensors: `inputs` and `outputs`: name, shape, dtype, scale and zero point of each.
        lowering: Recurrent layer -> its lowering.
        folded: Layers that an embedding was folded into.
        choice: What was tried, where the lowering was chosen by measuring.
        fallbacks: Layer -> why it has another lowering than was asked for.
        plan: What becomes of the model: `Plan.to_dict`.
        notes: Remarks on its answers.
        latency: What `benchmark_tflite` measured, in ms.
        metadata: What a client that encodes raw inputs finds in the file: what it `takes` and
            `answers`, its `delimiter`, and name -> `lines` and `bytes` of the `files` in it.
        drift: How the error of a quantized file that streams goes on: `Drift.to_dict`.
        streaming: Of a file whose call takes some time steps and that says so: how many `steps`,
            the outputs that answer `every_step`, and whether its `state` is external or internal.
        arena: Bytes of the least tensor arena in tflite-micro, for a target that has one; a 32-bit
            machine needs less.
    """

    file: str
    format: str
    description: str
    bytes: int
    parity: Mapping[str, Any]
    quantization: str | None = None
    signatures: Mapping[str, Any] = field(default_factory=dict)
    labelled: Mapping[str, Any] | None = None
    float32_bytes: int | None = None
    ops: Mapping[str, int] = field(default_factory=dict)
    min_runtime: str | None = None
    subgraphs: int | None = None
    weights: Mapping[str, int] = field(default_factory=dict)
    unquantized: Sequence[Mapping[str, Any]] = ()
    variables: int | None = None
    tensors: Mapping[str, Any] = field(default_factory=dict)
    lowering: Mapping[str, str] = field(default_factory=dict)
    folded: Sequence[str] = ()
    choice: Mapping[str, Any] | None = None
    fallbacks: Mapping[str, str] = field(default_factory=dict)
    plan: Mapping[str, Any] | None = None
    notes: Sequence[str] = ()
    latency: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None
    streaming: Mapping[str, Any] | None = None
    drift: Mapping[str, Any] | None = None
    arena: int | None = None


class Format(ABC):
    """A format that a model is exported to.

    Attributes:
        name: The name on the command line and in `export(format=...)`.
        description: One line for a person.
        file_name: What it writes into a bundle, where that is one file or directory.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    file_name: ClassVar[str]

    @abstractmethod
    def export(self, model: Any, path: Any, **options: Any) -> Any:
        """Writes a Keras model, proves it on what was written, and returns a result.

        Args:
            model: A built `keras.Model`; it is not changed.
            path: What to write.
            **options: What the format knows, such as `samples`.
        """

    @abstractmethod
    def write(self, model: KerasModel, path: Path) -> None:
        """Writes a model as `prepare` returned it to a path that does not exist, unproven."""

    @abstractmethod
    def compare(self, path: Path, reference: Reference) -> Parity:
        """Compares what was written with what the Keras model answered.

        Raises:
            VerificationError: It answers something else.
            RunError: It is missing or damaged.
        """

    @abstractmethod
    def serve(self, path: Path) -> Callable[[Arrays], Arrays]:
        """Returns a function from encoded inputs by name to answers by name, `[samples, ...]`."""

    def described(self, part: str) -> str:
        """Says what a part of a bundle is, for whoever waits: its file, and what that is for."""
        return f"{self.file_name}: {self.description}"

    def parts(self, options: BundleOptions) -> list[str]:
        """Names of the parts that it adds to a bundle: one, unless it says otherwise."""
        return [self.name]

    def write_part(self, part: str, directory: Path, job: BundleJob) -> FileRecord:
        """Writes a part of a bundle, proven and scored; returns what the report says of it."""
        path = directory / self.file_name
        self.write(job.model, path)
        parity = self.compare(path, job.reference)
        scored = None
        if job.score is not None:
            name = job.reference.inputs[0].name
            (outputs,) = self.serve(path)({name: job.labelled_inputs}).values()
            scored = job.score(outputs)
        return FileRecord(
            file=self.file_name,
            format=self.name,
            description=self.description,
            bytes=bytes_of(path),
            signatures={"serving_default": {"inputs": parity.inputs, "outputs": parity.outputs}},
            parity=parity.to_dict(),
            labelled=scored,
        )


def verify(path: str, x: None, format: str, reference: str) -> tuple[dict[str, Any], list[Any]]:
    """Compares what a format wrote in a process of its own, see `tflite.isolated`.

    Args:
        path: What was written.
        x: None.
        format: Name of the format.
        reference: Path of what `Reference.save` wrote.
    """
    from keras_rnn_zoo.export.verify.reference import Reference

    # TensorFlow computes in many threads, and all samples at once.
    signal.setitimer(signal.ITIMER_PROF, 0)
    return FORMATS.get(format).compare(Path(path), Reference.load(reference)).to_dict(), []


def bytes_of(path: Path) -> int:
    """Returns the size of a file, or of all files in a directory."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


FORMATS: Registry[Format] = Registry(
    "format",
    "keras_rnn_zoo.export.formats",
    "keras_rnn_zoo.formats",
    extends(
        "format",
        Format,
        lambda entry: {"a file_name": is_line(getattr(entry, "file_name", None))},
    ),
)


def register_format(name: str) -> Callable[[type[Format]], type[Format]]:
    """Registers a `Format` under `name`."""
    return FORMATS.decorator(name)


def export(model: Any, path: Any, format: str = "tflite", **options: Any) -> Any:
    """Writes a Keras model in a format, and proves it on what was written.

    Args:
        model: A built `keras.Model`; it is not changed.
        path: What to write.
        format: A name of `FORMATS`, such as `"tflite"` or `"saved_model"`.
        **options: What the format takes: see `export_tflite` and `export_saved_model`.

    Returns:
        What the format's own function returns.

    Raises:
        UnknownNameError: No such format.
        ZooError: As the format's own function does.

    Example:
        ```python
        export(model, "model.tflite", quantization="dynamic", samples=x_test)
        export(model, "saved_model", format="saved_model")
        ```
    """
    return FORMATS.get(format).export(model, path, **options)
