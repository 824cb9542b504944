"""What an export is asked: names, defaults, limits and help, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.export.formats.format import FORMATS
from keras_rnn_zoo.export.keras_model.signature import Timesteps
from keras_rnn_zoo.export.lowering import LOWERINGS
from keras_rnn_zoo.export.lowering.products import OPTIMIZE
from keras_rnn_zoo.export.lowering.profiles import DEFAULT, PROFILES, find_profile
from keras_rnn_zoo.export.quantization import QUANTIZATIONS
from keras_rnn_zoo.export.targets import TARGETS
from keras_rnn_zoo.export.tflite.runtimes import parse_runtime, runtime_text
from keras_rnn_zoo.export.verify.tolerance import Tolerance
from keras_rnn_zoo.options import (
    Options,
    flag,
    one_of,
    option,
    optional,
    some_of,
    text,
    whole,
)
from keras_rnn_zoo.preprocessing.reading import ColumnOptions
from keras_rnn_zoo.quantities import parse_bytes, parse_timesteps

AUTO = "auto"
STATES = ("external", "internal")
# What stands for no number on the command line.
_FEWEST = "fewest"
INFERENCE_TYPES = ("float32", "int8", "int16")


def _lowerings(name: str, value: Any) -> str | tuple[str, ...]:
    known = [*LOWERINGS.names(), AUTO]
    if isinstance(value, str):
        found: str = one_of(known, "lowering")(name, value)
        return found
    if not value:
        raise ConfigError("Name at least one lowering, or 'auto'. Received: none")
    names: tuple[str, ...] = some_of(known, "lowering")(name, value)
    return names


# Which the help of the command line names.
vars(_lowerings)["choices"] = lambda: [*LOWERINGS.names(), AUTO]


def _quantization(name: str, value: Any) -> str:
    found: str = one_of(QUANTIZATIONS.names, "quantization mode")(name, value or "none")
    return found


def _streaming(name: str, value: Any) -> int | bool:
    """Returns True for as few steps as the model takes, a number of them, or False."""
    if value is None or isinstance(value, bool):
        return bool(value)
    steps: int = whole(least=1)(name, value)
    return steps


def _parse_streaming(text: str) -> int | bool:
    if text == _FEWEST:
        return True
    try:
        return int(text)
    except ValueError:
        raise ConfigError(
            "--streaming takes the number of time steps of a call, or nothing for as few as can "
            f"be. Received: {text!r}. Where that is something else, put --streaming behind it, or "
            f"say --streaming {_FEWEST}."
        ) from None


def _timesteps(name: str, value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _runtime(name: str, value: Any) -> str:
    return runtime_text(parse_runtime(value))


def _core(name: str, value: Any) -> str:
    return find_profile(value).name


# Which the help of the command line names.
vars(_core)["choices"] = lambda: list(PROFILES)


def _clients(name: str, value: Any) -> tuple[str, ...]:
    # All that runs files; most commands do not need it.
    from keras_rnn_zoo.export.clients.prove import chosen

    given = (value,) if isinstance(value, str) else tuple(value)
    if not given:
        raise ConfigError("Name at least one client, or 'all'. Received: none")
    chosen(given)
    return given


def _tolerance(name: str, value: Any) -> Tolerance:
    if isinstance(value, Mapping):
        return Tolerance(**value)
    if not isinstance(value, Tolerance):
        raise ConfigError(f"tolerance is a Tolerance. Received: {value!r}")
    return value


@dataclass(frozen=True, kw_only=True)
class FileOptions(Options):
    """How a .tflite file is written, whatever its quantization."""

    target: str = option(
        "litert",
        "The client that the file is for. It decides which lowerings and quantizations there are, "
        "and what the file may hold.",
        one_of(TARGETS, "target"),
        metavar="NAME",
    )
    lowering: str | tuple[str, ...] | None = option(
        None,
        "How recurrences are expressed. A layer that the lowering cannot express is left to "
        "another one, and the result says why. 'auto', or several names, writes each and takes "
        "what is fastest on this machine, or on the core that was named, where its emulator is set "
        "up (docs/arm.md). 'resizable' fixes neither the batch size nor what else "
        "the model leaves open: an app sizes the inputs.",
        optional(_lowerings),
        metavar="NAMES",
        shown_default="what the target prefers, mostly loop",
    )
    fold_embedding: bool | None = option(
        None,
        "Put an embedding and the input projection behind it into one table: faster, and larger.",
        optional(flag),
        shown_default="only where lowering 'auto' finds that it pays",
    )
    size_limit: int = option(
        4_000_000,
        "How large a file lowering 'auto' may make to fold an embedding, in bytes.",
        whole(least=1),
        metavar="SIZE",
        parse=parse_bytes,
        shown_default="4MB",
    )
    core: str = option(
        DEFAULT,
        "The core that loops are made for: how many time steps an iteration takes, and how much is "
        "projected at once. 'phone' puts no core of phones at a disadvantage; what a file answers "
        "is the same for all.",
        _core,
        metavar="NAME",
    )
    optimize: str = option(
        "latency",
        "What decides where a faster file is a larger one: 'latency', 'size' (loops of one step an "
        "iteration), or 'balanced' (as many as a small model's weights pay for).",
        one_of(OPTIMIZE, "way to optimize"),
        metavar="NAME",
    )
    min_runtime: str | None = option(
        None,
        "The oldest runtime that has to run the file: a version of TensorFlow Lite, such as 2.14 "
        "(tflite-runtime, TensorFlow), or of LiteRT, such as litert-1.0. A file that needs a newer "
        "one is refused.",
        optional(_runtime),
        metavar="VERSION",
        shown_default="any; the report says which runs it",
    )
    max_arena: int | None = option(
        None,
        "The largest tensor arena that the file may need in TensorFlow Lite Micro, such as 16KB. "
        "Measured in tflite-micro on this machine; a 32-bit one needs less.",
        optional(whole(least=1)),
        metavar="SIZE",
        parse=parse_bytes,
        shown_default="no limit",
    )
    inference_type: str = option(
        "float32",
        "Type of the int8 file's inputs and outputs: 'float32', or 'int8', real value = scale * "
        "(stored - zero point); of the int16x8 file's, 'int16'. Token ids stay int32, and the "
        "other files take and answer float32.",
        one_of(INFERENCE_TYPES, "inference type"),
        metavar="NAME",
    )
    streaming: int | bool = option(
        False,
        "Write files that take some time steps a call, and carry the states of the model from one "
        "call to the next, for input that comes step by step: True (no number) for as few steps as "
        "can be, mostly 1, or how many. For models that look at no step to come; --plan says what "
        "is in the way.",
        _streaming,
        metavar="[N]",
        parse=_parse_streaming,
        alone=_FEWEST,
        shown_default="a call takes a whole sequence",
    )
    state: str | None = option(
        None,
        "Where a file that streams has its states: 'external', as inputs and outputs of a call, so "
        "that a client can keep those of several streams; or 'internal', in the file, with a "
        "signature that resets them.",
        optional(one_of(STATES, "state")),
        metavar="NAME",
        shown_default="what the target prefers, mostly external",
    )
    batch_size: int = option(
        1,
        "Sequences that one call of the file answers; any number with lowering 'resizable'.",
        whole(least=1),
        metavar="N",
    )
    timesteps: Timesteps = option(
        None,
        "Number of time steps where the model's inputs leave it open; by input name where they "
        "differ, and by axis where that is not the second one: {'left': 20, 'right': 30} or "
        "{'line': {2: 40}}, on the command line left=20,right=30 or line:2=40.",
        optional(_timesteps),
        metavar="N",
        parse=parse_timesteps,
        shown_default="what the samples say",
    )

    @property
    def steps(self) -> int | None:
        """How many time steps a call is to take, where it streams; None for as few as can be."""
        return None if isinstance(self.streaming, bool) else self.streaming


@dataclass(frozen=True, kw_only=True)
class ExportOptions(FileOptions):
    """What `export_tflite` is asked."""

    RENAMED: ClassVar[Mapping[str, str]] = {"quantize": "quantization"}

    quantization: str = option(
        "none",
        "The quantization mode: 'none' (float32), 'float16', 'dynamic' (int8 weights), 'int8' "
        "(int8 weights and matrix products, calibrated), or one that was plugged in.",
        _quantization,
    )
    verify: bool = option(True, "Compare the file's answers with the model's.", flag)
    tolerance: Tolerance | None = option(
        None,
        "Differences to accept instead of those of the quantization mode.",
        optional(_tolerance),
    )


@dataclass(frozen=True, kw_only=True)
class VerifyOptions(ColumnOptions):
    """What `verify_file` is asked."""

    RENAMED: ClassVar[Mapping[str, str]] = {"samples": "samples_count"}

    quantization: str | None = option(
        None,
        "Name of the mode whose limits apply.",
        optional(_quantization),
        shown_default="that of what the file holds",
    )
    samples_count: int = option(128, "How many rows to compare on, at most.", whole(least=1))
    clients: tuple[str, ...] | None = option(
        None,
        "Run the files in other clients, too, each in a process of its own: names that the command "
        "'clients' lists, or 'all' for those that are installed.",
        optional(_clients),
        metavar="NAMES",
        shown_default="none but the interpreter here",
    )


@dataclass(frozen=True, kw_only=True)
class BundleOptions(FileOptions, ColumnOptions):
    """What `export_bundle` is asked."""

    RENAMED: ClassVar[Mapping[str, str]] = {
        "formats": "format",
        "quantize": "quantization",
        "samples": "samples_count",
    }

    format: tuple[str, ...] = option(
        ("tflite", "saved_model"),
        "The formats to write.",
        some_of(FORMATS, "format"),
        metavar="NAMES",
    )
    quantization: tuple[str, ...] | None = option(
        None,
        "Quantization modes of the .tflite files.",
        optional(some_of(QUANTIZATIONS, "quantization mode")),
        metavar="NAMES",
        shown_default="of none,float16,dynamic,int8 those that the target takes",
    )
    samples_count: int = option(128, "Rows to verify on.", whole(least=1), metavar="N")
    license: str | None = option(
        None,
        "Licence of the model, for the metadata that targets such as mediapipe have in the file.",
        optional(text),
        metavar="TEXT",
        shown_default="none is named",
    )
    trial: str | None = option(
        None,
        "Of a search, the trial to export: one of its front.",
        optional(text),
        metavar="ID",
        shown_default="the winner",
    )
