"""One way to write a model: traced, converted, and checked, in a scratch directory."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import ConversionError, RunError, ZooError
from keras_rnn_zoo.export.convert import converter
from keras_rnn_zoo.export.convert.trace import STATE_IN, STATE_OUT, trace, untraceable
from keras_rnn_zoo.export.keras_model.model import KerasModel
from keras_rnn_zoo.export.keras_model.samples import Samples, synthetic_samples
from keras_rnn_zoo.export.keras_model.sequences import make_lengths
from keras_rnn_zoo.export.keras_model.signature import Timesteps
from keras_rnn_zoo.export.lowering import LOWERINGS
from keras_rnn_zoo.export.lowering.plan import Plan, plan
from keras_rnn_zoo.export.lowering.products import LATENCY, Products
from keras_rnn_zoo.export.lowering.profiles import DEFAULT, find_profile
from keras_rnn_zoo.export.lowering.streaming.probe import streaming_plan
from keras_rnn_zoo.export.quantization import Quantization
from keras_rnn_zoo.export.targets import TARGETS
from keras_rnn_zoo.export.tflite import contents
from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.export.tflite.file import MICRO, STEP
from keras_rnn_zoo.export.tflite.steps import StepModel
from keras_rnn_zoo.export.tflite.streams import Streaming, finished
from keras_rnn_zoo.export.verify.reference import resized


@dataclass(frozen=True)
class Form:
    """How a file is to be written, whatever the model; see `export_tflite`."""

    mode: Quantization
    lowering: str
    fold: bool = False
    batch_size: int = 1
    timesteps: Timesteps = None
    integer_io: bool = False
    target: str | None = None
    steps: int | None = None
    state: str = "external"
    core: str = DEFAULT
    optimize: str = LATENCY

    @property
    def products(self) -> Products:
        """What matrix products cost in this form."""
        return replace(
            self.mode.products,
            core=find_profile(self.core),
            optimize=self.optimize,
        )

    def plan(self, model: KerasModel) -> Plan:
        """Returns what an export in this form does with a model.

        Raises:
            ExportError: The model cannot be exported in this form.
            ConversionError: It cannot be traced.
        """
        try:
            if LOWERINGS.get(self.lowering).steps:
                return streaming_plan(
                    model,
                    steps=self.steps,
                    products=self.products,
                    batch_size=self.batch_size,
                    fallback=None if self.target is None else TARGETS.get(self.target).fallback,
                )
            return plan(
                model,
                lowering=self.lowering,
                fallback=None if self.target is None else TARGETS.get(self.target).fallback,
                products=self.products,
                fold=self.fold,
                batch_size=self.batch_size,
                timesteps=self.timesteps,
            )
        except (ZooError, MemoryError):
            raise
        except Exception as error:  # whatever a layer, or TensorFlow on its behalf, raises
            raise untraceable(error) from error

    def attempt(self, part: Any, seconds: float) -> None:
        """Converts a part of a model, for the search for the layer to blame."""
        model = KerasModel(part)
        data = synthetic_samples(model) if self.mode.needs_representative_data else None
        form = replace(self, timesteps=None, integer_io=False)
        with tempfile.TemporaryDirectory(prefix="keras-rnn-zoo-") as scratch:
            write(model, form.plan(model), Path(scratch), form, data, seconds=seconds)

    def settings(self) -> dict[str, Any]:
        """Returns the arguments of `export_tflite` that say the same."""
        return {
            "quantization": self.mode.name,
            "lowering": self.lowering,
            "batch_size": self.batch_size,
            "timesteps": self.timesteps,
            "core": self.core,
            "optimize": self.optimize,
            **({"streaming": self.steps} if self.steps is not None else {}),
        }


@dataclass(frozen=True)
class Written:
    """A file in a scratch directory.

    Attributes:
        path: The file.
        plan: What became of each layer.
        info: What the file holds.
        float32_bytes: Size of the same file before it was quantized.
        plain: That file, where a call takes some time steps; None otherwise.
    """

    path: Path
    plan: Plan
    info: contents.FileInfo
    float32_bytes: int
    plain: Path | None = None


def write(
    model: KerasModel,
    plan: Plan,
    directory: Path,
    form: Form,
    calibration: Samples | None,
    *,
    seconds: float = converter.DEFAULT_TIMEOUT,
) -> Written:
    """Writes a model into a scratch directory.

    Args:
        model: The model.
        plan: What becomes of its layers: see `Form.plan`.
        directory: An empty one.
        form: How.
        calibration: Inputs like those that it will meet, where the mode needs them.
        seconds: The most that the converter may take.

    Raises:
        ExportError: The model cannot be exported.
        ConversionError: It does not convert, or the interpreter does not load the file.
        OpGateError: The file holds ops outside the builtin set.
    """
    written, saved_model = directory / "model.tflite", directory / "saved_model"
    try:
        trace(model, plan, form.products, saved_model)
    except (ZooError, MemoryError):
        raise
    except Exception as error:  # whatever a layer, or TensorFlow on its behalf, raises
        raise untraceable(error) from error
    converter.convert(saved_model, written, seconds)
    if plan.open_sizes:
        sizes = model.fixed(form.batch_size, form.timesteps)
        written.write_bytes(fb.sized(written.read_bytes(), {s.name: s.shape for s in sizes}))
    if plan.steps is not None:
        names = {
            f"{prefix}{number}": state.name
            for prefix in (STATE_IN, STATE_OUT)
            for number, state in enumerate(plan.states)
        }
        written.write_bytes(fb.renamed(written.read_bytes(), STEP, names))
    converted = written.read_bytes()
    if (apart := fb.outputs_apart(converted)) is not converted:
        written.write_bytes(apart)
    try:
        contents.check_builtin_only(written)
        groups = [] if calibration is None else [calibration]
        if groups and plan.open_sizes:
            groups += resized(model, groups[0])
        # Lengths that the data lack have ranges too, which those of long inputs are not.
        groups = [_with_lengths(group, model.paddings) for group in groups]
        plain = written.read_bytes()
        if plan.steps is not None:
            if form.target is not None and TARGETS.get(form.target).arena:
                # Where RAM is short, what lies between products is in integers, too.
                plain = fb.described(plain, MICRO)
            groups = [StepModel(plain).each_step(group) for group in groups]
        quantized = form.mode.quantized(plain, groups, form.integer_io)
        if plan.steps is not None:
            plain, quantized = (_streams(one, plan, form) for one in (plain, quantized))
        if form.target is not None:
            plain, quantized = map(TARGETS.get(form.target).slimmed, (plain, quantized))
        written.write_bytes(quantized)
        info = contents.check_builtin_only(written)
    except RunError as error:  # whose advice is for files that were damaged on their way
        reason = " ".join(str(error.__cause__ or error).split())
        raise ConversionError(
            f"The interpreter does not load what the converter wrote: {reason}",
            reason,
            "unloadable",
        ) from error
    unquantized = None
    if plan.steps is not None:
        unquantized = directory / "float32.tflite"
        unquantized.write_bytes(plain)
    return Written(written, plan, info, len(plain), unquantized)


def _streams(content: bytes, plan: Plan, form: Form) -> bytes:
    """Returns a file with the signature that says, or sets, the states to start with."""
    if form.target is not None and TARGETS.get(form.target).arena:
        return content  # one graph, as small as can be; its states start from zeros
    every = tuple(output.name for output in plan.outputs if output.every_step)
    start = {state.name: state.at_start() for state in plan.states}
    assert plan.steps is not None
    return finished(content, start, Streaming(plan.steps, every), inside=form.state == "internal")


def _with_lengths(x: Samples, padding: Mapping[str, float]) -> Samples:
    made = make_lengths(x, padding)
    return {name: np.concatenate([x[name], made[name]]) for name in x}
