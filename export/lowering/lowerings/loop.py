"""WHILE loops over the time steps that count, several steps an iteration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from keras_rnn_zoo.export.lowering.blocks import blocks_of, runs_as_one
from keras_rnn_zoo.export.lowering.cells import (
    Cell,
    Chain,
    Hold,
    Projected,
    Remembering,
    States,
    split,
)
from keras_rnn_zoo.export.lowering.chaining import one_by_one
from keras_rnn_zoo.export.lowering.reading import Order, choose, projector, time_major
from keras_rnn_zoo.export.lowering.recurrence import Lowering, Result, Sequence, register_lowering
from keras_rnn_zoo.export.lowering.wave import wave_of

Tensor = Any
Outputs = Any  # float32 `[steps, *lead, batch, ...]`, or None where they are not kept


@register_lowering("loop")
class Loop(Lowering):
    """A WHILE loop over blocks of steps; those that fill no block come first, outside of it.

    Each step of a block multiplies with a copy of the recurrent weights of its own: XNNPACK packs
    one for each op. So blocks are as large as these copies may be in the cache of a core, and the
    inputs are projected in parts of another size: see `Blocks`.

    The steps that count are brought to the front before the loop, in the order in which they are
    taken, so a masked step costs nothing: a short text in a long model takes a short text's time,
    wherever its padding lies. The outputs of all steps are kept only where they are needed. The
    two directions of a Bidirectional are taken in the same steps, each product one of both.
    """

    description = "WHILE loops over blocks of the time steps that count"
    both_directions: ClassVar[bool] = True

    def chains(self, chain: Chain) -> bool:
        """Whether the cache holds the weights of all; else one layer runs after the other."""
        return runs_as_one(chain)

    def run(self, cell: Cell, sequence: Sequence) -> Result:
        """Builds the loop; see the class."""
        if isinstance(cell, Chain) and not self.chains(cell):
            return one_by_one(self, cell, sequence)
        (result,) = _Loop(wave_of(cell, sequence) or cell, (sequence,)).results()
        return result

    def run_both(self, cell: Cell, forward: Sequence, backward: Sequence) -> tuple[Result, Result]:
        """Builds the loop over both directions; see the class."""
        first, second = _Loop(cell, (forward, backward)).results()
        return first, second


class _Loop:
    """The loop of one recurrence, or of two side by side.

    Steps are numbered in the order in which they are taken. Blocks end with the last one that
    counts; in front of the first block come `before` steps. Where it is known only when the file
    runs how many steps count, the first `voids` of these are none, and change no state. Where
    rows of the states are one step behind the other, there are as many steps more, and as many
    voids more for each row.
    """

    def __init__(self, cell: Cell, sequences: tuple[Sequence, ...]):
        import tensorflow as tf

        sequence = sequences[0]
        self.batch, self.timesteps, features = sequence.inputs.shape
        self.sequences = sequences
        self.lead = cell.lead
        self.axis = len(cell.lead)
        self.output_shape = cell.output_shape(features)
        self.keep = sequence.return_sequences
        masked = sequence.mask is not None
        self.blocks = blocks_of(cell, sequence)
        self.cell = cell
        self.state_count = len(cell.state_shapes)
        self.states: States = sequence.initial_states or cell.initial_states(self.batch)
        self.from_zero = sequence.initial_states is None and cell.starts_at_zero
        if cell.output_state is None or (masked and sequence.initial_states is not None):
            # Zeros before the first step that counts, whatever the initial state is.
            self.cell = Remembering(cell, self.output_shape)
            zeros = tf.zeros([*self.lead, self.batch, *self.output_shape])
            self.states = (*self.states, zeros)
        block = self.blocks.steps
        self.behind = cell.rows - 1  # steps that the last row of the states is behind the first
        self.number = self.timesteps // block  # of blocks, at most
        if masked:
            self.before = block - 1 + self.behind
        else:
            if self.number == 1:
                self.number = 0  # no loop, where all steps that there are fill one block
            self.before = self.timesteps - self.number * block + self.behind
        self.orders = [Order(each, block) for each in sequences]
        self.counts = self.orders[0].counts
        self.voids: Tensor = self.orders[0].voids

    def results(self) -> list[Result]:
        """Builds the loop; returns what it makes, one result a sequence."""
        rows, project = self._rows()
        steps, number = self.blocks.steps, self.number
        in_front = _steps(rows, 0, self.before, self.axis)
        behind = _steps(rows, self.before, self.before + number * steps, self.axis)
        kept = []
        if self.before:
            projected = self._split(project(in_front, self.before), self.before)
            outputs, self.states = self.cell.block(projected, self.states, self._hold_before())
            kept.append(self._together(outputs))
        if number:
            made, self.states = self._loops(behind, project, number)
            kept.append(made)
        return self._results(_joined(kept)[self.behind :] if self.keep else None)

    def _rows(self) -> tuple[Tensor, Callable[[Tensor, int], Projected]]:
        """Returns what is read of all steps, in the order taken, and how some are projected."""
        import tensorflow as tf

        source, project_rows = projector(self.cell, self.sequences[0])
        ordered = [time_major(order.take(source)) for order in self.orders]
        rows = tf.stack(ordered) if self.lead else ordered[0]
        rows = _filled_up(rows, rows.shape[self.axis] + self.behind, self.axis)
        shape = rows.shape[self.axis + 1 :]

        def project(some: Tensor, number: int) -> Projected:
            parts = project_rows(tf.reshape(some, [*self.lead, number, *shape]))
            flat = [*self.lead, number * self.batch]
            return tuple(tf.reshape(part, [*flat, part.shape[-1]]) for part in parts)

        return rows, project

    def _loops(
        self, rows: Tensor, project: Callable[[Tensor, int], Projected], number: int
    ) -> tuple[Outputs, States]:
        """Takes a number of blocks at most."""
        import tensorflow as tf

        steps = self.blocks.steps
        total: Tensor = number if self.counts is None else self.orders[0].blocks
        at_once = min(self.blocks.projected // steps, number)
        if at_once == number:
            projected = project(rows, number * steps)
            return self._loop(self._reader(projected, number, None), number, total, self.states, 0)
        if at_once == 1:
            read = self._reader((rows,), number, lambda some: project(some, steps))
            return self._loop(read, number, total, self.states, 0)
        # A loop over parts that are projected at once, and in it one over the blocks of a part.
        parts = -(-number // at_once)
        rows = _filled_up(rows, parts * at_once * steps, self.axis)
        read_part = self._reader((rows,), parts, lambda some: project(some, at_once * steps))

        def take(part: Tensor, states: States) -> tuple[Outputs, States]:
            read = self._reader(read_part(part), at_once, None)
            first = part * at_once
            left = tf.minimum(total - first, at_once)
            return self._loop(read, at_once, left, states, first)

        outputs, states = self._while(
            take, parts, -(-total // at_once), at_once * steps, self.states
        )
        return None if outputs is None else outputs[: number * steps], states

    def _loop(
        self,
        read: Callable[[Tensor], Projected],
        number: int,
        total: Tensor,
        states: States,
        first: Tensor,
    ) -> tuple[Outputs, States]:
        """Takes the first `total` of a number of blocks, of which `first` were taken before."""
        steps = self.blocks.steps

        def take(block: Tensor, states: States) -> tuple[Outputs, States]:
            hold = self._hold((first + block) * steps)
            outputs, states = self.cell.block(self._split(read(block), steps), states, hold)
            return self._together(outputs), states

        return self._while(take, number, total, steps, states)

    def _while(
        self, take: Any, number: int, total: Tensor, steps: int, states: States
    ) -> tuple[Outputs, States]:
        """Runs `take` for 0, 1, ... below `total`; keeps what it makes of some steps each."""
        import tensorflow as tf

        # Each write copies all of it: few and large ones are cheaper.
        shape = [steps, *self.lead, self.batch, *self.output_shape]
        arrays = [tf.TensorArray(tf.float32, number, element_shape=shape)] if self.keep else []

        def body(at: Tensor, *carried: Any) -> Any:
            outputs, after = take(at, carried[self.keep :])
            arrays = [array.write(at, outputs) for array in carried[: self.keep]]
            return at + 1, *arrays, *after

        _, *carried = tf.while_loop(
            lambda at, *_: at < total,
            body,
            (tf.constant(0), *arrays, *states),
            parallel_iterations=1,
        )
        outputs = None
        if self.keep:
            outputs = tf.reshape(carried[0].stack(), [number * steps, *shape[1:]])
        return outputs, tuple(carried[self.keep :])

    def _reader(
        self, parts: Projected, number: int, project: Callable[[Tensor], Projected] | None
    ) -> Callable[[Tensor], Projected]:
        """Returns what reads one of a number of equal parts of rows, and projects it."""
        import tensorflow as tf

        cut = []
        for part in parts:
            behind = part.shape[self.axis + 1 :]
            rows = part.shape[self.axis] // number
            cut.append(tf.reshape(part, [*self.lead, number, rows, *behind]))

        def read(at: Tensor) -> Projected:
            # GATHER: STRIDED_SLICE, as part[at] would be, takes ten times as long.
            some = tuple(tf.gather(part, at, axis=self.axis) for part in cut)
            return some if project is None else project(some[0])

        return read

    def _split(self, projected: Projected, number: int) -> list[Projected]:
        return split(projected, number, self.axis)

    def _together(self, outputs: list[Tensor]) -> Outputs:
        import tensorflow as tf

        if not self.keep:
            return None
        shape = [len(outputs), *self.lead, self.batch, *self.output_shape]
        return tf.reshape(_joined(outputs), shape)

    def _hold(self, first: Tensor) -> Hold:
        """Returns what keeps the states of those of a batch that have ended, steps from `first`."""
        if self.counts is None or self.batch == 1:
            return lambda number, after, before: after

        def hold(number: int, after: States, before: States) -> States:
            step = first + (number + self.before) - self.voids
            going = step < self.counts
            return self._chosen(going, after, before)

        return hold

    def _hold_before(self) -> Hold:
        """Returns what keeps the states in front of the first step."""
        import tensorflow as tf

        if self.counts is None and not self.behind:
            return lambda number, after, before: after
        if self.batch == 1 and self.from_zero:
            own = tf.range(self.before)[:, tf.newaxis] - tf.range(self.behind + 1)
            factors = tf.cast(own >= self.voids, tf.float32)[..., tf.newaxis]
            steps = tf.unstack(factors)

            def clear(number: int, after: States, before: States) -> States:
                if self.sequences[0].lookup is not None:
                    # A SELECT would end what XNNPACK takes as one; rows of a table are numbers.
                    return tuple(one * steps[number] for one in after)
                going = steps[number] > 0
                return tuple(tf.where(going, one, tf.zeros_like(one)) for one in after)

            return clear

        def hold(number: int, after: States, before: States) -> States:
            step = number - self.voids
            going = tf.logical_and(step >= 0, step < self.counts)
            return self._chosen(going, after, before)

        return hold

    def _chosen(self, going: Tensor, after: States, before: States) -> States:
        both = zip(after, before, strict=True)
        return tuple(choose(going, new, old, self.axis) for new, old in both)

    def _results(self, kept: Outputs) -> list[Result]:
        import tensorflow as tf

        results = []
        assert self.cell.output_state is not None
        states = self.cell.answers(self.states)
        output, states = states[self.cell.output_state], states[: self.state_count]
        for number, (each, order) in enumerate(zip(self.sequences, self.orders, strict=True)):
            where: Any = (number,) if self.lead else ()
            answer = output[where] if kept is None else time_major(kept[(slice(None), *where)])
            places = order.places
            if kept is None and places is not None and each.zero_output_for_mask:
                answer = choose(places[:, -1] > 0, answer, tf.zeros_like(answer))
            if kept is not None and places is not None:
                zeros = tf.zeros([self.batch, 1, *self.output_shape])
                answer = tf.concat([zeros, answer], axis=1)
                answer = tf.gather(answer, places, batch_dims=1)
            results.append(
                Result(answer, tuple(state[where] if where else state for state in states))
            )
        return results


def _joined(parts: list[Tensor]) -> Tensor:
    import tensorflow as tf

    return tf.concat(parts, axis=0) if len(parts) > 1 else parts[0]


def _steps(rows: Tensor, start: int, stop: int, axis: int) -> Tensor:
    """Cuts steps out."""
    if (start, stop) == (0, rows.shape[axis]):
        return rows
    return rows[(*[slice(None)] * axis, slice(start, stop))]


def _filled_up(rows: Tensor, steps: int, axis: int) -> Tensor:
    """Puts steps of zeros behind the last one."""
    import tensorflow as tf

    missing = steps - rows.shape[axis]
    if not missing:
        return rows
    paddings = [[0, 0]] * axis + [[0, missing]] + [[0, 0]] * (len(rows.shape) - axis - 1)
    return tf.pad(rows, paddings)
