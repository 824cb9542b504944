"""Several models on the same data, side by side: loss, accuracy, time and size."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_rnn_zoo.data import Dataset
from keras_rnn_zoo.data.load import Data
from keras_rnn_zoo.errors import ConfigError, MissingExtraError
from keras_rnn_zoo.files import (
    PathLike,
    atomic_file,
    check_new_directory,
    new_directory,
    write_json,
    write_text,
)
from keras_rnn_zoo.options import takes
from keras_rnn_zoo.pages import write_page
from keras_rnn_zoo.training.cross_validation import (
    CrossValidation,
    best_of_folds,
    cross_validate,
)
from keras_rnn_zoo.training.fit import fit_and_evaluate
from keras_rnn_zoo.training.intervals import chance_of_difference
from keras_rnn_zoo.training.metrics import SHARES
from keras_rnn_zoo.training.options import DataOptions, TrainOptions
from keras_rnn_zoo.training.page import PAGE_FILE, comparison_page
from keras_rnn_zoo.training.prepare import (
    Prepared,
    as_dataset,
    check_config,
    encoding_sizes,
    prepare,
    tell,
    with_tests,
)
from keras_rnn_zoo.training.run import MODEL_FILE
from keras_rnn_zoo.training.train import save_run

# Of what a run says of its folds, what the models of a comparison are set side by side by.
_OF_FOLDS = ("count", "split", "rows", "units", "measure", "value", "mean", "deviation", "interval")


@takes(TrainOptions)
def compare(
    models: Sequence[str] | None,
    data: Dataset | Data,
    *,
    output: PathLike,
    config: Mapping[str, Any] | None = None,
    test_data: Data | None = None,
    progress: bool = True,
    command: str | None = None,
    **options: Any,
) -> list[dict[str, Any]]:
    """Trains models on the same rows, and sets their figures side by side.

    Each model sees its own default number of timesteps, unless `config` sets one for all.

    Args:
        models: Names of `list_models()`; None takes all but the cell loops, which compute the
            same as their layer twins, slowly.
        data: As in `train`.
        output: The directory to write: `report.html`, `compare.json`, `compare.csv`,
            `compare.png` (with matplotlib), and a run for each model.
        config: Config keys of the models, such as `{"units": 32}`.
        test_data: Rows to test on; see `load_data`.
        progress: Write a line per epoch to stderr.
        command: The command line, for the record.

    Returns:
        For each model `{"model", "train_loss", "train_accuracy", ..., "seconds", "parameters",
        "bytes", "baseline", "beats_baseline"}`; `bytes` is the size of its `.keras` file, which
        holds the optimizer's state too. With `folds` also `"folds"`, which are those of its run
        (see `cross_validate`) without the single ones, and `"chance"`: how likely the best model
        and this one would differ so much over the same rows if they were equally good, None of
        the best one (see `intervals.chance_of_difference`).

    Raises:
        ZooError: Of the type that says what is wrong: name, config, data or output.
    """
    from keras_rnn_zoo.builder import list_models

    output = check_new_directory(output)
    models = list(models or [name for name in list_models() if not name.endswith("_cell")])
    if len(set(models)) != len(models):
        raise ConfigError(f"Name each model once. Received: {', '.join(models)}")
    chosen = TrainOptions.of(options)
    check_config(models, config or {})
    dataset = with_tests(as_dataset(data, test_data, chosen), chosen)
    encoding = DataOptions.part_of(chosen).keywords()
    prepared_for: dict[tuple[Any, ...], Prepared] = {}
    rows: list[dict[str, Any]] = []
    infos: dict[str, dict[str, Any]] = {}
    validated: dict[str, CrossValidation] = {}
    with new_directory(output) as directory:
        for model in models:
            key = encoding_sizes([model], config or {})
            if key not in prepared_for:
                prepared_for[key] = prepare(dataset, config, models=[model], **encoding)
                if progress:
                    tell(prepared_for[key])
            prepared = prepared_for[key]
            builder = prepared.builder(model, config)
            more: dict[str, Any] = {}
            if chosen.folds is not None:
                validated[model] = cross_validate(model, dataset, config, chosen, progress=progress)
                more["folds"] = validated[model].record
            fitted = fit_and_evaluate(prepared, builder, chosen, progress=progress)
            (directory / model).mkdir()
            info = save_run(
                directory / model, prepared, fitted, seed=chosen.seed, command=command, **more
            )
            infos[model] = info
            size = (directory / model / MODEL_FILE).stat().st_size
            judged = info.get("verdict") or {}
            beside = {name: judged.get(name) for name in ("baseline", "beats_baseline")}
            rows.append({"model": model, **info["metrics"], "bytes": size, **beside})
        if validated:
            _set_side_by_side(rows, validated)
        write_json(
            directory / "compare.json",
            {
                "format": 1,
                "models": rows,
                "data": prepared.data,
                "hyperparameters": fitted.hyperparameters,
                "config": dict(config or {}),
                "provenance": info["provenance"],
            },
        )
        write_text(directory / "compare.csv", _table(rows))
        chances = {row["model"]: row["chance"] for row in rows if "chance" in row}
        sizes = {row["model"]: row["bytes"] for row in rows}
        write_page(directory / PAGE_FILE, comparison_page(infos, sizes, chances))
        try:
            _plot(rows, prepared.data.get("baselines") or (), directory / "compare.png")
        except MissingExtraError as error:
            print(f"No compare.png: {error}", file=sys.stderr)
    return rows


def _set_side_by_side(
    rows: Sequence[dict[str, Any]], validated: Mapping[str, CrossValidation]
) -> None:
    """Adds to the row of each model what its folds say, and how likely chance alone does."""
    first = best_of_folds(validated.values())
    for row in rows:
        mine = validated[row["model"]]
        row["folds"] = {name: value for name, value in mine.record.items() if name in _OF_FOLDS}
        row["chance"] = None
        if mine is not first:
            row["chance"] = chance_of_difference(first.rows, mine.rows, mine.units)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    stream = io.StringIO()
    flat = []
    for row in rows:
        folds = row.get("folds", {})
        low, high = folds.get("interval") or (None, None)
        figures = {"value": folds.get("value"), "deviation": folds.get("deviation")}
        figures |= {"low": low, "high": high}
        flat.append(
            {name: value for name, value in row.items() if name != "folds"}
            | ({f"folds_{name}": value for name, value in figures.items()} if folds else {})
        )
    writer = csv.DictWriter(stream, list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return stream.getvalue()


def _plot(
    rows: Sequence[Mapping[str, Any]], baselines: Sequence[Mapping[str, Any]], path: Path
) -> None:
    """Draws four panels: loss, accuracy (or error) beside that of baselines, seconds, size."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import PercentFormatter
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plot", "The plot of a comparison") from error

    names = [row["model"] for row in rows]
    measure = next(key[6:] for key in rows[0] if key.startswith("train_") and key != "train_loss")
    panels: list[tuple[str, list[str], float]] = [
        ("loss", ["train_loss", "test_loss"], 1),
        (measure.replace("_", " "), [f"train_{measure}", f"test_{measure}"], 1),
        ("training time, seconds", ["seconds"], 1),
        ("size, kB", ["bytes"], 1000),
    ]
    figure = Figure(figsize=(max(8.0, 1.2 * len(names) + 4), 7), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, keys, unit) in zip(figure.subplots(2, 2).flat, panels, strict=True):
        # Without test data the validation rows are what there is to show.
        keys = [
            key if rows[0][key] is not None else key.replace("test_", "validation_") for key in keys
        ]
        keys = [key for key in keys if rows[0][key] is not None]
        width = 0.8 / len(keys)
        for i, key in enumerate(keys):
            places = [place + (i - (len(keys) - 1) / 2) * width for place in range(len(names))]
            values = [(row[key] or 0) / unit for row in rows]
            axes.bar(places, values, width, label=key.split("_")[0])
        known = []
        if keys[0].endswith(measure):
            part = keys[-1].removesuffix(f"_{measure}")
            known = [(one["name"], (one.get(part) or {}).get(measure)) for one in baselines]
        for (name, value), dashes in zip(known, ("--", ":", "-.", (0, (1, 3))), strict=False):
            if value is not None:
                axes.axhline(value, color="black", linestyle=dashes, linewidth=1, label=name)
        if keys[0].endswith(measure) and measure in SHARES:
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        axes.set_title(title)
        axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
        if len(axes.get_legend_handles_labels()[1]) > 1:
            axes.margins(y=0.3)  # room for the legend above the bars
            axes.legend(ncols=2, loc="upper right", fontsize="small")
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
