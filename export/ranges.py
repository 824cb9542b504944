"""The range of every value that a quantization asks about, seen in the float32 file itself.

The converter's own calibration crashes on WHILE loops, and a name that layers share cannot tell
their values apart. So a copy of the written file is made that carries along, through its loops too,
the least and the greatest value of each tensor asked about; a tensor is known by its place in the
file. The copy runs on real inputs in the interpreter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from keras_rnn_zoo.export import flatbuffer as fb
from keras_rnn_zoo.export.running import Arrays, TFLiteModel

# Number of a subgraph, and of a tensor in it.
Place: TypeAlias = tuple[int, int]
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


def observe(content: bytes, places: Iterable[Place], *groups: Arrays) -> dict[Place, Range]:
    """Runs a float32 file on inputs and returns the range of each place that it reached.

    Args:
        content: The .tflite file.
        places: float32 tensors of at least one axis that ops of the file compute or that it takes.
        *groups: Input name -> samples `[samples, ...]`; of other sizes, where the file takes them.

    Returns:
        A range for each place that is in the main subgraph or in a loop that ran at least once;
        none for those in branches of an IF, and those that a loop without a step never reached.
    """
    model = fb.unpack(content)
    observer = _Observer(model, set(places))
    seen = observer.instrument(0)
    main = model.subgraphs[0]
    ends = [end for ends in seen.values() for end in ends]
    # Results of the signature stay those that it names; these come behind them.
    main.outputs = np.array([*main.outputs, *ends], np.int32)
    # `pack` numbers tensors anew, and keeps the order of the outputs.
    file = TFLiteModel(fb.pack(model))
    details = file.interpreter.get_output_details()[-len(ends) :] if ends else []
    lows: list[np.ndarray] = []
    highs: list[np.ndarray] = []
    for _, batch in (batch for x in groups for batch in file.batches(x)):
        file.set_inputs(batch)
        file.interpreter.invoke()
        values = [file.interpreter.get_tensor(detail["index"]) for detail in details]
        if not lows:
            lows, highs = values[::2], values[1::2]
        else:
            lows = [np.minimum(*pair) for pair in zip(lows, values[::2], strict=True)]
            highs = [np.maximum(*pair) for pair in zip(highs, values[1::2], strict=True)]
    return {
        place: Range(low, high)
        for place, low, high in zip(seen, lows, highs, strict=True)
        if (low <= high).all()
    }


class _Observer:
    """Adds what keeps the ranges to the subgraphs of a file."""

    def __init__(self, model: fb.Model, places: set[Place]):
        self.model = model
        self.places = places
        self._done: dict[int, dict[Place, tuple[int, int]]] = {}

    def instrument(self, number: int) -> dict[Place, tuple[int, int]]:
        """Returns place -> the tensors of this subgraph with its least and greatest values."""
        if number in self._done:
            return self._done[number]
        graph = self.model.subgraphs[number]
        found: dict[Place, tuple[int, int]] = {}
        operators = list(graph.operators)
        for place in sorted(place for place in self.places if place[0] == number):
            shape = fb.shape_of(graph.tensors[place[1]])
            ends = []
            for name in ("REDUCE_MIN", "REDUCE_MAX"):
                end = fb.add_tensor(graph, shape[-1:], np.float32)
                axes = np.arange(len(shape) - 1, dtype=np.int32)
                inputs = [place[1], fb.add_constant(self.model, graph, axes)]
                options = fb.schema.ReducerOptionsT()
                graph.operators.append(fb.op(self.model, name, inputs, [end], options=options))
                ends.append(end)
            found[place] = (ends[0], ends[1])
        for operator in operators:
            if fb.op_name(self.model, operator) == "WHILE":
                found.update(self._through_loop(graph, operator))
        self._done[number] = found
        return found

    def _through_loop(self, graph: fb.Graph, operator: fb.Operator) -> Any:
        """Carries the ranges of a loop's body from one iteration to the next, and out of it."""
        options = operator.builtinOptions
        condition, body = (
            self.model.subgraphs[number]
            for number in (options.condSubgraphIndex, options.bodySubgraphIndex)
        )
        first = options.bodySubgraphIndex not in self._done
        inside = self.instrument(options.bodySubgraphIndex)
        outside: dict[Place, tuple[int, int]] = {}
        for place, ends in inside.items():
            carried = []
            for end, start, name in zip(
                ends, (LARGEST, -LARGEST), ("MINIMUM", "MAXIMUM"), strict=True
            ):
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
                            options=fb.schema.MaximumMinimumOptionsT(),
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
            outside[place] = (carried[0], carried[1])
        return outside
