"""`keras-rnn-zoo verify`: does a file answer what the Keras model answers?"""

from __future__ import annotations

from typing import Any

import click

from keras_rnn_zoo.artifacts import BUNDLE, FILES, MISSING, TFLITE, kind_of, require
from keras_rnn_zoo.cli import _output as out
from keras_rnn_zoo.cli._group import fail
from keras_rnn_zoo.cli._options import json_option, options_of
from keras_rnn_zoo.errors import VerificationError
from keras_rnn_zoo.export.options import VerifyOptions


@click.command("verify", short_help="Check that a bundle or a .tflite file answers right.")
@click.argument("source")
@click.option(
    "--model",
    metavar="MODEL",
    help="What a .tflite file is compared with: a .keras or .h5 file, or what `train` or `search` "
    "left.",
)
@click.option(
    "--data",
    metavar="ROWS",
    help="Rows to compare a .tflite file on: encoded inputs (a .npy file, or an .npz file with an "
    "array for each input), or data as `export` takes them.  [default: those that a run keeps; "
    "random inputs for a .keras file]",
)
@options_of(VerifyOptions)
@json_option
def command(
    source: str,
    model: str | None,
    data: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Check SOURCE: a bundle, from its own files, or a .tflite file against its Keras model.

    The files of a bundle have to be unchanged, too. The exit code is 0 if every file holds builtin
    ops only and answers what the Keras model answers, within the limits that `export` has.

    \b
    keras-rnn-zoo verify bundle
    keras-rnn-zoo verify bundle --clients all
    keras-rnn-zoo verify model.tflite --model model.keras --data rows.npz
    """
    given = {"--model": model, "--data": data}
    context = click.get_current_context()
    for name in ("quantization", "samples_count"):
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            given[f"--{name.replace('_', '-')}"] = options[name]
    kind = kind_of(source)
    bare = kind in FILES
    if kind == TFLITE and model is None:
        fail(
            f"{source} is a bare file, and there is nothing to compare it with. Give the Keras "
            "model that it was made of: --model MODEL.keras --data ROWS.npz"
        )
    if kind not in (*FILES, MISSING) and (
        unfit := [name for name, value in given.items() if value is not None]
    ):
        fail(f"{unfit[0]} is for a .tflite file, and {source} is a directory. Leave it out.")
    with out.working():
        if bare:
            from keras_rnn_zoo.export.bundle.any_file import verify_file

            result = verify_file(source, model, data, **options)
        else:
            from keras_rnn_zoo.export.bundle.bundle import verify_bundle

            require(source, BUNDLE, TFLITE)
            result = verify_bundle(source, clients=options["clients"] or (), progress=True)
    if as_json:
        out.emit(result)
    else:
        out.table(
            ["file", "", "outputs differ by", "of their spread", "in 1 %", "decisions"],
            [_row(item, item["parity"] or {}) for item in result["files"]],
            left=2,
        )
        click.echo(
            "\nDifferences from Keras: the largest; the average and the 99 % quantile as shares of "
            "the answers' standard deviation / what is allowed; other decisions / allowed."
        )
        if result["clients"]:
            _echo_clients(result["clients"])
    if not result["passed"]:
        raise VerificationError(result["text"])
    if not as_json:
        click.echo(f"\n{result['text']}")


def _echo_clients(records: list[dict[str, Any]]) -> None:
    """Prints a line for each client, a column for each file; then why some are not for some."""
    names = list(dict.fromkeys(record["file"] for record in records))
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for record in records:
        row = rows.setdefault((record["client"], record["version"]), {})
        row[record["file"]] = (
            out.small(record["max_abs_output"])
            if record["outcome"] == "right"
            else record["outcome"].upper()
            if record["outcome"] in ("wrong", "refused")
            else record["outcome"]
        )
    click.echo("\nRun in clients; right ones differ from Keras by at most:")
    out.table(
        ["client", "version", *names],
        [[*key, *(row.get(name, out.NOTHING) for name in names)] for key, row in rows.items()],
        left=2,
    )
    _echo_remarks(records)


def _echo_remarks(records: list[dict[str, Any]]) -> None:
    """Says why files are not for clients, and what clients say of files, each once."""
    said: dict[str, dict[str, set[str]]] = {}
    for record in records:
        remarks = [record["problem"]] if record["outcome"] == "not for it" else record["notes"]
        for what in remarks:
            clients = said.setdefault(what, {})
            clients.setdefault(record["client"], set()).add(record["file"])
    if said:
        click.echo()
    for what, clients in said.items():
        files = sorted(set().union(*clients.values()))
        click.echo(f"{', '.join(clients)} ({', '.join(files)}): {what}.")


def _row(item: dict[str, Any], parity: dict[str, Any]) -> list[str]:
    each = parity.get("each") or [{}]
    # The output that comes nearest to its limit.
    output = max(each, key=lambda one: one.get("average", 0) / (one.get("allowed_average") or 1))
    changed = output.get("changed")
    return [
        item["file"],
        "ok" if item["passed"] else "FAILED",
        out.small(parity.get("max_abs_output")),
        _of(output.get("average"), output.get("allowed_average")),
        _of(output.get("high"), output.get("allowed_high")),
        out.NOTHING if changed is None else f"{changed} / {output['allowed_changed']}",
    ]


def _of(value: float | None, allowed: float | None) -> str:
    return out.small(value) + ("" if allowed is None else f" / {out.small(allowed)}")
