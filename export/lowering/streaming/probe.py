"""Whether a model answers a sequence a few steps at a time as it answers all of it at once.

What a layer does is not read from its code, it is tried: the model answers a short random sequence
as a whole, then a few steps at a time, in the ops of the export, and what every layer makes of it
is compared, from the inside out. The first layer that makes something else is the one that looks at
other steps. So layers that nobody here knows are judged, too, and `keras.ops` between them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from keras_rnn_zoo.errors import ExportError, one_line
from keras_rnn_zoo.export.keras_model.model import KerasModel
from keras_rnn_zoo.export.keras_model.recurrent import (
    inside_time_distributed,
    layers_of,
    path_of,
)
from keras_rnn_zoo.export.keras_model.replica import replica
from keras_rnn_zoo.export.keras_model.samples import Samples, synthetic_samples
from keras_rnn_zoo.export.keras_model.signature import call_flat
from keras_rnn_zoo.export.lowering.carry_out import carried_out
from keras_rnn_zoo.export.lowering.plan import Plan, plan
from keras_rnn_zoo.export.lowering.products import FLOAT, Products
from keras_rnn_zoo.export.lowering.streaming import causal
from keras_rnn_zoo.export.lowering.streaming.looking_back import looking_back
from keras_rnn_zoo.export.lowering.streaming.states import State
from keras_rnn_zoo.export.lowering.streaming.watch import Seen, Watch

# Steps that are tried, and calls that they are cut into, at least.
STEPS, CALLS = 16, 3
# Sums in another order, over a few steps, as a share of the largest answer.
ROUNDING = 1e-4


@dataclass(frozen=True)
class Found:
    """What came out.

    Attributes:
        steps: Time steps that a call takes.
        states: All states, in the order in which the model comes to them.
        every_step: For each output, whether it answers every step, and not the sequence so far.
    """

    steps: int
    states: tuple[State, ...]
    every_step: tuple[bool, ...]


_FOUND: WeakKeyDictionary[KerasModel, dict[tuple[int | None, int], Found | str]] = (
    WeakKeyDictionary()
)


def why_not(model: KerasModel) -> str | None:
    """Says which layer keeps a model from being run a few steps at a time, why, and what to do.

    Returns:
        A clause, "layer 'x' (Kind) does this; do that"; None where it can be.
    """
    found = _found(model, None, 1)
    return found if isinstance(found, str) else None


def streaming_plan(
    model: KerasModel,
    *,
    steps: int | None = None,
    products: Products = FLOAT,
    batch_size: int = 1,
    fallback: str | None = None,
) -> Plan:
    """Decides what an export does with a model that is run a few steps at a time.

    Args:
        model: The model, as `prepare` returns it.
        steps: Time steps that a call takes; None for as few as can be.
        products: What matrix products will cost.
        batch_size: Sequences that one call of the file answers.
        fallback: Name of the lowering for recurrences within a time step.

    Raises:
        ExportError: A layer looks at other steps than the present one and those before it, or the
            model takes other numbers of steps; the message says which layer, and what to do.
    """
    found = _found(model, steps, batch_size)
    if isinstance(found, str):
        raise ExportError(f"Model '{model.name}' cannot be run step by step: {found}.")
    base = _plan(model, found.steps, batch_size, products, fallback)
    outputs = tuple(
        replace(output, every_step=every)
        for output, every in zip(base.outputs, found.every_step, strict=True)
    )
    return replace(base, states=found.states, outputs=outputs)


def _found(model: KerasModel, steps: int | None, batch_size: int) -> Found | str:
    known = _FOUND.setdefault(model.open_in_time, {})
    key = steps, batch_size
    if key not in known:
        known[key] = causal.why_not(model) or _Probe(model, steps, batch_size).run()
    return known[key]


def _plan(
    model: KerasModel,
    steps: int,
    batch_size: int,
    products: Products,
    fallback: str | None = None,
) -> Plan:
    return plan(
        model.open_in_time,
        lowering="step",
        fallback=fallback,
        products=products,
        batch_size=batch_size,
        timesteps=max(STEPS, steps) // steps * steps,
        steps=steps,
    )


class _Probe:
    """Runs a model both ways; see the module."""

    def __init__(self, model: KerasModel, steps: int | None, batch_size: int):
        self._model = model.open_in_time
        self._steps = steps
        self._batch = batch_size
        self._several = 1
        for layer, kind in self._looking_back():
            self._several *= kind.strides(layer)

    def _looking_back(self) -> list[tuple[Any, Any]]:
        within = {id(layer) for layer in inside_time_distributed(self._model.layers)}
        return [
            (layer, kind)
            for layer in self._model.layers
            if id(layer) not in within and (kind := looking_back(layer)) is not None
        ]

    def _in_front(self) -> set[str]:
        """Paths of the layers whose zeros in front are where states start, and no steps."""
        return {path_of(one) for one, kind in self._looking_back() if kind.puts_in_front(one)}

    def run(self) -> Found | str:
        """Returns what was found, or what is in the way."""
        unit = math.lcm(self._several, self._steps or 1)
        total = unit * max(CALLS, -(-STEPS // unit))
        x = self._inputs(total)
        whole = Watch()
        try:
            answers = self._whole(x, whole)
        except Exception as error:  # whatever a layer, or TensorFlow on its behalf, raises
            return (
                f"{_innermost(whole)} takes no other number of time steps than it was built with "
                f"({total} were tried: {_short(error)}); build it for any number"
            )
        least = self._least(whole.calls, total)
        steps = self._steps or least
        if steps % least:
            return (
                f"of {least} time steps that go in, one comes out (strides), so a call takes a "
                f"multiple of {least}, and {steps} were asked for; take {_near(steps, least)}"
            )
        parts = [
            {name: values[:, start : start + steps] for name, values in x.items()}
            for start in range(0, total, steps)
        ]
        return self._compared(whole, answers, parts, steps)

    def _inputs(self, total: int) -> Samples:
        # Two by two: what is padding in one is not in the other.
        x = synthetic_samples(self._model, total, count=8)
        rows = np.arange(-self._batch, 0) % 8
        return {name: values[rows] for name, values in x.items()}

    def _whole(self, x: Samples, watch: Watch) -> list[np.ndarray]:
        own = replica(self._model.keras)
        watch.on(layers_of(own))
        with self._model.computing():
            return [np.asarray(one) for one in call_flat(own, self._tensors(x))]

    def _tensors(self, x: Samples) -> list[Any]:
        import tensorflow as tf

        return [tf.constant(x[spec.name]) for spec in self._model.inputs]

    def _least(self, calls: list[Seen], total: int) -> int:
        """The least number of steps after which every layer has answered whole steps."""
        strided = {path_of(layer) for layer, kind in self._looking_back()}
        lengths = [
            one.answers[0].shape[1]
            for one in calls
            if one.name in strided and one.answers and one.answers[0] is not None
        ]
        if self._in_front() or not lengths:
            return self._several  # lengths that padding changes say nothing
        return math.lcm(*(Fraction(length, total).denominator for length in lengths))

    def _compared(
        self, whole: Watch, answers: list[np.ndarray], parts: list[Samples], steps: int
    ) -> Found | str:
        planned = _plan(self._model, steps, self._batch, FLOAT)
        first = Watch()
        function = carried_out(self._model, planned, FLOAT, watch=first)
        states = [np.asarray(state.at_start()) for state in planned.states]
        try:
            function(*self._tensors(parts[0]), *states)
        except Exception as error:  # as above
            return function.refused or (
                f"{_innermost(first)} does not take {steps} of the time steps by themselves "
                f"({_short(error)}); build it for any number"
            )
        planned = replace(planned, states=function.states)
        watch = Watch()
        function = carried_out(self._model, planned, FLOAT, watch=watch)
        states = [state.at_start() for state in planned.states]
        found: list[list[np.ndarray]] = []
        calls: list[list[Seen]] = []
        for part in parts:
            made = [np.asarray(one) for one in function(*self._tensors(part), *states)]
            found.append(made[: len(answers)])
            states = made[len(answers) :]
            calls.append(list(watch.calls))
            watch.calls.clear()
        if reason := _first_difference(whole.calls, calls, self._in_front()):
            return reason
        every_step = []
        for number, expected in enumerate(answers):
            own = [made[number] for made in found]
            every_step.append(own[0].shape != expected.shape)
            if not _same(expected, own, 1):
                return (
                    f"output '{self._model.outputs[number]}' is answered otherwise where the "
                    "sequence comes a few steps at a time; something before it looks at other steps"
                )
        return Found(steps, planned.states, tuple(every_step))


def _near(steps: int, least: int) -> str:
    below = steps // least * least
    return f"{below} or {below + least}" if below else str(least)


def _short(error: Exception) -> str:
    return one_line(error)[:160].rstrip(". ")


def _innermost(watch: Watch) -> str:
    return watch.running[-1] if watch.running else "the model"


def _first_difference(whole: list[Seen], calls: list[list[Seen]], in_front: set[str]) -> str | None:
    """Says which layer makes something else of a sequence that comes in parts; or None."""
    for number, one in enumerate(whole):
        parts = [call[number] if number < len(call) else None for call in calls]
        if any(part is None or part.name != one.name for part in parts):
            return (
                f"{one.named} is called another number of times where the sequence comes a few "
                "steps at a time; loop over the time steps in keras.layers.RNN"
            )
        for place, answer in enumerate(one.answers):
            if answer is None:
                continue
            own = [part.answers[place] for part in parts if part is not None]
            arrays = [values for values in own if values is not None]
            same = _same(answer, arrays, None)
            if same is False or (same is None and one.inner and one.name not in in_front):
                return _told(one)
    return None


def _told(one: Seen) -> str:
    if one.kind in causal.KNOWN:
        what, remedy = causal.KNOWN[one.kind]
        return f"{one.named} {what}; {remedy}"
    return (
        f"{one.named} answers a time step otherwise when it sees those around it: it looks at "
        "several time steps, or at the place of each; take one that looks at each step alone, or "
        "put it behind the last step (return_sequences=False in a recurrent layer)"
    )


def _same(whole: np.ndarray, parts: list[np.ndarray], axis: int | None) -> bool | None:
    """Whether parts make up the whole, or the last one is it; None where the sizes do not say."""
    first = parts[0]
    if whole.shape == first.shape:
        together = parts[-1]
    else:
        axes = [
            number
            for number, size in enumerate(first.shape)
            if len(whole.shape) == len(first.shape)
            and size * len(parts) == whole.shape[number]
            and size != whole.shape[number]
            and (axis is None or number == axis)
        ]
        if len(axes) != 1:
            return None if axis is None else False
        together = np.concatenate(parts, axis=axes[0])
        if together.shape != whole.shape:
            return None if axis is None else False
    if whole.dtype.kind != "f":
        return bool((together == whole).all())
    finite = np.isfinite(whole)
    if not (finite == np.isfinite(together)).all():
        return False
    size = float(np.abs(whole[finite]).max(initial=0)) or 1.0
    return bool(np.abs(whole[finite] - together[finite]).max(initial=0) <= ROUNDING * size)
