"""Whatever Keras model a user has, as one that can be exported.

That is a functional or sequential model that computes in float32, starts from zero states and whose
layers have names that TensorFlow takes. It is made of a replica of the user's model, see `replica`.
"""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import ExportError, listed, one_line
from keras_rnn_zoo.export.keras_model.model import KerasModel, float32_by_default
from keras_rnn_zoo.export.keras_model.replica import replica
from keras_rnn_zoo.export.keras_model.samples import as_samples, synthetic_samples
from keras_rnn_zoo.export.keras_model.signature import Timesteps, graph_of, inputs_of, legal_names

# What TensorFlow takes as the name of a scope.
SCOPE = r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*"
# Samples that the model answers under its own dtype policy, to see what float32 changes.
COMPARED = 32


def prepare(
    model: Any,
    samples: Any = None,
    timesteps: Timesteps = None,
    *,
    keep_states: bool = False,
    compare: bool = True,
) -> KerasModel:
    """Returns a model as it can be exported, made of the user's, which is not changed.

    Args:
        model: Any built `keras.Model`. What is prepared already is returned as it is.
        samples: Inputs, in any form that `as_samples` takes: they say the names, sizes and dtypes
            of the inputs of a subclassed model, which does not know them.
        timesteps: Sizes that the model leaves open.
        keep_states: Stateful layers go on from call to call, as in Keras, from the states that the
            model has now.
        compare: Have the notes say how far the answers of a model that computes in another dtype
            are from those in float32.

    Raises:
        ExportError: No Keras model, or one that was never called; samples that do not fit it.
    """
    import keras

    if isinstance(model, KerasModel):
        return model
    if not isinstance(model, keras.Model):
        inputs_of(model)  # says what is wrong
    own = replica(model, _variables_of_its_own(model, keep_states))
    layers = _parts(own)
    for layer in layers:
        if not re.fullmatch(SCOPE, layer.name):
            layer.__dict__["name"] = legal_names([layer.name], "layer")[0]
        if layer.__dict__.get("use_cudnn") in ("auto", True):  # ops that only a GPU runs
            layer.__dict__["use_cudnn"] = False
    stateful = [one for one in layers if one.__dict__.get("stateful") is True]
    for layer in [] if keep_states else stateful:
        layer.__dict__["stateful"] = False
    changes = list(_in_float32(layers))
    policies = sorted({policy for *_, policy in changes})
    before = None
    if policies and compare:
        before = _own_answers(own, samples, timesteps)
    for thing, name, value, _ in changes:
        thing.__dict__[name] = value
    with float32_by_default() if policies else contextlib.nullcontext():
        functional = _functional(own, samples, timesteps)
    if stateful and not keep_states:
        # A batch of any size will do where no state waits for it.
        for tensor in keras.tree.flatten(functional.inputs):
            tensor.__dict__["_shape"] = (None, *tensor.shape[1:])
    notes = []
    if policies:
        text = (
            f"Computed in float32 from the same weights; the Keras model computes in "
            f"{listed(policies)}"
        )
        if before is not None:
            ready = KerasModel(functional, float32=True)
            text += _difference(before, _answers(ready, samples, timesteps))
        notes.append(f"{text}.")
    if stateful:
        names = listed(layer.name for layer in stateful if not hasattr(layer, "forward_layer"))
        notes.append(
            f"The stateful layers {names} keep their states from one call to the next, as in "
            "Keras, and start with those that the model has now."
            if keep_states
            else f"The stateful layers {names} start from zero states in every call, or, in a file "
            "that streams, in every stream."
        )
    return KerasModel(functional, tuple(notes), float32=bool(policies))


def _variables_of_its_own(model: Any, states: bool) -> list[Any]:
    """The variables of a model that its replica is not to share.

    Those with names that TensorFlow does not take, and the states that calls change.
    """
    import keras

    found = [
        variable
        for variable in model.variables
        if not re.fullmatch(SCOPE, _handle_of(variable)) and _handle_of(variable)
    ]
    for layer in model._flatten_layers() if states else ():
        if layer.__dict__.get("stateful") is True:
            found += keras.tree.flatten(getattr(layer, "states", None) or [])
    return found


def _handle_of(variable: Any) -> str:
    return str(getattr(variable.value, "_handle_name", "")).rpartition(":")[0]


def _parts(model: Any) -> list[Any]:
    """Every layer at every depth, each once, and the graphs of the sequential models."""
    found = {id(layer): layer for layer in model._flatten_layers()}
    graphs = [graph for layer in found.values() if (graph := graph_of(layer)) is not None]
    return list((found | {id(graph): graph for graph in graphs}).values())


# ------------------------------------------------------------------------------------- float32


def _in_float32(layers: list[Any]) -> Iterator[tuple[Any, str, Any, str]]:
    """Yields what to set for everything to be computed in float32: thing, name, value, was."""
    import keras

    for layer in layers:
        if _other(layer.compute_dtype) or _other(layer.variable_dtype):
            policy = keras.DTypePolicy("float32")
            # Keras casts the variables of a layer, when they are read, where this is another.
            policy._variable_dtype = layer.variable_dtype
            yield layer, "_dtype_policy", policy, layer.dtype_policy.name
        if _other(layer.__dict__.get("_dtype")):  # keras.layers.InputLayer
            yield layer, "_dtype", "float32", layer.dtype
        graph = graph_of(layer)
        if graph is None:
            continue
        for tensor in graph.inputs:
            if _other(tensor.dtype):
                yield tensor, "_dtype", "float32", tensor.dtype
        for operation in graph.operations:
            if not isinstance(operation, keras.Layer):  # keras.ops.cast and the like
                for name, value in vars(operation).items():
                    if name != "name" and isinstance(value, str) and _other(value):
                        yield operation, name, "float32", value


def _other(dtype: Any) -> bool:
    return dtype in ("float16", "bfloat16", "float64")


def _own_answers(model: Any, samples: Any, timesteps: Timesteps) -> list[np.ndarray] | None:
    """What the model answers under its own dtype policy; None where it cannot."""
    try:
        return _answers(KerasModel(_functional(model, samples, timesteps)), samples, timesteps)
    except Exception:  # no kernel for the dtype, or what is refused below, in better words
        return None


def _answers(model: KerasModel, samples: Any, timesteps: Timesteps) -> list[np.ndarray]:
    import tensorflow as tf

    if samples is None:
        x = synthetic_samples(model, timesteps)
    else:
        x = as_samples(model, samples, limit=COMPARED, timesteps=timesteps)
    answers = model([tf.constant(values) for values in x.values()])
    return [np.asarray(answer).astype(np.float64) for answer in answers]


def _difference(own: list[np.ndarray], answers: list[np.ndarray]) -> str:
    largest = max(
        float(np.abs(one - other).max(initial=0)) for one, other in zip(own, answers, strict=True)
    )
    if not np.isfinite(largest):
        return ", where its answers are not finite"
    return f", and its answers differ from these by up to {largest:.2g}"


# ---------------------------------------------------------------------------- subclassed models


def _functional(model: Any, samples: Any, timesteps: Timesteps) -> Any:
    """Returns a functional or sequential model: the one given, or one that calls it."""
    import keras

    if graph_of(model) is not None:
        return model
    if not model.built or (isinstance(model, keras.Sequential) and not model.layers):
        raise ExportError(_unbuilt(model))
    arguments = _inputs_of(model, samples, timesteps)
    functional = _called(model, arguments)
    known = KerasModel(functional)
    tokens = known.tokens if samples is None else set()
    if tokens:  # nobody said that they are whole numbers
        whole = {spec.original for spec in known.inputs if spec.name in tokens}
        arguments = keras.tree.map_structure(
            lambda t: _input(t.name, t.shape, "int32") if t.name in whole else t, arguments
        )
        functional = _called(model, arguments)
    return functional


def _called(model: Any, arguments: dict[str, Any]) -> Any:
    """Returns a functional model that calls the given one."""
    import keras

    first, *others = arguments
    before = len(model.variables)
    model.__dict__.update(_inbound_nodes=[], _outbound_nodes=[])
    try:
        outputs = model(arguments[first], **{name: arguments[name] for name in others})
    except Exception as error:  # whatever the model's call raises
        raise ExportError(
            f"Model '{model.name}' cannot be called on inputs like "
            f"{_words(keras.tree.flatten(arguments))}: {one_line(error)} Pass samples=... as the "
            "model takes them."
        ) from error
    if len(model.variables) != before:
        raise ExportError(_unbuilt(model))
    return keras.Model(arguments if others else arguments[first], outputs, name=model.name)


def _unbuilt(model: Any) -> str:
    return (
        f"Model '{model.name}' has no known inputs: it was never called, so it has no weights yet. "
        "Call it on data once, model(samples), or start it with keras.Input."
    )


def _words(tensors: list[Any]) -> str:
    return ", ".join(f"'{t.name}' {t.dtype} {list(t.shape)}" for t in tensors)


def _inputs_of(model: Any, samples: Any, timesteps: Timesteps) -> dict[str, Any]:
    """Returns argument of the model's call -> `keras.Input`s in the structure that it takes.

    What the model was built with says the structure, the samples say names, sizes and dtypes.
    """
    import keras

    parameters = [
        name
        for name, parameter in inspect.signature(model.call).parameters.items()
        if name not in ("training", "mask")
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    first = parameters[0] if parameters else "inputs"
    if hasattr(model, "_inputs_struct"):  # a functional model with a call of its own
        own = model._inputs_struct
        inputs = [_input(t.name, t.shape, t.dtype) for t in keras.tree.flatten(own)]
        return {first: keras.tree.pack_sequence_as(own, inputs)}
    built = [s for s in (getattr(model, "_build_shapes_dict", None) or {}).values() if s]
    if callable(samples):
        samples = next(iter(samples()), None)
    if isinstance(samples, Mapping):
        samples = {str(name): np.asarray(array) for name, array in samples.items()}
        several = len(samples) > 1 and set(samples) <= set(parameters)
        if several and not (built and isinstance(built[0], Mapping)):
            # Keras remembers the shapes of the first argument only.
            chosen = [name for name in parameters if name in samples]
            return {name: _input(name, samples[name].shape, samples[name].dtype) for name in chosen}
    elif samples is not None:
        parts = isinstance(samples, (list, tuple)) and built and not _is_shape(built[0])
        samples = [np.asarray(array) for array in (samples if parts else [samples])]
    if not built and samples is None:
        raise ExportError(
            f"Model '{model.name}' has no known inputs. Pass samples=..., a few inputs that it "
            "takes."
        )
    if built:
        shapes = built[0]
    elif isinstance(samples, dict):
        shapes = {name: array.shape for name, array in samples.items()}
    else:
        shapes = samples[0].shape
    leaves = _leaves(shapes, first)
    names, given = _matched(model, samples, [name for name, _ in leaves], isinstance(shapes, dict))
    inputs = []
    for name, (_, shape), array in zip(names, leaves, given, strict=True):
        dtype = "float32" if array is None else array.dtype
        size = timesteps.get(name) if isinstance(timesteps, Mapping) else timesteps
        if array is not None:
            shape = array.shape
        elif isinstance(size, int) and len(shape) > 1:
            shape = (shape[0], size, *shape[2:])
        inputs.append(_input(name, shape, dtype))
    return {first: _packed(shapes, iter(inputs))}


def _matched(
    model: Any, samples: Any, names: list[str], keyed: bool
) -> tuple[list[str], Sequence[Any]]:
    """Returns the names of a model's inputs, and the samples of each, or None for each."""
    if samples is None:
        return names, [None] * len(names)
    if len(samples) == len(names) and not isinstance(samples, dict):
        return names, samples
    if isinstance(samples, dict) and set(samples) == set(names):
        return names, [samples[name] for name in names]
    if isinstance(samples, dict) and len(samples) == len(names) and not keyed:
        return list(samples), list(samples.values())  # the call has no names of its own
    received = listed(samples) if isinstance(samples, dict) else f"{len(samples)} arrays"
    raise ExportError(
        f"Model '{model.name}' takes the inputs {listed(names)}. Received as samples: {received}."
    )


def _input(name: str, shape: Any, dtype: Any) -> Any:
    import keras

    kind = np.dtype(dtype)
    known = "string" if kind.kind in "OUS" else "float32" if kind.kind == "f" else kind.name
    return keras.Input(batch_shape=(None, *shape[1:]), dtype=known, name=name)


def _is_shape(shapes: Any) -> bool:
    return isinstance(shapes, (list, tuple)) and all(
        size is None or isinstance(size, int) for size in shapes
    )


def _leaves(shapes: Any, name: str, path: str = "") -> list[tuple[str, tuple[int | None, ...]]]:
    """Returns name and shape of each input, in the order in which Keras flattens them."""
    if _is_shape(shapes):
        return [(path or name, tuple(shapes))]
    items = sorted(shapes.items()) if isinstance(shapes, Mapping) else list(enumerate(shapes, 1))
    return [
        leaf
        for key, part in items
        for leaf in _leaves(
            part,
            name,
            f"{path}_{key}".lstrip("_") if isinstance(key, str) or path else f"{name}_{key}",
        )
    ]


def _packed(shapes: Any, inputs: Iterator[Any]) -> Any:
    if _is_shape(shapes):
        return next(inputs)
    if isinstance(shapes, Mapping):
        return {key: _packed(part, inputs) for key, part in sorted(shapes.items())}
    return type(shapes)(_packed(part, inputs) for part in shapes)
