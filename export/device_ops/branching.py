"""Branches."""

from __future__ import annotations

from typing import Any

from keras_rnn_zoo.export.device_ops._base import Tensor, replaces


@replaces("Case", "StatelessCase")
def case(op: Any, index: Tensor, *inputs: Tensor) -> list[Tensor]:
    """One of two, and so on; an index that no branch has takes the last."""
    import tensorflow as tf

    branches = op.node_def.attr["branches"].list.func

    def taken(number: int) -> list[Tensor]:
        def call() -> list[Tensor]:
            found = tf.raw_ops.PartitionedCall(
                args=inputs, Tout=op.get_attr("Tout"), f=branches[number].name
            )
            return list(found)

        if number == len(branches) - 1:
            return call()
        return list(tf.cond(tf.equal(index, number), call, lambda: taken(number + 1)))

    return taken(0)
