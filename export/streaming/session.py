"""A stream: time steps in, answers out, states kept between them."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import ConfigError, DataError, RunError, listed, nearest
from keras_rnn_zoo.export.streaming import saved
from keras_rnn_zoo.export.streaming.model import StreamingModel
from keras_rnn_zoo.export.tflite.file import RESET_STATE
from keras_rnn_zoo.export.tflite.interpreter import Arrays, TensorInfo
from keras_rnn_zoo.files import PathLike
from keras_rnn_zoo.preprocessing.inputs import as_float32, is_words, short
from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor

_INSIDE = (
    "keeps its states in variables of the interpreter, which cannot be read. Export the model with "
    'state="external".'
)


class StreamingSession:
    """A stream that a file answers step by step, without TensorFlow.

    ```python
    session = StreamingSession("bundle")
    for row in sensor:  # [features]
        print(session.answer(row))
    ```

    Of a bundle it takes inputs as the model was trained on: it scales features, and encodes texts
    with the vocabulary. A file alone takes encoded inputs. What was padding in training is a step
    like others here: leave it out.

    A step that is refused changes nothing. Several threads may use a session, and sessions over one
    `StreamingModel`.

    Args:
        source: A .tflite file that was exported with `streaming`, a bundle with one, or a
            `StreamingModel`, which several sessions share.
        quantization: Which file of a bundle; None takes its first.
        threads: CPU threads of a step.

    Attributes:
        model: The file.
        steps: Time steps seen since the start; `<START>` of a text is one.

    Raises:
        RunError, OpGateError, UnknownNameError, ConfigError: See `StreamingModel`.
    """

    def __init__(
        self,
        source: PathLike | StreamingModel,
        *,
        quantization: str | None = None,
        threads: int = 1,
    ):
        if not isinstance(source, StreamingModel):
            source = StreamingModel(source, quantization=quantization, threads=threads)
        elif quantization is not None or threads != 1:
            raise ConfigError(
                "quantization and threads are those of the StreamingModel: give them to it."
            )
        self.model = source
        self.steps = 0
        self._states: Sequence[np.ndarray] = source.initial
        self._interpreter = source.interpreter()
        encode = None if source.preprocessor is None else source.preprocessor.encode_steps
        self._takes = [_Input(info, encode) for info in source.inputs.values()]
        self._outputs = list(source.outputs.values())
        self._has_quantized = any(info.scale for info in self._outputs)
        self._floats = [
            place for place, info in enumerate(source.states.values()) if "float" in info.dtype
        ]
        # Where a call is one step, outputs of each step have a time axis of 1, which says nothing.
        self._squeezed = [
            source.chunk == 1 and name in source.every_step and info.shape[1] == 1
            for name, info in source.outputs.items()
        ]
        # Of an output of one call: the stream, where it is one alone, and that axis.
        streams = 0 if source.batch_size == 1 else slice(None)
        self._picked = [(streams, 0) if one else (streams,) for one in self._squeezed]
        self._named = list(zip(source.outputs, self._picked, strict=True))
        self._lock = threading.RLock()

    @property
    def inputs(self) -> dict[str, TensorInfo]:
        """Name -> `TensorInfo` of a chunk, `[batch, chunk, ...]`."""
        return self.model.inputs

    @property
    def outputs(self) -> dict[str, TensorInfo]:
        """Name -> `TensorInfo` of the answers; see `StreamingModel`."""
        return self.model.outputs

    @property
    def chunk(self) -> int:
        """Time steps of a call."""
        return self.model.chunk

    @property
    def states(self) -> Arrays:
        """Copies of the states: name -> real values, without the batch axis where that is 1.

        Raises:
            RunError: The file keeps them itself.
        """
        self._refuse_internal()
        with self._lock:
            pairs = zip(self.model.states.items(), self._states, strict=True)
            found = {name: info.dequantize(values).copy() for (name, info), values in pairs}
        return {name: self._of_streams(values) for name, values in found.items()}

    def step(self, x: Any) -> Arrays:
        """Goes on by a time step, or by several.

        Args:
            x: One time step, `[features]` or a token id; several, `[steps, features]` or `[steps]`;
                or input name -> such where the model has several inputs. A file of a chunk of more
                than one takes as many steps. Where it answers several streams at once, the batch
                axis comes first. Of a bundle with a vocabulary also a text (str) or a list of
                words: each token is a step.

        Returns:
            Output name -> real values, `[...]` after one time step. After several, of a file whose
            chunk is 1 `[steps, ...]`: the answers after each, also to a text of one token. Of a
            larger chunk those that it makes: `[...]`, the answer so far, or `[steps, ...]`, where
            strides of the model leave fewer. The batch axis comes first where it is more than 1.

        Raises:
            DataError: `x` does not fit, holds NaN or infinity, or makes the states so; or a text
                holds no token. The stream is where it was. (Of a file that keeps its states itself
                it is where the last good step of `x` left it; NaN in its answers resets it.)
        """
        with self._lock:
            skipped = 0
            if isinstance(x, str | list) and (isinstance(x, str) or is_words(x)):
                x, skipped = self._ids(x)
            taken, is_one = self._taken(x)
            if not is_one and self.model.chunk == 1:
                return self._one_by_one(taken, skipped)
            made = zip(self._named, self._run(taken), strict=True)
            return {name: values[picked] for (name, picked), values in made}

    def answer(self, x: Any) -> Any:
        """Goes on by a time step, or by several, and says what `Bundle.predict` would say then.

        Args:
            x: See `step`.

        Returns:
            See `decoded`.

        Raises:
            DataError: See `step`.
        """
        return self.decoded(self.step(x))

    def decoded(self, outputs: Arrays) -> Any:
        """Turns what `step` returned into an answer.

        Args:
            outputs: What `step` returned.

        Returns:
            What `Bundle.predict` answers to a row; see `Preprocessor.decode`. After several steps
            it is the last answer. Where each step has a label, those of all steps: `{"labels",
            "scores"}`, or `{"label", "score"}` of one step. Of a file alone `{"values": [...]}`.
            Where it answers several streams at once, a list with the answer of each.
        """
        if self.model.batch_size == 1:
            outputs = {name: values[np.newaxis] for name, values in outputs.items()}
        preprocessor = self.model.preprocessor
        if preprocessor is None:
            rows = {name: values.astype(np.float64).tolist() for name, values in outputs.items()}
            found = [
                {"values": part[0] if len(part) == 1 else dict(zip(rows, part, strict=True))}
                for part in zip(*rows.values(), strict=True)
            ]
        else:
            found = self._answers(preprocessor, next(iter(outputs.values())))
        return found[0] if self.model.batch_size == 1 else found

    def reset(self) -> None:
        """Goes back to the start of a stream."""
        with self._lock:
            if self.model.is_internal:
                self._interpreter.signature(RESET_STATE)
            self._states = self.model.initial
            self.steps = 0

    def save(self) -> bytes:
        """Returns all that it takes to go on later, or elsewhere, from where the stream is.

        Raises:
            RunError: The file keeps its states itself.
        """
        self._refuse_internal()
        with self._lock:
            named = list(zip(self.model.states, self._states, strict=True))
            return saved.pack(self.model.sha256, self.steps, named)

    def restore(self, state: bytes) -> None:
        """Goes on from where another session was, of the same file.

        Args:
            state: What `save` returned.

        Raises:
            RunError: It is of another file or a newer version, or damaged; or the file keeps its
                states itself. The stream is where it was.
        """
        self._refuse_internal()
        model, steps, states = saved.unpack(state)
        if model != self.model.sha256:
            raise RunError(
                f"The state is of another file (SHA-256 {model[:12]}) than {self.model.path} "
                f"(SHA-256 {self.model.sha256[:12]}). Restore it to a session of the file that it "
                "was saved from."
            )
        wanted = dict(zip(self.model.states, self.model.initial, strict=True))
        forms = {name: (one.shape, one.dtype) for name, one in wanted.items()}
        if {name: (one.shape, one.dtype) for name, one in states.items()} != forms:
            raise RunError("The state is damaged: it does not hold the states of its file.")
        values = [states[name] for name in wanted]
        if not _are_finite([values[place] for place in self._floats]):
            raise RunError("The state is damaged: it holds NaN or infinity.")
        with self._lock:
            self._states, self.steps = values, steps

    # -------------------------------------------------------------------------------- one step

    def _one_by_one(self, taken: Sequence[np.ndarray], skipped: int) -> Arrays:
        """Takes several steps of a file whose call is one, all or none; stacks their answers.

        Args:
            taken: Inputs as stored, `[batch, steps, ...]`.
            skipped: Steps at the start whose answers are left out.
        """
        before, seen = self._states, self.steps
        parts: list[list[np.ndarray]] = [[] for _ in self._outputs]
        try:
            for step in range(taken[0].shape[1]):
                made = self._run([values[:, step : step + 1] for values in taken])
                for part, values in zip(parts, made, strict=True):
                    part.append(values)
        except DataError:
            if not self.model.is_internal:  # whose states went on with the steps before
                self._states, self.steps = before, seen
            raise
        return {
            name: self._of_streams(
                (np.concatenate if squeezed else np.stack)(part[skipped:], axis=1)
            )
            for name, part, squeezed in zip(self.model.outputs, parts, self._squeezed, strict=True)
        }

    def _run(self, taken: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Runs one chunk; returns the real values of the outputs in their order."""
        made = self._interpreter.step([*taken, *self._states])
        count = len(self._outputs)
        answers, states = made[:count], made[count:]
        if not _are_finite([states[place] for place in self._floats]):
            raise DataError(
                "The step makes states NaN or infinite, and they would stay so. Its values are too "
                "large for the model. The stream is where it was."
            )
        if self._has_quantized:
            pairs = zip(self._outputs, answers, strict=True)
            answers = [info.dequantize(values) for info, values in pairs]
        if self.model.is_internal and _hold_nan(answers):
            self.reset()
            raise DataError(
                "The step makes answers NaN, and the states that the file keeps most likely. Its "
                "values are too large for the model. The stream begins anew: what it was cannot be "
                'kept but with state="external".'
            )
        self._states = states
        self.steps += self.model.chunk
        return answers

    def _taken(self, x: Any) -> tuple[list[np.ndarray], bool]:
        """Returns the inputs as stored, `[batch, steps, ...]`, and whether they are one step."""
        if len(self._takes) == 1 and not isinstance(x, Mapping):
            taken, is_one = self._takes[0].taken(x)
            return [taken], is_one
        names = self.model.inputs
        if not isinstance(x, Mapping):
            raise DataError(
                f"The model takes the inputs {listed(names)}: give a dict of arrays by name. "
                f"Received: {short(x)}"
            )
        x = self.model.named(x)
        if set(x) != set(names):
            wrong = sorted(set(map(str, x)) ^ set(names))
            near = next((nearest(name, names) for name in wrong if name not in names), "")
            raise DataError(
                f"The model takes the inputs {listed(names)}. Missing or unknown: {listed(wrong)}."
                f"{near}"
            )
        found = [one.taken(x[name]) for name, one in zip(names, self._takes, strict=True)]
        counts = {
            name: "one step" if is_one else f"{values.shape[1]} steps"
            for name, (values, is_one) in zip(names, found, strict=True)
        }
        if len(set(counts.values())) > 1:
            raise DataError(
                f"Every input goes on by the same number of time steps. Received: {counts}."
            )
        return [values for values, _ in found], found[0][1]

    def _ids(self, text: str | list[str]) -> tuple[np.ndarray, int]:
        """Returns the ids of a part of a text, and how many of them stand before it."""
        preprocessor = self.model.preprocessor
        if preprocessor is None:
            raise DataError(
                f"{self.model.path.name} brings no vocabulary to encode {short(text)}. Give "
                "encoded inputs, or open the bundle that 'export' wrote."
            )
        if self.model.batch_size > 1:
            raise DataError(
                f"{self.model.path.name} answers {self.model.batch_size} streams at once. Give "
                "token ids of each instead of a text."
            )
        begins = self.steps == 0
        ids = preprocessor.encode_part(text, begins)
        if not ids:
            raise DataError(f"{short(text)} holds no token, so there is no step. Leave it out.")
        vocabulary = preprocessor.vocabulary
        assert vocabulary is not None
        started = begins and isinstance(text, str) and vocabulary.start_id is not None
        return np.array(ids, np.int32), int(started)

    # -------------------------------------------------------------------------------- answers

    def _of_streams(self, values: np.ndarray) -> np.ndarray:
        return values[0] if self.model.batch_size == 1 else values

    def _answers(self, preprocessor: Preprocessor, values: np.ndarray) -> list[dict[str, Any]]:
        """Returns the answer of each stream, of outputs with a batch axis."""
        (info,), (squeezed,) = self._outputs, self._squeezed
        is_several = self.model.chunk == 1 and values.ndim > len(info.shape) - squeezed
        if preprocessor.task == "sequence_labelling":
            if is_several or not squeezed:
                return preprocessor.decode(values)
            return [
                {"label": answer["labels"][0], "score": answer["scores"][0]}
                for answer in preprocessor.decode(values[:, np.newaxis])
            ]
        return preprocessor.decode(values[:, -1] if is_several else values)

    def _refuse_internal(self) -> None:
        if self.model.is_internal:
            raise RunError(f"{self.model.path.name} {_INSIDE}")


class _Input:
    """Brings what is given as an input into the form that the file takes.

    Args:
        info: What the file takes, `[batch, chunk, ...]`.
        encode: From time steps to what the model was trained on; None leaves them as they are.
    """

    def __init__(self, info: TensorInfo, encode: Any):
        self._info = info
        self._encode = encode
        self._dtype = np.dtype(info.dtype)
        batch, self._chunk = int(info.shape[0] or 1), int(info.shape[1] or 1)
        self._lead: tuple[int, ...] = (batch,) if batch > 1 else ()
        self._rest = tuple(size or 0 for size in info.shape[2:])
        self._one = (*self._lead, *self._rest) if self._chunk == 1 else None
        self._stored = (batch, -1, *self._rest)
        # Whole numbers that stand for themselves; of quantized inputs the values are given.
        self._is_ids = "int" in info.dtype and not info.scale

    def taken(self, x: Any) -> tuple[np.ndarray, bool]:
        """Returns time steps as stored, `[batch, steps, ...]`, and whether `x` is one alone.

        Raises:
            DataError: `x` does not fit.
        """
        values = self._numbers(x)
        is_one = values.shape == self._one
        if not is_one and not self._fits(values.shape):
            raise self._wrong(f"the shape {list(values.shape)}")
        if self._encode is not None:
            values = self._encode(values)
        if values.dtype != self._dtype:
            values = self._info.quantize(values)
        return values.reshape(self._stored), is_one

    def _fits(self, shape: tuple[int, ...]) -> bool:
        axis = len(self._lead)
        return (
            len(shape) == axis + 1 + len(self._rest)
            and shape[:axis] == self._lead
            and shape[axis + 1 :] == self._rest
            and (shape[axis] == self._chunk if self._chunk > 1 else shape[axis] > 0)
        )

    def _numbers(self, x: Any) -> np.ndarray:
        """Returns int32, or float32 without NaN."""
        try:
            values = np.asarray(x)
        except ValueError:
            raise self._wrong(f"something ragged: {short(x)}") from None
        if self._is_ids:
            if values.dtype.kind not in "iu":
                raise self._wrong(f"{short(x)}")
            limits = np.iinfo(np.int32)
            if values.size and not limits.min <= values.min() <= values.max() <= limits.max:
                raise self._wrong(f"a number beyond int32: {short(x)}")
            return values.astype(np.int32, copy=False)
        if values.dtype != np.float32:
            if values.dtype.kind not in "fiub":
                raise self._wrong(f"{short(x)}")
            values = as_float32(values)
        if not _is_finite(values):
            raise self._wrong(
                "NaN, infinity or a number beyond float32, which would stay in the states"
            )
        return values

    def _wrong(self, received: str) -> DataError:
        what = "token ids (whole numbers)" if self._is_ids else "numbers"
        several = [*self._lead, self._chunk if self._chunk > 1 else "steps", *self._rest]
        shown = f"[{', '.join(map(str, several))}]"
        shape = f"{list(self._one)} or {shown}" if self._one else shown
        what = f"a token id, or {what}" if self._one == () else what
        return DataError(
            f"A step takes {what} of the shape {shape} as '{self._info.name}'. Received: "
            f"{received}."
        )


def _is_finite(values: np.ndarray) -> bool:
    # A product is the quickest look at all of them; one that overflows asks for a closer one.
    return math.isfinite(np.vdot(values, values)) or bool(np.isfinite(values).all())


def _are_finite(floats: Sequence[np.ndarray]) -> bool:
    if math.isfinite(sum(map(np.vdot, floats, floats))):
        return True
    return all(np.isfinite(values).all() for values in floats)


def _hold_nan(answers: Sequence[np.ndarray]) -> bool:
    return not _are_finite(answers) and any(bool(np.isnan(values).any()) for values in answers)
