"""Windows: sequences cut from tables that have a row for each time step.

A sensor log, a price history, a recording: rows of one recording follow each other in time, and a
model reads so many of them at once. A window never reaches over a gap in time, over a row in which
a value is missing, or from one recording into another. What a window is asked is the label of its
steps, or what comes after it.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_rnn_zoo.data.dataset import Dataset, Spans, Split
from keras_rnn_zoo.data.tables.table import Table
from keras_rnn_zoo.data.tables.times import breaks, duration, is_time, seconds_of, usual_step
from keras_rnn_zoo.errors import DataError, listed
from keras_rnn_zoo.preprocessing.reading import ReadOptions

_ADVICE = "Say which with --value-columns, --label-column, --time-column and --id-column."
# From so many recordings on, some of them can be kept apart to validate on.
ENOUGH_RECORDINGS = 5
ENOUGH_GROUPS = 3


@dataclass(frozen=True)
class _Log:
    """The rows of a table, in the order of their recordings and times.

    Attributes:
        values: float32 `[rows, values]`; NaN where one is missing.
        targets: What is forecast, float32 `[rows, columns]`; None where windows have labels.
        labels: Of each row; None for a forecast, and to predict from.
        times: Seconds, float64 `[rows]`; None where there is no time column.
        dated: They are since 1970, and not since some start.
        pieces: Where an unbroken piece of a recording starts and stops, and which recording it is.
        recordings: Names.
        groups: Of each recording, the number of what it is held out with; None without groups.
        notes: What was seen.
    """

    values: np.ndarray
    targets: np.ndarray | None
    labels: list[Any] | None
    times: np.ndarray | None
    dated: bool
    pieces: list[tuple[int, int, int]]
    recordings: list[str]
    groups: np.ndarray | None
    notes: list[str]


def windows_of(table: Table, options: ReadOptions) -> Dataset:
    """Returns the windows of a table; see `windows`."""
    options, notes = _with_time(table, options)
    values, targets, labels = _columns(table, options, notes)
    log = _read(table, options, values, targets, labels)
    assert options.window is not None
    forecast = options.horizon is not None
    ahead = options.horizon or 0
    stride = options.stride or (1 if forecast else max(1, options.window // 2))
    spans, x = _cut(log, options.window, stride, ahead)
    if not len(spans):
        longest = max((stop - start for start, stop, _ in log.pieces), default=0)
        raise DataError(
            f"{table.name}: the longest unbroken piece has {longest} time steps, and a window "
            f"{'with its horizon ' if forecast else ''}takes {options.window + ahead}. Choose a "
            f"shorter window{' or horizon' if forecast else ''}."
            + "".join(f" {note}" for note in log.notes)
        )
    naive: dict[str, np.ndarray] = {}
    if forecast:
        assert log.targets is not None
        y: Any = _after(log.targets, spans, ahead)
        naive = _naive(log.targets, spans, ahead, options.period)
    else:
        assert log.labels is not None
        y = _labels(log.labels, spans, options)
    if log.groups is None:
        enough = len(log.recordings) >= ENOUGH_RECORDINGS
    else:  # to train on, to validate on and to test on
        enough = len(np.unique(log.groups)) >= ENOUGH_GROUPS
    description: dict[str, Any] = {
        "value_columns": values,
        "time_column": options.time_column,
        "label_column": targets if forecast else labels,
        "window": options.window,
        "stride": stride,
        "recordings": len(log.recordings),
        "group_column": options.group_column,
        "time_steps": len(log.values),
    }
    if forecast:
        description["horizon"] = ahead
    return Dataset(
        table.name,
        "features",
        Split(x, y, spans=spans, naive=naive),
        task="regression" if forecast else None,
        description=description,
        split="group" if enough and not forecast else "time",
        notes=(*notes, *log.notes),
    )


def sequences_of(table: Table, options: ReadOptions) -> Sequence[Any]:
    """Returns the windows of a table to predict from; the last steps of each piece are in one."""
    if options.group_column not in table.columns:  # which matters in training alone
        options = options.replace(group_column=None)
    options, _ = _with_time(table, options)
    values, _, _ = _columns(table, options, [], labelled=False)
    log = _read(table, options, values, [], [])
    assert options.window is not None
    stride = options.stride or (options.window if options.horizon else max(1, options.window // 2))
    found = []
    for start, stop, _ in log.pieces:
        last = stop - options.window
        starts = list(range(start, last + 1, stride))
        if last >= start and starts[-1] != last:
            starts.append(last)
        found += [log.values[at : at + options.window] for at in starts]
    if not found:
        longest = max((stop - start for start, stop, _ in log.pieces), default=0)
        raise DataError(
            f"{table.name}: the longest unbroken piece has {longest} time steps, and the model "
            f"reads {options.window}. Give as many."
        )
    return found


# ------------------------------------------------------------------------------- columns


# Names that people give to columns of times, and of row numbers.
_DATES = ("date", "datetime", "timestamp", "month", "day", "year", "quarter", "hour")
_TIMES = ("time", "seconds", "sec", "milliseconds", "ms", "t", *_DATES)
_COUNTERS = ("", "id", "no", "nr", "obs", "row", "index", "step", "unnamed: 0", "frame", *_TIMES)
# And to columns that tell people, devices and recordings apart.
_NAMED = re.compile(
    r"(^|_|\b)(id|subject|person|people|participant|patient|user|volunteer|athlete|device"
    r"|recording|session|trial|file)(_?(id|no|nr|number))?$",
    re.IGNORECASE,
)


def _with_time(table: Table, options: ReadOptions) -> tuple[ReadOptions, list[str]]:
    """Returns the options with the column of times that a table shows, and says so."""
    if options.time_column is not None:
        return options, []
    said = {*(options.value_columns or ()), *options.label_column, *_marks(options)}
    found = [
        name
        for name in table.columns
        if name not in said and is_time([row[0] for row in table.sample([name], 50)])
    ]
    if len(found) != 1:
        return options, []
    note = f"The column {found[0]!r} is taken for the time of a row (--time-column says so)."
    return options.replace(time_column=found[0]), [note]


def _marks(options: ReadOptions) -> list[str]:
    """Returns the columns that tell recordings apart, and what is held out together."""
    return [name for name in (options.id_column, options.group_column) if name]


def _counts(table: Table, name: str) -> bool:
    """Whether a column numbers the rows, and says nothing else."""
    if name.lower().strip() not in _COUNTERS and not name.isdigit():
        return False
    steps = np.diff([table.number(row[0]) for row in table.sample([name])])
    if len(steps) < 2 or not steps[0] > 0:
        return False
    regular = np.isclose(steps, steps[0], rtol=1e-3)
    return bool((regular | (steps < 0)).all())  # where a recording ends, they begin anew


def _tells_apart(table: Table, name: str) -> bool:
    """Whether a column holds the number of a person or a recording: the same for many rows."""
    if not _NAMED.search(name.strip()):
        return False
    values = np.asarray([table.number(row[0]) for row in table.sample([name])])
    changes = int((np.diff(values) != 0).sum())
    return bool((values == np.round(values)).all()) and changes <= len(values) // 10


def _columns(
    table: Table, options: ReadOptions, notes: list[str], labelled: bool = True
) -> tuple[list[str], list[str], list[str]]:
    """Returns the columns of values, of what is forecast, and of labels."""
    said = [name for name in (options.time_column, *_marks(options)) if name]
    table.check(said, _ADVICE)
    default = options.label_column == ("label",) and "label" not in table.columns
    forecast = options.horizon is not None
    asked = [] if default else list(options.label_column)
    if labelled:
        table.check(asked, _ADVICE)
    if options.value_columns is not None:
        table.check(options.value_columns, _ADVICE)
        values = list(options.value_columns)
    else:
        left_out = {*said, *(() if forecast else asked)}
        others = [name for name in table.columns if name not in left_out]
        values = [name for name in others if table.is_numeric(name)]
        counters = [name for name in values if _counts(table, name)]
        if counters and len(counters) < len(values):
            values = [name for name in values if name not in counters]
            which = (
                "numbers the rows, and is no value"
                if len(counters) == 1
                else ("number the rows, and are no values")
            )
            notes.append(f"{listed(counters)} {which} (--value-columns may name what is).")
        marks = [name for name in values if _tells_apart(table, name)]
        if marks and len(marks) < len(values):
            # The recording gives the label away, and a new one has a number never seen.
            values = [name for name in values if name not in marks]
            which = "tells" if len(marks) == 1 else "tell"
            notes.append(
                f"{listed(marks)} {which} recordings apart, by the name, and "
                f"{'is no value' if len(marks) == 1 else 'are no values'}: --id-column says which "
                "does, --group-column what is held out together (--value-columns may name what is "
                "one)."
            )
        if not values:
            raise DataError(
                f"{table.name} has no columns with numbers beside {listed(left_out) or 'none'}. "
                f"It has: {listed(table.columns[:40])}. {_ADVICE}"
            )
    if not labelled:
        return values, [], []
    if forecast:
        if options.label_at is not None:
            raise DataError("label_at (--label-at) is of labels, and horizon asks for a forecast.")
        return values, asked or values, []
    if default:
        raise DataError(
            f"{table.name} has no column 'label'. It has: {listed(table.columns[:40])}. Say what "
            "a window is asked: --label-column NAME for the label of its steps, or --horizon STEPS "
            "for what comes after it."
        )
    if len(asked) > 1:
        raise DataError(
            f"A window has one label. Received: {listed(asked)}. Name one column, or ask for a "
            "forecast of several: --horizon."
        )
    return values, [], asked


def _read(
    table: Table,
    options: ReadOptions,
    values: Sequence[str],
    targets: Sequence[str],
    labels: Sequence[str],
) -> _Log:
    numeric = [*values, *(name for name in targets if name not in values)]
    table.settle_decimal(numeric)
    marks = [name for name in (*_marks(options), options.time_column) if name]
    numbers = array("d")
    others: list[list[Any]] = [[] for _ in (*labels, *marks)]
    known: dict[Any, Any] = {}
    count = 0
    sources = table.sources()
    files: list[str] = []
    for source in sources:
        before = count
        for where, cells in source.rows([*numeric, *labels, *marks]):
            for name, cell in zip(numeric, cells, strict=False):
                try:
                    numbers.append(table.number(cell))
                except ValueError:
                    raise source.bad_number(where, name, cell) from None
            for column, cell in zip(others, cells[len(numeric) :], strict=True):
                column.append(known.setdefault(cell, cell))
            count += 1
        if len(sources) > 1:
            files += [source.name] * (count - before)
    if not count:
        raise DataError(f"{table.name} has a header and no rows. Give a file with data.")
    with np.errstate(over="ignore"):  # becomes infinity, and is refused when it is encoded
        array_ = np.frombuffer(numbers, np.float64).reshape(count, -1).astype(np.float32)
    del numbers
    ids: list[Any] | None = others[len(labels)] if options.id_column else None
    if files:
        ids = files if ids is None else list(zip(files, ids, strict=True))
    group = others[len(_marks(options)) + len(labels) - 1] if options.group_column else None
    if group is not None:
        # Nothing of one group is in a recording of another.
        ids = group if ids is None else list(zip(group, ids, strict=True))
    times = None
    if options.time_column:
        name = f"column {options.time_column!r} of {table.name}"
        times = seconds_of(others[-1], name, options.time_format)
    order, bounds, recordings, notes = _order(ids, times)
    if times is not None:
        _check_times(table, times, order, bounds, recordings)
    if order is not None:
        array_ = array_[order]
        times = None if times is None else times[order]
    found = None
    if labels:
        column = others[0]
        found = [_label(column[row]) for row in (range(count) if order is None else order)]
    pieces, more = _pieces(array_, found, times, bounds)
    return _Log(
        values=array_[:, : len(values)],
        targets=array_[:, [numeric.index(name) for name in targets]] if targets else None,
        labels=found,
        times=times,
        dated=times is not None and (bool(options.time_format) or is_time(others[-1][:50])),
        pieces=pieces,
        recordings=recordings,
        groups=None if group is None else _groups(group, order, bounds),
        notes=[*notes, *more],
    )


def _label(cell: Any) -> str | None:
    """Returns the label of a time step; None where it has none."""
    if cell is None or (isinstance(cell, float) and np.isnan(cell)):
        return None
    text = str(cell).strip()
    return text if text and text.lower() != "nan" else None


# ------------------------------------------------------------------------------- order and gaps

# Of the rows of a recording, the most that may have the time of another one, out of order.
_AGAIN = 0.1


def _order(
    ids: Sequence[Any] | None, times: np.ndarray | None
) -> tuple[np.ndarray | None, list[tuple[int, int]], list[str], list[str]]:
    """Puts rows in the order of their recordings and times.

    Returns:
        The rows in order (None where they are so already), where each recording starts and stops,
        the names of the recordings, and what was seen.
    """
    notes: list[str] = []
    count = len(ids) if ids is not None else len(times) if times is not None else 0
    if ids is None and times is None:
        return None, [], ["1"], notes
    names = list(dict.fromkeys(map(str, ids))) if ids is not None else ["1"]
    number = {name: i for i, name in enumerate(names)}
    which = (
        np.zeros(count, np.int64)
        if ids is None
        else np.fromiter((number[str(one)] for one in ids), np.int64, count)
    )
    order = np.lexsort((times, which)) if times is not None else np.argsort(which, kind="stable")
    inside = np.diff(which) == 0
    if times is not None and (np.diff(times)[inside] < 0).any():
        notes.append("Rows were not in order, and are put in the order of their times.")
    bounds = np.searchsorted(which[order], np.arange(len(names) + 1))
    pairs = list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))
    return (None if (np.diff(order) == 1).all() else order), pairs, names, notes


def _groups(
    group: Sequence[Any], order: np.ndarray | None, bounds: Sequence[tuple[int, int]]
) -> np.ndarray:
    """Returns the number of each recording's group."""
    first = [start if order is None else int(order[start]) for start, _ in bounds]
    names = {name: i for i, name in enumerate(dict.fromkeys(str(group[row]) for row in first))}
    return np.asarray([names[str(group[row])] for row in first], np.int32)


def _check_times(
    table: Table,
    times: np.ndarray,
    order: np.ndarray | None,
    bounds: Sequence[tuple[int, int]],
    recordings: Sequence[str],
) -> None:
    """Refuses recordings that are several: sorted by time, their rows would be shuffled."""
    if order is None:
        return
    for (start, stop), name in zip(bounds, recordings, strict=True):
        sorted_ = times[order[start:stop]]
        again = int((np.diff(sorted_) == 0).sum())
        as_read = times[np.sort(order[start:stop])]
        # A coarse clock says the same time several times, but never goes back.
        if again > _AGAIN * (stop - start) and (np.diff(as_read) < 0).any():
            which = f" of {name}" if len(recordings) > 1 else ""
            raise DataError(
                f"{table.name}: {again:,} of {stop - start:,} rows{which} have the time of another "
                "one, and times begin anew: they are several recordings. Name the column that "
                "tells them apart (--id-column; --group-column for the person or device that has "
                "several)."
            )


def _pieces(
    values: np.ndarray,
    labels: Sequence[str | None] | None,
    times: np.ndarray | None,
    bounds: Sequence[tuple[int, int]],
) -> tuple[list[tuple[int, int, int]], list[str]]:
    """Returns the unbroken pieces of recordings, and says what breaks them."""
    notes: list[str] = []
    missing = np.isnan(values).any(axis=1)
    if missing.any():
        notes.append(_counted(missing, "rows lack a value"))
    if labels is not None:
        unlabelled = np.fromiter((label is None for label in labels), bool, len(labels))
        if unlabelled.any():
            notes.append(_counted(unlabelled, "rows have no label"))
        missing = missing | unlabelled
    pieces: list[tuple[int, int, int]] = []
    gaps, longest, repeated, uneven = 0, 0.0, 0, 0
    for number, (start, stop) in enumerate(bounds or [(0, len(values))]):
        cuts: set[int] = set()
        if times is not None:
            found = breaks(times[start:stop]) + start
            if len(found):
                gaps += len(found)
                longest = max(longest, float((times[found] - times[found - 1]).max()))
            cuts |= set(found.tolist())
            steps = np.diff(times[start:stop])
            repeated += int((steps == 0).sum())
            uneven += usual_step(times[start:stop]) is None and stop - start > 2
        at = start
        holes = (np.flatnonzero(missing[start:stop]) + start).tolist()
        for cut in sorted({*cuts, *holes, *(hole + 1 for hole in holes), stop}):
            if cut > at and not missing[at]:
                pieces.append((at, cut, number))
            at = max(at, cut)
    if gaps:
        notes.append(
            f"{gaps:,} gap{'s' if gaps > 1 else ''} in time, the longest of {duration(longest)}; "
            "no window reaches over one."
        )
    if uneven and times is not None:
        which = "Time steps" if len(bounds) <= 1 else f"In {uneven} recordings time steps"
        notes.append(f"{which} are uneven, so that gaps cannot be told; rows are taken in order.")
    if repeated:
        notes.append(f"{repeated:,} rows have the time of the row before.")
    return pieces, notes


def _counted(rows: np.ndarray, what: str) -> str:
    count = int(rows.sum())
    if count == 1:
        what = what.replace("rows lack", "row lacks").replace("rows have", "row has")
    return f"{count:,} {what}; no window reaches over one."


# ------------------------------------------------------------------------------- windows


def _cut(log: _Log, window: int, stride: int, ahead: int) -> tuple[Spans, Any]:
    """Returns where windows lie, and the windows: views, so that overlaps take no memory."""
    starts: list[np.ndarray] = []
    numbers: list[np.ndarray] = []
    for start, stop, number in log.pieces:
        found = np.arange(start, stop - window - ahead + 1, stride)
        starts.append(found)
        numbers.append(np.full(len(found), number, np.int32))
    first = np.concatenate(starts) if starts else np.arange(0)
    which = np.concatenate(numbers) if numbers else np.arange(0, dtype=np.int32)
    asked = first + window if ahead else first
    names, ends = tuple(log.recordings), first + window + ahead
    times = log.times
    if times is not None and log.dated:
        times = (1e6 * times).round().astype(np.int64).astype("M8[us]")
    groups = None if log.groups is None else log.groups[which]
    spans = Spans(which, first, asked, ends, names, times, groups)
    if len(log.pieces) == 1 and len(first):
        views = np.lib.stride_tricks.sliding_window_view(log.values, window, axis=0)
        x: Any = views[first[0] : first[-1] + 1 : stride].transpose(0, 2, 1)
    else:
        x = [log.values[at : at + window] for at in first.tolist()]
    return spans, x


def _after(targets: np.ndarray, spans: Spans, ahead: int) -> np.ndarray:
    """Returns what comes after each window, float32 `[windows, ahead * columns]`, step by step."""
    rows = spans.stop[:, np.newaxis] - ahead + np.arange(ahead)
    return targets[rows].reshape(len(spans), -1)


def _naive(
    targets: np.ndarray, spans: Spans, ahead: int, period: int | None
) -> dict[str, np.ndarray]:
    """Returns forecasts that need no model, by name: see `Split.naive`."""
    last = targets[spans.stop - ahead - 1]
    found = {"last value": np.repeat(last[:, np.newaxis], ahead, axis=1)}
    if period is not None and len(spans):
        step = np.arange(ahead)
        back = period * (step // period + 1)
        rows = spans.stop[:, np.newaxis] - ahead + step - back
        # Within the window, or it would be of another piece.
        if period <= int((spans.stop - spans.start)[0]) - ahead:
            found["seasonal"] = targets[rows]
    return {name: values.reshape(len(spans), -1) for name, values in found.items()}


def _labels(labels: Sequence[Any], spans: Spans, options: ReadOptions) -> Any:
    """Returns the label of each window, or of each of its steps."""
    assert options.window is not None
    values = _fractions(labels, options.task)
    if values is not None:
        if options.label_at in ("majority", "step"):
            raise DataError(
                f"label_at={options.label_at!r} is for labels, and the label column holds numbers "
                "to predict. Take the last one (label_at='last'), or say --task multiclass if they "
                "are classes."
            )
        return values[spans.stop - 1]
    at = options.label_at or "majority"
    if at == "last":
        return [labels[stop - 1] for stop in spans.stop.tolist()]
    if at == "step":
        pairs = zip(spans.start.tolist(), spans.stop.tolist(), strict=True)
        return [list(labels[start:stop]) for start, stop in pairs]
    names = sorted({label for label in labels if label is not None})
    number = {name: i for i, name in enumerate(names)}
    codes = np.fromiter((number.get(label, 0) for label in labels), np.int64, len(labels))
    found = []
    for start, stop in zip(spans.start.tolist(), spans.stop.tolist(), strict=True):
        found.append(names[int(np.bincount(codes[start:stop], minlength=len(names)).argmax())])
    return found


def _fractions(labels: Sequence[Any], task: str | None) -> np.ndarray | None:
    """Returns labels as numbers, where they are to be predicted as such; else None."""
    if task not in (None, "regression"):
        return None
    try:
        values = np.asarray([np.nan if one is None else float(one) for one in labels], np.float32)
    except ValueError:
        return None
    real = values[np.isfinite(values)]
    return values if task == "regression" or (real != np.round(real)).any() else None
