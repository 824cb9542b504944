"""`keras-rnn-zoo benchmark`: how fast files are on this machine."""

from __future__ import annotations

from pathlib import Path

import click

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
@click.option("--threads", type=int, default=1, metavar="N", help="CPU threads of an invoke.")
@click.option(
    "--repeats", type=int, metavar="N", help="Invokes of each file.  [default: for --seconds]"
)
@click.option(
    "--seconds", type=float, default=1.0, metavar="S", help="How long to measure each file."
)
@json_option
def command(
    source: str,
    data: str | None,
    quantization: str | None,
    threads: int,
    repeats: int | None,
    seconds: float,
    as_json: bool,
) -> None:
    """Measure the latency of SOURCE: the .tflite files of a bundle, on its own samples, or one.

    \b
    keras-rnn-zoo benchmark bundle
    keras-rnn-zoo benchmark model.tflite --data rows.npz
    """
    kind = kind_of(source)
    bare = kind in FILES
    if kind not in (*FILES, MISSING) and data is not None:
        fail(f"--data is for a .tflite file, and {source} is a directory. Leave it out.")
    if bare and quantization is not None:
        fail(f"--quantization chooses files of a bundle, and {source} is none. Leave it out.")
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
