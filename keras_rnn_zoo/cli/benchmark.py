"""`keras-rnn-zoo benchmark`: how fast a bundle's files are on this machine."""

from __future__ import annotations

import click

from keras_rnn_zoo.cli import _output as out
from keras_rnn_zoo.cli._options import json_option, names


@click.command("benchmark", short_help="Measure how fast the files of a bundle are.")
@click.argument("bundle")
@click.option(
    "--quantize",
    metavar="NAMES",
    help="Quantization modes to measure, separated by commas.  [default: all that it has]",
)
@click.option("--threads", type=int, default=1, metavar="N", help="CPU threads of an invoke.")
@click.option(
    "--repeats", type=int, metavar="N", help="Invokes of each file.  [default: for --seconds]"
)
@click.option(
    "--seconds", type=float, default=1.0, metavar="S", help="How long to measure each file."
)
@json_option
def command(
    bundle: str,
    quantize: str | None,
    threads: int,
    repeats: int | None,
    seconds: float,
    as_json: bool,
) -> None:
    """Measure the latency of the .tflite files of BUNDLE, on its own samples.

    \b
    keras-rnn-zoo benchmark bundle
    """
    with out.working():
        from keras_rnn_zoo.export.bundle import benchmark_bundle

        rows = benchmark_bundle(
            bundle,
            quantize=names(quantize),
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
    out.table(
        ["file", "size", "median", *each, "90 % within", "best", "invokes"],
        [
            [
                row["file"],
                out.size(row["bytes"]),
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
