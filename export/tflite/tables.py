"""The tables of a .tflite file, read where they lie: without copies, and no more than is asked for.

The layout is the flatbuffer schema of TensorFlow Lite (`schema.fbs`, version 3). `flatbuffer` has
them as objects that can be changed.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from keras_rnn_zoo.errors import RunError
from keras_rnn_zoo.export.tflite.file import read
from keras_rnn_zoo.export.tflite.interpreter import TensorInfo, plain_name
from keras_rnn_zoo.files import PathLike


def schema() -> Any:
    """Returns the module of the schema, which is imported when it is needed."""
    from ai_edge_litert import schema_py_generated

    return schema_py_generated


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns what a damaged flatbuffer raises into a `RunError`."""
    try:
        yield
    except Exception as error:  # it fails in whatever way its bytes say
        raise RunError(f"{path} is damaged. Take a complete copy, or export it again.") from error


@cache
def names(enum: str) -> dict[int, str]:
    """Returns value -> name of an enumeration of the schema."""
    values = vars(getattr(schema(), enum))
    return {value: name for name, value in values.items() if isinstance(value, int)}


def every(length: Callable[[], int], item: Callable[[int], Any]) -> Iterator[Any]:
    """Yields the items of a vector."""
    return (item(i) for i in range(length()))


def shape(tensor: Any) -> tuple[int, ...]:
    """Returns the shape of a tensor."""
    return tuple(int(size) for size in tensor.ShapeAsNumpy()) if tensor.ShapeLength() else ()


def open_shape(tensor: Any) -> tuple[int, ...]:
    """Returns the shape of a tensor, -1 where the app sizes the inputs."""
    sizes = tensor.ShapeSignatureAsNumpy()
    return shape(tensor) if isinstance(sizes, int) else tuple(int(size) for size in sizes)


@dataclass(frozen=True)
class Ends:
    """What goes into a file and comes out, in the order of its main subgraph.

    Attributes:
        signature: Name of its first signature; empty where it has none.
        inputs: Name -> what it is.
        outputs: Name -> what it is.
    """

    signature: str
    inputs: dict[str, TensorInfo]
    outputs: dict[str, TensorInfo]


def ends_of(path: PathLike) -> Ends:
    """Reads the inputs and outputs of a .tflite file, without running it.

    Args:
        path: The file.

    Raises:
        RunError: The file is missing, no .tflite file, or damaged.
    """
    path = Path(path)
    content = read(path)
    with reading(path):
        model = schema().Model.GetRootAs(content, 0)
        key = _text(model.SignatureDefs(0).SignatureKey()) if model.SignatureDefsLength() else ""
        return Ends(key, _ends(model, "Inputs"), _ends(model, "Outputs"))


def _ends(model: Any, kind: str) -> dict[str, TensorInfo]:
    graph = model.Subgraphs(0)
    # One tensor may be several outputs, by a name each.
    known: dict[int, list[str]] = defaultdict(list)
    for signature in every(model.SignatureDefsLength, model.SignatureDefs):
        if signature.SubgraphIndex() == 0:
            entries = every(getattr(signature, f"{kind}Length"), getattr(signature, kind))
            for one in entries:
                known[one.TensorIndex()].append(_text(one.Name()))
    found = {}
    for index in getattr(graph, f"{kind}AsNumpy")().tolist():
        tensor = graph.Tensors(index)
        quantized = tensor.Quantization()
        one_scale = quantized is not None and quantized.ScaleLength() == 1
        name = known[index].pop(0) if known[index] else plain_name(_text(tensor.Name()))
        found[name] = TensorInfo(
            name=name,
            index=index,
            shape=tuple(None if size < 0 else size for size in open_shape(tensor)),
            dtype=names("TensorType")[tensor.Type()].lower(),
            scale=float(quantized.Scale(0)) if one_scale else 0.0,
            zero_point=int(quantized.ZeroPoint(0)) if one_scale else 0,
        )
    return found


def _text(name: bytes | None) -> str:
    return (name or b"").decode("utf-8")
