"""The smallest part of a model that does not convert.

Each layer is converted by itself, then parts of the graph, until the smallest is found that fails
as the whole does (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input",
2002). The parts are models of the same layers, called anew; the model itself is left as it was.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from keras_rnn_zoo.errors import ConversionError, OpGateError, one_line
from keras_rnn_zoo.export.diagnose.known_failures import Failure, named_ops
from keras_rnn_zoo.export.keras_model.model import KerasModel
from keras_rnn_zoo.export.keras_model.signature import Timesteps, graph_of
from keras_rnn_zoo.export.progress import Progress

# A search ends after so many seconds (and the try that runs then) or so many tries. A part of a
# model converts in less than a second; what takes TRY_SECONDS hangs, and waiting for it again and
# again helps nobody.
SECONDS, TRIES, TRY_SECONDS, HANGS = 45.0, 100, 15.0, 2

Node = Any
# Converts a model within so many seconds, or raises.
Attempt = Callable[[Any, float], object]


class Search:
    """Looks for the smallest part of a model that fails as the whole does.

    Args:
        model: The model; it comes out as it went in.
        attempt: Converts a model within so many seconds, or raises.
        failure: How the whole model failed.
        say: Is told what is tried.
        seconds: When to stop, and be content with the smallest part so far.
        tries: After how many conversions to stop.

    Attributes:
        error: How the smallest part failed.
        lines: What was tried and what came of it.
        complete: Whether the search came to its end.
    """

    def __init__(
        self,
        model: KerasModel,
        attempt: Attempt,
        failure: Failure,
        say: Progress = lambda line: None,
        seconds: float = SECONDS,
        tries: int = TRIES,
    ):
        self.error = failure
        self.lines: list[str] = []
        self.complete = True
        self._model = model
        self._attempt = attempt
        self._failure = failure
        log = failure.log if isinstance(failure, ConversionError) else str(failure)
        self._errors = "\n".join(line for line in log.splitlines() if "error:" in line)
        self._say = say
        self._end = time.monotonic() + seconds
        self._tries = tries
        self._hangs = HANGS

    def run(self, batch_size: int = 1, timesteps: Timesteps = None) -> list[Node]:
        """Returns the calls of the layers to blame; none where no part of the model fails.

        Args:
            batch_size: Sequences that one call of the file answers.
            timesteps: Sizes that the model leaves open.
        """
        fixed = self._model.fixed(batch_size, timesteps)
        shapes = [
            (own.shape[0], *spec.shape[1:])
            for own, spec in zip(self._model.inputs, fixed, strict=True)
        ]
        try:
            nodes = _with_sizes(graph_of(self._model.keras), shapes)
        except Exception as error:  # a layer that cannot be called again
            self._tell(f"the layers cannot be called one by one: {one_line(error)}")
            return []
        return self._smallest(nodes)

    def _smallest(self, nodes: list[Node]) -> list[Node]:
        for node in sorted(nodes, key=self._unsuspected):
            if self._fails([node]):
                return self._inside(node)
        if len(nodes) < 2 or not self._fails(nodes):
            return []
        # The shortest beginning that fails, the shortest end of that, and what is left out of it.
        short, long = 1, len(nodes)
        while long - short > 1:
            middle = (short + long) // 2
            short, long = (short, middle) if self._fails(nodes[:middle]) else (middle, long)
        nodes = nodes[:long]
        short, long = 1, len(nodes)
        while long - short > 1:
            middle = (short + long) // 2
            short, long = (short, middle) if self._fails(nodes[-middle:]) else (middle, long)
        nodes = nodes[-long:]
        for node in nodes[1:-1]:
            fewer = [other for other in nodes if other is not node]
            if self._fails(fewer):
                nodes = fewer
        return nodes

    def _inside(self, node: Node) -> list[Node]:
        """Goes on within a nested model."""
        graph = graph_of(node.operation)
        if graph is None:
            return [node]
        import keras

        given = [tuple(tensor.shape) for tensor in keras.tree.flatten(node.arguments.args)]
        own = [tuple(tensor.shape) for tensor in graph.inputs]
        try:
            nodes = _with_sizes(graph, given if len(given) == len(own) else own)
        except Exception as error:
            self._tell(f"the layers within cannot be called one by one: {one_line(error)}")
            return [node]
        return self._smallest(nodes) or [node]

    def _unsuspected(self, node: Node) -> tuple[bool, bool]:
        """Those that the errors name come first, then those that are not Keras' own."""
        name = re.escape(node.operation.name)
        return (
            not re.search(rf"/{name}(?:_\d+)?/", self._errors),
            type(node.operation).__module__.startswith("keras."),
        )

    def _fails(self, nodes: list[Node]) -> bool:
        if not self._tries or not self._hangs or time.monotonic() > self._end:
            self.complete = False
            return False
        self._tries -= 1
        what = title(nodes)
        try:
            with part_of(nodes, self._model.name) as model:
                self._attempt(model, TRY_SECONDS)
        except (ConversionError, OpGateError) as error:
            if isinstance(error, ConversionError) and error.symptom == "hung":
                self._hangs -= 1
            if _alike(self._failure, error):
                self._tell(f"{what}: fails")
                self.error = error
                return True
            self._tell(f"{what}: fails otherwise: {error}")
        except Exception as error:
            self._tell(f"{what}: cannot be tried: {one_line(error)}")
        else:
            self._tell(f"{what}: converts")
        return False

    def _tell(self, line: str) -> None:
        self.lines.append(line)
        self._say(f"  {line}")


def _nodes(graph: Any) -> list[Node]:
    """Returns the calls of a graph's layers in an order in which they can run."""
    depths = sorted(graph._nodes_by_depth, reverse=True)
    return [node for depth in depths for node in graph._nodes_by_depth[depth] if not node.is_input]


@contextlib.contextmanager
def _unwired(nodes: Sequence[Node]) -> Iterator[None]:
    """Lets layers be called anew, as if in no model yet, and puts everything back."""
    wires = ("_inbound_nodes", "_outbound_nodes")
    operations = {id(node.operation): node.operation for node in nodes}.values()
    kept = [
        (operation, {wire: operation.__dict__[wire] for wire in wires}) for operation in operations
    ]
    try:
        for operation in operations:
            operation.__dict__.update({wire: [] for wire in wires})
        yield
    finally:
        for operation, lists in kept:
            operation.__dict__.update(lists)


def _called(nodes: Sequence[Node], inputs: dict[int, Any]) -> list[Node]:
    """Calls the layers of `nodes` again; `inputs` has a tensor for each that comes from outside."""
    import keras

    tensors = dict(inputs)
    calls = []
    for node in nodes:
        args, kwargs = node.arguments.convert(lambda x: tensors.get(id(x), x))
        outputs = keras.tree.flatten(node.operation(*args, **kwargs))
        tensors.update(zip(map(id, node.outputs), outputs, strict=True))
        calls.append(node.operation._inbound_nodes[-1])
    return calls


def _with_sizes(graph: Any, shapes: Sequence[tuple[int | None, ...]]) -> list[Node]:
    """Returns the calls of a graph's layers on inputs of these shapes."""
    import keras

    nodes = _nodes(graph)
    inputs = {
        id(tensor): keras.Input(batch_shape=shape, dtype=tensor.dtype, name=f"input_{number}")
        for number, (tensor, shape) in enumerate(zip(graph.inputs, shapes, strict=True), start=1)
    }
    with _unwired(nodes):
        return _called(nodes, inputs)


@contextlib.contextmanager
def part_of(nodes: Sequence[Node], name: str) -> Iterator[Any]:
    """Yields a model of a few calls of layers, which are those of the whole model."""
    import keras

    with _unwired(nodes):
        inside = {id(tensor) for node in nodes for tensor in node.outputs}
        inputs: dict[int, Any] = {}
        for node in nodes:
            for tensor in node.arguments.keras_tensors:
                if id(tensor) not in inside and id(tensor) not in inputs:
                    inputs[id(tensor)] = keras.Input(
                        batch_shape=tensor.shape,
                        dtype=tensor.dtype,
                        name=f"input_{len(inputs) + 1}",
                    )
        calls = _called(nodes, inputs)
        used = {id(tensor) for call in calls for tensor in call.arguments.keras_tensors}
        outputs = [t for call in calls for t in call.outputs if id(t) not in used]
        ends = [list(inputs.values()), outputs]
        yield keras.Model(*(end[0] if len(end) == 1 else end for end in ends), name=name)


def path_of(operation: Any) -> str:
    """Returns the Keras path of a layer; the name of what is none, such as a `keras.ops` call."""
    return str(getattr(operation, "path", None) or operation.name)


def _class(operation: Any) -> str:
    inner = getattr(operation, "layer", None)
    name = type(operation).__name__
    return name if inner is None else f"{name} of {type(inner).__name__}"


def title(nodes: Sequence[Node]) -> str:
    """Returns the layers of a part in words: "layer 'a' (Dense)", "the layers 'a' to 'z'"."""
    from keras import layers

    operations = list({id(node.operation): node.operation for node in nodes}.values())
    if len(operations) == 1:
        kind = "layer" if isinstance(operations[0], layers.Layer) else "operation"
        return f"{kind} '{path_of(operations[0])}' ({_class(operations[0])})"
    if len(operations) <= 3:
        return "the layers " + " and ".join(
            f"'{path_of(operation)}' ({_class(operation)})" for operation in operations
        )
    ends = [f"'{path_of(operation)}'" for operation in (operations[0], operations[-1])]
    return f"{len(operations)} layers from {ends[0]} to {ends[1]}"


def _alike(one: Failure, other: Failure) -> bool:
    """Whether a part fails as the whole does, and not because it is only a part."""
    if type(one) is not type(other):
        return False
    if isinstance(one, ConversionError) and isinstance(other, ConversionError):
        if one.symptom != other.symptom:
            return False
        if one.symptom == "untraceable":  # the same type of exception
            return str(one).split(":")[1] == str(other).split(":")[1]
        if one.symptom != "refused":
            return True
    ops = set(named_ops(one))
    if ops:
        return bool(ops & set(named_ops(other)))
    # Shapes and the numbers of operations differ from one graph to the next.
    return re.sub(r"\d+", "", str(one)) == re.sub(r"\d+", "", str(other))
