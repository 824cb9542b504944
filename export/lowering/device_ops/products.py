"""Products of tensors, and convolutions of what has its channels first."""

from __future__ import annotations

from typing import Any

from keras_rnn_zoo.export.lowering.device_ops._base import Tensor, replaces, sizes


@replaces("Cross")
def _cross(op: Any, x: Tensor, y: Tensor) -> Tensor:
    import tensorflow as tf

    a, b = (tf.unstack(vector, axis=-1) for vector in (x, y))
    turns = ((1, 2), (2, 0), (0, 1))
    return tf.stack([a[i] * b[j] - a[j] * b[i] for i, j in turns], axis=-1)


@replaces("Einsum")
def _einsum(op: Any, *operands: Tensor) -> Tensor | None:
    """Rids an equation of what the converter cannot turn into matrix products.

    That is a label twice in one operand (a diagonal), a label that one operand alone has and that
    is summed over, and operands of which one has no label of its own left.
    """
    import tensorflow as tf

    inputs, output = op.get_attr("equation").decode().replace(" ", "").split("->")
    labels = inputs.split(",")
    if "." in inputs or not sizes(*operands):
        return None
    terms = []
    for number, (term, x) in enumerate(zip(labels, operands, strict=True)):
        for label in dict.fromkeys(term):
            while term.count(label) > 1:
                term, x = _diagonal(term, x, label)
        others = output + "".join(labels[:number] + labels[number + 1 :])
        alone = [place for place, label in enumerate(term) if label not in others]
        if alone:
            x = tf.reduce_sum(x, axis=alone)
            term = "".join(label for label in term if label in others)
        terms.append((term, x))
    whole = [term for term, _ in terms]
    free = [
        set(term) & set(output) - set("".join(whole[:n] + whole[n + 1 :]))
        for n, term in enumerate(whole)
    ]
    if all(free) and whole == labels:
        return None
    if all(free) and len(terms) == 2:
        return tf.einsum(f"{','.join(whole)}->{output}", *(x for _, x in terms))
    # Entry by entry: the labels in one order, those that are summed over at the end.
    order = output + "".join(
        dict.fromkeys(label for label in "".join(whole) if label not in output)
    )
    product = None
    for term, x in terms:
        places = [term.index(label) for label in order if label in term]
        known = iter(tf.transpose(x, places).shape)
        shape = [next(known) if label in term else 1 for label in order]
        x = tf.reshape(tf.transpose(x, places), shape)
        product = x if product is None else product * x
    summed = list(range(len(output), len(order)))
    return tf.reduce_sum(product, axis=summed) if summed else product


def _diagonal(term: str, x: Tensor, label: str) -> tuple[str, Tensor]:
    """Takes the entries at which the first two axes of a label agree."""
    import tensorflow as tf

    first = term.index(label)
    second = term.index(label, first + 1)
    rest = [place for place in range(len(term)) if place not in (first, second)]
    x = tf.linalg.diag_part(tf.transpose(x, [*rest, first, second]))
    return "".join(term[place] for place in rest) + label, x


@replaces("Conv2D")
def _convolution(op: Any, x: Tensor, kernel: Tensor) -> Tensor | None:
    """Channels first; the converter mistakes the rank where Keras has a convolution of one axis."""
    import tensorflow as tf

    if op.get_attr("data_format") != b"NCHW":
        return None

    def last(values: list[int]) -> list[int]:
        return [values[0], *values[2:], values[1]]

    # A convolution of one axis has images of one row, which the converter loses on the way.
    flat = x.shape[2] == op.outputs[0].shape[2] == 1
    x = tf.transpose(tf.squeeze(x, 2), [0, 2, 1]) if flat else tf.transpose(x, [0, 2, 3, 1])
    x = tf.raw_ops.Conv2D(
        input=tf.expand_dims(x, 1) if flat else x,
        filter=kernel,
        strides=last(op.get_attr("strides")),
        padding=op.get_attr("padding").decode(),
        dilations=last(op.get_attr("dilations")),
    )
    if not flat:
        return tf.transpose(x, [0, 3, 1, 2])
    return tf.expand_dims(tf.transpose(tf.squeeze(x, 1), [0, 2, 1]), 2)
