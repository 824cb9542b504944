"""The pictures of all pages, as plain values: `templates/pictures.html` writes them.

They are HTML tables and SVG that need no script: a page opens at once, prints, follows the reader's
theme, and its figures can be selected and read aloud.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MOST_LABELS = 30
"""A confusion matrix of more labels cannot be read; what is confused most is listed instead."""

MOST_CONFUSED = 6

# Of SVG pictures, in pixels: the height of a line of text is taken for half of it in width.
_TEXT = 11
_MARGIN = 8


# ------------------------------------------------------------------------------- bars


@dataclass(frozen=True)
class Bar:
    """A figure as a bar.

    Attributes:
        name: Of what has it.
        text: The figure, written.
        share: How long the bar is, 0 to 1.
        kind: `"best"`, `"model"` or `"baseline"`.
        note: What is said below the figure.
        reach: Where its interval starts and how wide it is, as shares.
    """

    name: str
    text: str
    share: float
    kind: str = "model"
    note: str = ""
    reach: tuple[float, float] | None = None


@dataclass(frozen=True)
class Bars:
    """Bars below each other, and where the line is that is to be beaten."""

    bars: Sequence[Bar]
    line: float | None = None


def bars(
    figures: Iterable[tuple[str, str, float, str, str, tuple[float, float] | None]],
    line: float | None,
    most: float | None = None,
) -> Bars:
    """Returns figures as bars.

    Args:
        figures: For each name, the figure as text, its value, kind, note, and interval.
        line: The value of the best baseline.
        most: The value of a whole bar; None takes the greatest.
    """
    known = list(figures)
    values = [value for _, _, value, *_ in known] + [
        reach[1] for *_, reach in known if reach is not None
    ]
    whole = most or max([*values, line or 0.0], default=0.0) or 1.0

    def share(value: float) -> float:
        return min(1.0, max(0.0, value / whole))

    return Bars(
        [
            Bar(
                name,
                text,
                share(value),
                kind,
                note,
                None if reach is None else (share(reach[0]), share(reach[1]) - share(reach[0])),
            )
            for name, text, value, kind, note, reach in known
        ],
        None if line is None else share(line),
    )


# ------------------------------------------------------------------------------- labels


@dataclass(frozen=True)
class Cell:
    """How often a label was answered as another: the count, and its share of the label's rows."""

    count: int
    share: float
    right: bool


@dataclass(frozen=True)
class HeatMap:
    """A confusion matrix.

    Attributes:
        names: Of the labels.
        rows: Cells of each right label.
        dense: There is no room for shares in the cells.
        tall: Names are too long to stand next to each other.
    """

    names: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    dense: bool
    tall: bool


def heat_map(names: Sequence[str], counts: Sequence[Sequence[int]]) -> HeatMap | None:
    """Returns a confusion matrix to look at; None of more labels than can be read.

    Args:
        names: Of the labels.
        counts: For each right label how often each label was the answer.
    """
    if len(names) > MOST_LABELS:
        return None
    rows = [
        [Cell(count, count / max(1, sum(row)), i == j) for j, count in enumerate(row)]
        for i, row in enumerate(counts)
    ]
    longest = max(map(len, names), default=0)
    # Two or three names may take two lines each.
    tall = longest > (20 if len(names) < 4 else 8 if len(names) <= 6 else 4)
    return HeatMap(names, rows, dense=len(names) > 12, tall=tall)


def most_confused(
    names: Sequence[str], counts: Sequence[Sequence[int]]
) -> list[tuple[str, str, int, float]]:
    """Returns which label was most often answered as which other: both, how often, and its share.

    Args:
        names: Of the labels.
        counts: For each right label how often each label was the answer.
    """
    pairs = [
        (names[i], names[j], count, count / max(1, sum(row)))
        for i, row in enumerate(counts)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return sorted(pairs, key=lambda pair: (-pair[2], -pair[3]))[:MOST_CONFUSED]


@dataclass(frozen=True)
class Hits:
    """A label that may apply beside others: how often it was found, missed, and a false alarm."""

    name: str
    found: int
    missed: int
    false: int
    whole: int

    @property
    def parts(self) -> list[tuple[str, float]]:
        """The parts of its bar: kind and share."""
        counts = {"found": self.found, "missed": self.missed, "false": self.false}
        return [(kind, count / max(1, self.whole)) for kind, count in counts.items() if count]


def hits(labels: Mapping[str, Mapping[str, Any]]) -> list[Hits]:
    """Returns what becomes of labels of which any number may apply.

    Args:
        labels: Name -> `rows`, `recall`, `precision` and, of newer runs, `answered`.
    """
    counted = []
    for name, one in labels.items():
        found = round(one["recall"] * one["rows"])
        answered = one.get("answered")
        if answered is None:  # an older run says it where anything was found
            answered = round(found / one["precision"]) if one["precision"] else found
        counted.append((name, (found, one["rows"] - found, answered - found)))
    whole = max((sum(counts) for _, counts in counted), default=1)
    return [Hits(name, *counts, whole) for name, counts in counted]


# ------------------------------------------------------------------------------- plots


@dataclass(frozen=True)
class Line:
    """A line of a plot: its SVG path, and a class of the style sheet: what it stands for."""

    path: str
    kind: str
    ends: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where, what it says, and how that is placed."""

    at: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True)
class Plot:
    """An SVG picture in pixels.

    Attributes:
        title: Above it.
        note: Below the title.
        said: What it shows, for those who do not see it.
        left: Of the area in which lines are.
        right: Likewise, and so on.
    """

    title: str
    note: str
    said: str
    width: int
    height: int
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    lines: Sequence[Line] = ()
    dots: Sequence[tuple[float, float, str]] = ()
    x_title: str = ""
    y_title: str = ""
    since: float | None = None


def scatter(
    true: Sequence[float], predicted: Sequence[float], *, title: str = "", note: str = ""
) -> Plot:
    """Returns predicted against true values, with the line on which they are the same.

    Args:
        true: In the user's units.
        predicted: Likewise.
        title: Of the picture.
        note: Below it.
    """
    values = [value for value in (*true, *predicted) if math.isfinite(value)] or [0.0]
    frame = _Frame(340, 300, values, values, x_title=True, y_title=True)
    low, high = frame.low, frame.high
    dots = [
        (frame.x(x), frame.y(y), f"true {number(x)}, predicted {number(y)}")
        for x, y in zip(true, predicted, strict=True)
        if math.isfinite(x) and math.isfinite(y)
    ]
    same = Line(_path([(frame.x(low), frame.y(low)), (frame.x(high), frame.y(high))]), "naive")
    return frame.plot(
        title=title,
        note=note,
        said=f"Predicted against true values of {len(dots)} rows",
        x_ticks=[Tick(frame.x(at), text) for at, text in ticks(low, high, 4)],
        lines=[same],
        dots=dots,
        x_title="true",
        y_title="predicted",
    )


def series(
    lines: Mapping[str, Sequence[float | None]],
    labels: Mapping[int, str],
    *,
    since: int | None = None,
    title: str = "",
    note: str = "",
    percent: bool = False,
    x_title: str = "",
    width: int = 400,
) -> Plot:
    """Returns values that follow each other as lines over the same steps.

    Args:
        lines: Class of the style sheet -> a value for each step; None where there is none.
        labels: Step -> what its tick says.
        since: From this step on values are forecast: a line stands there.
        title: Of the picture.
        note: Below it.
        percent: Values are shares.
        x_title: What the steps are.
        width: Of the picture, in pixels.
    """
    factor = 100.0 if percent else 1.0
    drawn = {
        kind: [
            (step, factor * value)
            for step, value in enumerate(values)
            if value is not None and math.isfinite(value)
        ]
        for kind, values in lines.items()
    }
    heights = [value for points in drawn.values() for _, value in points] or [0.0]
    steps = [float(step) for points in drawn.values() for step, _ in points] or [0.0]
    frame = _Frame(width, 220, steps, heights, x_title=bool(x_title), room=0.0, unit=percent)
    found = []
    for kind, points in drawn.items():
        places = [(frame.x(step), frame.y(value)) for step, value in points]
        few = len(places) <= 3 or (since is not None and len(places) <= 4)
        found.append(Line(_path(places), kind, places[-3:] if few else ()))
    last = max(labels, default=0)
    return frame.plot(
        title=title,
        note=note,
        said=f"{title}: {', '.join(lines)} over {len(steps and set(steps))} steps",
        x_ticks=[
            Tick(
                frame.x(step),
                text,
                "start" if step == 0 else "end" if step == last else "middle",
            )
            for step, text in labels.items()
        ],
        lines=found,
        x_title=x_title,
        since=None if since is None else frame.x(since),
    )


@dataclass
class _Frame:
    """Where values are in a picture."""

    width: int
    height: int
    xs: Sequence[float]
    ys: Sequence[float]
    x_title: bool = False
    y_title: bool = False
    room: float = 0.04
    unit: bool = False
    low: float = field(init=False)
    high: float = field(init=False)

    def __post_init__(self) -> None:
        self.low, self.high = _roomy(self.ys, 0.04)
        self._x = _roomy(self.xs, self.room)
        self._ticks = ticks(self.low, self.high, 5)
        if self.unit:
            self._ticks = [(at, f"{text} %") for at, text in self._ticks]
        longest = max((len(text) for _, text in self._ticks), default=1)
        self.left = longest * _TEXT * 0.6 + 2 * _MARGIN + (_TEXT + 6 if self.y_title else 0)
        self.right = float(self.width - _MARGIN)
        self.top, under = float(_MARGIN), 2 * _TEXT + (_TEXT + 6 if self.x_title else 0)
        self.bottom = float(self.height - under)

    def x(self, value: float) -> float:
        low, high = self._x
        return round(self.left + (value - low) / (high - low) * (self.right - self.left), 1)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.bottom - share * (self.bottom - self.top), 1)

    def plot(self, **values: Any) -> Plot:
        return Plot(
            width=self.width,
            height=self.height,
            left=round(self.left, 1),
            right=self.right,
            top=self.top,
            bottom=self.bottom,
            y_ticks=[Tick(self.y(at), text) for at, text in self._ticks],
            **values,
        )


def _roomy(values: Sequence[float], room: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low == high:
        more = abs(low) * 0.1 or 1.0
        return low - more, high + more
    return low - room * (high - low), high + room * (high - low)


def ticks(low: float, high: float, about: int) -> list[tuple[float, str]]:
    """Returns round numbers between two numbers, and how they are written.

    Args:
        low: The least.
        high: The greatest; above `low`.
        about: How many there are to be, more or less.
    """
    rough = (high - low) / about
    decade = 10.0 ** math.floor(math.log10(rough))
    step = next(size * decade for size in (1, 2, 2.5, 5, 10) if size * decade >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first + 1
    values = [(first + place) * step for place in range(count)]
    return [(value, number(value if abs(value) > 1e-9 * step else 0.0)) for value in values]


def number(value: float) -> str:
    """Returns a number with few digits, thousands apart."""
    if value and not 1e-4 <= abs(value) < 1e7:
        return f"{value:.3g}"
    return f"{value:,.6g}"


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points) if points else ""
