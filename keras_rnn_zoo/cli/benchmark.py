"""`keras-rnn-zoo benchmark`: how fast files are on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from keras_rnn_zoo.artifacts import BUNDLE, FILES, MISSING, TFLITE, kind_of, require
from keras_rnn_zoo.cli import _output as out
from keras_rnn_zoo.cli._group import fail
from keras_rnn_zoo.cli._options import json_option, names, quantization_option


@click.command("benchmark", short_help="Measure how fast a bundle or a .tflite file is.")
@click.argument("source")
@click.option(
    "--data",
    metavar="FILE",
    help="Encoded inputs for a .tflite file: a .npy file, or an .npz file with an array for each "
    "input.  [default: full-length ones]",
)
@quantization_option(
    "NAMES",
    "Quantization modes of a bundle to measure, separated by commas.  [default: all that it has]",
)
@click.option(
    "--core",
    metavar="NAME",
    help="An Arm core that is emulated and modelled instead of measuring here: cortex-a53, "
    "cortex-a55, cortex-a76; of a cortex-a78 instructions are counted only.",
)
@click.option("--threads", type=int, default=1, metavar="N", help="CPU threads of an invoke.")
@click.option(
    "--repeats",
    type=int,
    metavar="N",
    help="Invokes of each file.  [default: for --seconds; with --core 3, or 20 steps of a stream]",
)
@click.option(
    "--seconds", type=float, default=1.0, metavar="S", help="How long to measure each file."
)
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    source: str,
    data: str | None,
    quantization: str | None,
    core: str | None,
    threads: int,
    repeats: int | None,
    seconds: float,
    as_json: bool,
) -> None:
    """Measure the latency of SOURCE: the .tflite files of a bundle, on its own samples, or one.

    \b
    keras-rnn-zoo benchmark bundle
    keras-rnn-zoo benchmark model.tflite --data rows.npz
    keras-rnn-zoo benchmark bundle --core cortex-a55
    """
    kind = kind_of(source)
    bare = kind in FILES
    if kind not in (*FILES, MISSING) and data is not None:
        fail(f"--data is for a .tflite file, and {source} is a directory. Leave it out.")
    if bare and quantization is not None:
        fail(f"--quantization chooses files of a bundle, and {source} is none. Leave it out.")
    if core is not None:
        for name in ("threads", "seconds"):
            if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                fail(f"--{name} is for times of this machine, and --core emulates. Leave one out.")
        _on_core(core, source, bare, data, names(quantization), repeats, as_json)
        return
    with out.working():
        if bare:
            from keras_rnn_zoo.export.bundle.any_file import benchmark_file

            measured = benchmark_file(
                source, data, threads=threads, repeats=repeats, seconds=seconds
            )
            file = Path(source)
            rows = [{"file": file.name, "bytes": file.stat().st_size, **measured}]
        else:
            from keras_rnn_zoo.export.bundle.bundle import benchmark_bundle

            require(source, BUNDLE, TFLITE)
            rows = benchmark_bundle(
                source,
                quantization=names(quantization),
                threads=threads,
                repeats=repeats,
                seconds=seconds,
                progress=True,
            )
    if as_json:
        out.emit(rows)
        return
    batch = rows[0]["batch_size"]
    each = [] if batch == 1 else ["a sequence"]
    arenas = ["arena"] if any("arena" in row for row in rows) else []
    out.table(
        ["file", "size", *arenas, "median", *each, "90 % within", "best", "invokes"],
        [
            [
                row["file"],
                out.size(row["bytes"]),
                *(out.size(row[key]) if key in row else out.NOTHING for key in arenas),
                out.milliseconds(row["median_ms"]),
                *(out.milliseconds(row["median_ms"] / batch) for _ in each),
                out.milliseconds(row["p90_ms"]),
                out.milliseconds(row["min_ms"]),
                f"{row['repeats']:,}",
            ]
            for row in rows
        ],
    )
    answers = "" if batch == 1 else f" (a call answers {batch} sequences)"
    click.echo(
        f"\nBatch {batch}{answers}, {threads} thread{'s' if threads > 1 else ''}, "
        f"{rows[0]['machine']}"
    )


def _on_core(
    core: str,
    source: str,
    bare: bool,
    data: str | None,
    quantization: Sequence[str] | None,
    calls: int | None,
    as_json: bool,
) -> None:
    """Prints what files cost on an Arm core that is not at hand."""
    with out.working():
        from keras_rnn_zoo.export.cores.measure import known_and_set_up

        known_and_set_up(core)
        if bare:
            from keras_rnn_zoo.export.bundle.any_file import benchmark_file_on

            file = Path(source)
            row = benchmark_file_on(core, source, data, calls=calls)
            rows = [{"file": file.name, "bytes": file.stat().st_size, **row}]
        else:
            from keras_rnn_zoo.export.bundle.bundle import benchmark_bundle_on

            require(source, BUNDLE, TFLITE)
            rows = benchmark_bundle_on(
                core, source, quantization=quantization, calls=calls, progress=True
            )
    if as_json:
        out.emit(rows)
        return
    first = rows[0]
    modelled = "cycles" in first
    times = ["cycles", "time", "between"] if modelled else []
    out.table(
        ["file", "size", "instructions", *times, *first["parts"]],
        [
            [
                row["file"],
                out.size(row["bytes"]),
                _millions(row["instructions"]),
                *(_times(row) if modelled else ()),
                *_shares(row, "cycles" if modelled else "instructions"),
            ]
            for row in rows
        ],
    )
    click.echo(f"\n{_explained(first)}")


def _millions(count: int) -> str:
    return f"{count / 1e6:,.3f} M"


def _times(row: dict[str, Any]) -> tuple[str, str, str]:
    time, factor = row["milliseconds"], row["uncertainty"]
    between = f"{out.milliseconds(time / factor)} and {out.milliseconds(time * factor)}"
    return _millions(row["cycles"]), out.milliseconds(time), between


def _shares(row: dict[str, Any], figure: str) -> list[str]:
    total = sum(part[figure] for part in row["parts"].values()) or 1
    return [f"{100 * part[figure] / total:.0f} %" for part in row["parts"].values()]


def _explained(row: dict[str, Any]) -> str:
    call = f"A call of {row['steps']} time steps" if row.get("steps", 1) > 1 else "A call"
    if row.get("steps") == 1:
        call = "A call (one time step)"
    if row["batch_size"] > 1:
        call += f", which answers {row['batch_size']} sequences,"
    runtime = f"ai-edge-litert {row['versions']['ai-edge-litert']}, one thread"
    if "cycles" not in row:
        return f"{call} on an emulated {row['core']} ({runtime}): instructions, and their shares."
    return (
        f"{call} on an emulated {row['core']} at {row['megahertz'] / 1000:.1f} GHz ({runtime}): "
        f"modelled cycles, good to a factor of {row['uncertainty']}, and their shares."
    )
