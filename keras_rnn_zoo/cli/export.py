"""`keras-rnn-zoo export`: a run becomes files for an app, verified."""

from __future__ import annotations

from typing import Any

import click

from keras_rnn_zoo.cli import _output as out
from keras_rnn_zoo.cli._options import (
    BYTES,
    TIMESTEPS,
    columns_options,
    custom_objects_option,
    json_option,
    names,
    output_option,
)


@click.command(
    "export", short_help="Turn a trained model into verified TFLite files and a SavedModel."
)
@click.argument("run")
@click.option("--trial", metavar="ID", help="Of a search: one of its front.  [default: the winner]")
@click.option(
    "--format",
    "formats",
    default="tflite,saved_model",
    metavar="NAMES",
    help="tflite, saved_model, or both, separated by commas.",
)
@click.option(
    "--quantize",
    metavar="NAMES",
    help="Quantization modes of the .tflite files, separated by commas.  [default: of "
    "none,float16,dynamic,int8 those that the target takes]",
)
@click.option(
    "--inference-type",
    default="float32",
    metavar="NAME",
    help="Inputs and outputs of the int8 file: float32, or int8 (token ids stay int32).",
)
@click.option(
    "--data",
    metavar="DATA",
    help="Rows to calibrate int8 and dynamic on.  [default: those that the run keeps]",
)
@click.option(
    "--test-data",
    metavar="DATA",
    help="Rows to verify and score on.  [default: those that the run keeps]",
)
@columns_options
@click.option(
    "--representative-data",
    metavar="FILE",
    help="Encoded inputs to calibrate int8 and dynamic on: a .npy file, or an .npz file with an "
    "array for each input; or rows as --data takes them.  [default: those of --data]",
)
@click.option("--samples", type=int, default=128, metavar="N", help="Rows to verify on.")
@click.option(
    "--batch-size",
    type=int,
    default=1,
    metavar="N",
    help="Sequences that one call of a .tflite file answers.",
)
@click.option(
    "--timesteps",
    type=TIMESTEPS,
    metavar="N",
    help="Where a .keras file leaves them open: a number; one by input, left=20,right=30; or by "
    "input and axis, line:2=40.  [default: those of --representative-data or --data]",
)
@click.option(
    "--target",
    default="litert",
    metavar="NAME",
    help="The client that the .tflite files are for: litert (the Interpreter), compiled_model, "
    "mediapipe, litert_js, task_library or micro. It says which lowerings and quantizations there "
    "are, and what a file may hold.",
)
@click.option(
    "--lowering",
    metavar="NAMES",
    help="How recurrences are expressed: loop, unrolled or fused; auto, or several separated by "
    "commas, take what is fastest on this machine.  [default: what the target prefers, mostly "
    "loop]",
)
@click.option(
    "--fold-embedding/--no-fold-embedding",
    default=None,
    help="Put an embedding and the input projection behind it into one table: faster, and larger.  "
    "[default: only where --lowering auto finds that it pays]",
)
@click.option(
    "--size-limit",
    type=BYTES,
    default="4MB",
    metavar="SIZE",
    help="How large a file --lowering auto may make to fold an embedding, such as 900KB or 3MB.",
)
@custom_objects_option
@json_option
@output_option("BUNDLE", "Directory to write the bundle to: a new or an empty one.")
@click.pass_obj
def command(
    line: str | None,
    /,
    run: str,
    formats: str,
    quantize: str | None,
    output: str,
    as_json: bool,
    lowering: str | None,
    custom_objects: str | None,
    **arguments: Any,
) -> None:
    """Export RUN as a bundle: TFLite files and a SavedModel, verified, measured, with a report.

    RUN is what `train` or `search` left, or a .keras or .h5 file. Nothing is written unless every
    file answers what the Keras model answers.

    \b
    keras-rnn-zoo export runs/bilstm -o bundle
    keras-rnn-zoo export runs/bilstm --format tflite --quantize none,int8 -o bundle
    """
    with out.working():
        from keras_rnn_zoo.export.bundle.write import export_bundle
        from keras_rnn_zoo.training.run import use_custom_objects

        if custom_objects:
            use_custom_objects(names(custom_objects) or [])
        bundle = export_bundle(
            run,
            output,
            formats=names(formats) or [],
            quantize=names(quantize),
            lowering=names(lowering) if "," in (lowering or "") else lowering,
            command=line,
            progress=True,
            **arguments,
        )
    if as_json:
        out.emit({"path": output, **bundle.report})
        return
    show(bundle.report)
    show_choices(bundle.report, lowering)
    if bundle.report["target"] != "litert":
        click.echo(f"Target: {bundle.report['target']}")
    click.echo(f"\nBundle: {output}")
    click.echo(f"Report: {bundle.path / 'report.html'}")
    if bundle.preprocessor is not None and bundle.preprocessor.kind == "text":
        out.next_command("predict", output, "TEXT")
    else:
        out.next_command("predict", output, "--input", "FILE")


def show(report: dict[str, Any]) -> None:
    """Prints what a file loses, where it does, and the main figures of a bundle's report."""
    labelled = report["labelled"]
    batch = max((entry.get("latency") or {}).get("batch_size", 1) for entry in report["files"])
    latency = "latency, median" if batch == 1 else f"latency of {batch} sequences"
    head = ["file", "size", "outputs differ by", latency]
    if labelled:
        head += [labelled["measure"].replace("_", " "), "changed answers"]
    rows = []
    for entry in report["files"]:
        row = [
            entry["file"],
            out.size(entry["bytes"]),
            out.small(entry["parity"]["max_abs_output"]),
            out.milliseconds((entry.get("latency") or {}).get("median_ms")),
        ]
        if labelled:
            scored = entry["labelled"]
            changed = scored["changed_answers"]
            row += [
                out.figure(scored["measure"], scored["after"]),
                out.NOTHING if changed is None else f"{changed:,} of {scored['rows']:,}",
            ]
        rows.append(row)
    from keras_rnn_zoo.export.bundle.page import left_in_float32, told

    for loss in report["verdict"]["losses"]:
        click.echo(loss)
    out.table(head, rows)
    for entry in report["files"]:
        for text in left_in_float32(entry, most=3):
            click.echo(f"{entry['file']}, left in float32: {text}")
        for text in entry.get("notes", ()):
            click.echo(f"{entry['file']}: {text}")
    for text in told(report):
        click.echo(text)
    if labelled:
        before = out.figure(labelled["measure"], labelled["keras"])
        click.echo(f"The Keras model itself: {before} on {labelled['rows']:,} rows")


def show_choices(report: dict[str, Any], lowering: str | None) -> None:
    """Prints what was chosen for each file, and each layer that this could not express."""
    files: dict[str, list[str]] = {}
    exported = [entry for entry in report["files"] if entry.get("lowering")]
    for entry in exported:
        choice = entry.get("choice")
        if choice:
            click.echo(f"{entry['file']}: {choice['reason']}")
        for layer, reason in entry["fallbacks"].items():
            chosen = choice["lowering"] if choice else lowering or "what the target prefers"
            line = f"{layer}: {entry['lowering'][layer]} instead of {chosen}: {reason}"
            files.setdefault(line, []).append(entry["file"])
    for line, names_of_files in files.items():
        where = "" if len(names_of_files) == len(exported) else f" ({', '.join(names_of_files)})"
        click.echo(line + where)
