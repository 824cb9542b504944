"""What passes the places that a quantization asks about, seen in the float32 file itself.

The converter's own calibration crashes on WHILE loops, and a name that layers share cannot tell
their values apart. So a copy of the written file is made that carries along, through its loops too,
the least and the greatest value of each tensor asked about, or the second moments of its columns;
a tensor is known by its place in the file. The copy runs on real inputs in the interpreter.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np

from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.export.tflite.interpreter import Arrays, TFLiteModel

# Number of a subgraph, and of a tensor in it.
Place: TypeAlias = tuple[int, int]
# Places in one subgraph of which one thing is kept, and the tensors that hold that.
Together: TypeAlias = tuple[Place, ...]
Ends: TypeAlias = tuple[int, ...]
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Range:
    """What passed a place.

    Attributes:
        low: The least value of each column (the last axis), float32 `[columns]`.
        high: The greatest ones.
    """

    low: np.ndarray
    high: np.ndarray


def observe(model: fb.Model, places: Iterable[Place], *groups: Arrays) -> dict[Place, Range]:
    """Runs a float32 file on inputs and returns the range of each place that it reached.

    Args:
        model: The .tflite file, which is not changed.
        places: float32 tensors of at least one axis that ops of the file compute or that it takes.
        *groups: Input name -> samples `[samples, ...]`; of other sizes, where the file takes them.

    Returns:
        A range for each place that is in the main subgraph or in a loop that ran at least once;
        none for those in branches of an IF, and those that a loop without a step never reached.
    """
    seen = _Ranges(fb.copied(model), {(place,) for place in places}).run(groups)
    return {
        place: Range(low, high) for (place,), (low, high) in seen.items() if (low <= high).all()
    }


def moments_of(
    model: fb.Model, inputs: Mapping[int, tuple[int, Sequence[Place]]], *groups: Arrays
) -> dict[int, np.ndarray]:
    """Runs a float32 file on inputs and returns what dense layers multiply, as second moments.

    Args:
        model: The .tflite file, which is not changed.
        inputs: Key, such as the buffer of a kernel -> how many numbers a row has, `columns`, and
            the float32 tensors that hold rows, in any shape: what the kernel multiplies.
        *groups: As those of `observe`.

    Returns:
        Key -> the sum over all rows of what each two of their numbers make multiplied, float64
        `[columns, columns]`; none for those that no row reached.
    """
    columns: dict[Together, int] = {}
    keys: dict[Together, list[int]] = defaultdict(list)
    for key, (size, places) in inputs.items():
        for number in sorted({place[0] for place in places}):
            # One sum for those in a subgraph: what a loop carries is copied at each iteration.
            own = tuple(sorted({place for place in places if place[0] == number}))
            if columns.setdefault(own, size) == size:
                keys[own].append(key)
    found: dict[int, np.ndarray] = {}
    for own, (value,) in _Moments(fb.copied(model), columns).run(groups).items():
        for key in keys[own] if value.any() else ():
            found[key] = found[key] + value if key in found else value
    return found


class _Observer(ABC):
    """Adds what keeps something of values to the subgraphs of a file.

    Args:
        model: The file, which is changed.
        places: Those in a subgraph that are taken together, for all that there are.

    Attributes:
        kept: For each number kept: the op that brings two of them together, what NumPy calls it,
            and where it begins.
    """

    kept: ClassVar[tuple[tuple[str, np.ufunc, float], ...]]

    def __init__(self, model: fb.Model, places: Collection[Together]):
        self.model = model
        self.places = places
        self._done: dict[int, dict[Together, Ends]] = {}

    @abstractmethod
    def made(self, graph: fb.Graph, places: Together) -> Ends:
        """Adds what keeps something of some places; returns the tensors that hold it."""

    def run(self, groups: Sequence[Arrays]) -> dict[Together, list[np.ndarray]]:
        """Returns what was kept of places that were taken together, over all inputs."""
        seen = self.instrument(0)
        main = self.model.subgraphs[0]
        ends = [end for ends in seen.values() for end in ends]
        # Results of the signature stay those that it names; these come behind them.
        main.outputs = np.array([*main.outputs, *ends], np.int32)
        # `pack` numbers tensors anew, and keeps the order of the outputs.
        file = TFLiteModel(fb.pack(self.model))
        details = file.interpreter.get_output_details()[-len(ends) :] if ends else []
        together = [ufunc for _, ufunc, _ in self.kept] * len(seen)
        totals: list[np.ndarray] = []
        for _, batch in (batch for x in groups for batch in file.batches(x)):
            file.set_inputs(batch)
            file.interpreter.invoke()
            values = [file.interpreter.get_tensor(detail["index"]) for detail in details]
            if not totals:
                totals = [self.total(value) for value in values]
            else:
                totals = [
                    ufunc(*pair) for ufunc, *pair in zip(together, totals, values, strict=True)
                ]
        size = len(self.kept)
        return {
            places: totals[size * number : size * number + size]
            for number, places in enumerate(seen)
            if totals
        }

    def total(self, value: np.ndarray) -> np.ndarray:
        """Returns what the values of all batches are added up in."""
        return value

    def instrument(self, number: int) -> dict[Together, Ends]:
        """Returns places -> the tensors of this subgraph with what is kept of them."""
        if number in self._done:
            return self._done[number]
        graph = self.model.subgraphs[number]
        found: dict[Together, Ends] = {}
        operators = list(graph.operators)
        for places in sorted(places for places in self.places if places[0][0] == number):
            found[places] = self.made(graph, places)
        for operator in operators:
            if fb.op_name(self.model, operator) == "WHILE":
                found.update(self._through_loop(graph, operator))
        self._done[number] = found
        return found

    def _through_loop(self, graph: fb.Graph, operator: fb.Operator) -> Any:
        """Carries what a loop's body keeps from one iteration to the next, and out of it."""
        options = operator.builtinOptions
        condition, body = (
            self.model.subgraphs[number]
            for number in (options.condSubgraphIndex, options.bodySubgraphIndex)
        )
        first = options.bodySubgraphIndex not in self._done
        inside = self.instrument(options.bodySubgraphIndex)
        outside: dict[Together, Ends] = {}
        for place, ends in inside.items():
            carried = []
            for end, (name, _, start) in zip(ends, self.kept, strict=True):
                shape = fb.shape_of(body.tensors[end])
                if first:
                    taken = fb.add_tensor(body, shape, np.float32)
                    given = fb.add_tensor(body, shape, np.float32)
                    body.operators.append(
                        fb.op(
                            self.model,
                            name,
                            [taken, end],
                            [given],
                            options=_options(name),
                        )
                    )
                    body.inputs = np.append(body.inputs, np.int32(taken))
                    body.outputs = np.append(body.outputs, np.int32(given))
                    ignored = fb.add_tensor(condition, shape, np.float32)
                    condition.inputs = np.append(condition.inputs, np.int32(ignored))
                values = np.full(shape, start, np.float32)
                begin = fb.add_constant(self.model, graph, values)
                result = fb.add_tensor(graph, shape, np.float32)
                operator.inputs = np.append(operator.inputs, np.int32(begin))
                operator.outputs = np.append(operator.outputs, np.int32(result))
                carried.append(result)
            outside[place] = tuple(carried)
        return outside


class _Ranges(_Observer):
    """Keeps the least and the greatest value of each column of a place."""

    kept = (("MINIMUM", np.minimum, LARGEST), ("MAXIMUM", np.maximum, -LARGEST))

    def made(self, graph: fb.Graph, places: Together) -> Ends:
        ((_, index),) = places
        shape = fb.shape_of(graph.tensors[index])
        ends = []
        for name in ("REDUCE_MIN", "REDUCE_MAX"):
            end = fb.add_tensor(graph, shape[-1:], np.float32)
            axes = np.arange(len(shape) - 1, dtype=np.int32)
            inputs = [index, fb.add_constant(self.model, graph, axes)]
            options = fb.schema.ReducerOptionsT()
            graph.operators.append(fb.op(self.model, name, inputs, [end], options=options))
            ends.append(end)
        return tuple(ends)


class _Moments(_Observer):
    """Keeps the sum of the products of each two columns of all rows at some places."""

    kept = (("ADD", np.add, 0.0),)

    def __init__(self, model: fb.Model, columns: Mapping[Together, int]):
        super().__init__(model, columns)
        self.columns = columns

    def total(self, value: np.ndarray) -> np.ndarray:
        return value.astype(np.float64)

    def made(self, graph: fb.Graph, places: Together) -> Ends:
        columns, rows = self.columns[places], []
        sizes = []
        for _, index in places:
            sizes.append(int(np.prod(fb.shape_of(graph.tensors[index]))) // columns)
            rows.append(fb.add_tensor(graph, [sizes[-1], columns], np.float32))
            shape = fb.add_constant(self.model, graph, np.array([-1, columns], np.int32))
            options = fb.schema.ReshapeOptionsT()
            options.newShape = [-1, columns]
            graph.operators.append(
                fb.op(self.model, "RESHAPE", [index, shape], [rows[-1]], options=options)
            )
        every = rows[0]
        if len(rows) > 1:
            every = fb.add_tensor(graph, [sum(sizes), columns], np.float32)
            options = fb.schema.ConcatenationOptionsT()
            graph.operators.append(
                fb.op(self.model, "CONCATENATION", rows, [every], options=options)
            )
        end = fb.add_tensor(graph, [columns, columns], np.float32)
        options = fb.schema.BatchMatMulOptionsT()
        options.adjX = True
        graph.operators.append(
            fb.op(self.model, "BATCH_MATMUL", [every, every], [end], options=options)
        )
        return (end,)


def _options(name: str) -> Any:
    return fb.schema.AddOptionsT() if name == "ADD" else fb.schema.MaximumMinimumOptionsT()
