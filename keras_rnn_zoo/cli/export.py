"""`keras-rnn-zoo export`: a run becomes files for an app, verified."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from keras_rnn_zoo.cli import _output as out
from keras_rnn_zoo.cli._options import (
    custom_objects_option,
    json_option,
    names,
    options_of,
    output_option,
)
from keras_rnn_zoo.export.options import BundleOptions

if TYPE_CHECKING:
    from keras_rnn_zoo.export.bundle.records import BundleReport
    from keras_rnn_zoo.export.lowering.plan import Plan


@click.command(
    "export", short_help="Turn a trained model into verified TFLite files and a SavedModel."
)
@click.argument("source")
@options_of(BundleOptions, only=("trial", "format", "quantization", "inference_type"))
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
@click.option(
    "--representative-data",
    metavar="FILE",
    help="Encoded inputs to calibrate int8 and dynamic on: a .npy file, or an .npz file with an "
    "array for each input; or rows as --data takes them.  [default: those of --data]",
)
@options_of(BundleOptions, without=("trial", "format", "quantization", "inference_type"))
@click.option(
    "--plan",
    "plan_only",
    is_flag=True,
    help="Say what would be done with each recurrent layer, and why, and convert nothing.",
)
@custom_objects_option
@json_option
@output_option("BUNDLE", "Directory to write the bundle to: a new or an empty one.", required=False)
@click.pass_obj
def command(
    line: str | None,
    /,
    source: str,
    output: str | None,
    plan_only: bool,
    as_json: bool,
    custom_objects: str | None,
    **arguments: Any,
) -> None:
    """Export SOURCE as a bundle: TFLite files and a SavedModel, verified, measured, with a report.

    SOURCE is what `train` or `search` left, or a .keras or .h5 file. Nothing is written unless
    every file answers what the Keras model answers.

    \b
    keras-rnn-zoo export runs/bilstm -o bundle
    keras-rnn-zoo export runs/bilstm --format tflite --quantization none,int8 -o bundle
    keras-rnn-zoo export runs/bilstm --plan
    """
    if output is None and not plan_only:
        raise click.UsageError(
            "Missing option '-o' / '--output': the directory to write the bundle to. --plan writes "
            "none."
        )
    lowering = arguments["lowering"]
    if lowering is not None and "," in lowering:
        arguments["lowering"] = names(lowering)
    with out.working():
        from keras_rnn_zoo.export.bundle.write import export_bundle, plan_bundle
        from keras_rnn_zoo.training.run import use_custom_objects

        if custom_objects:
            use_custom_objects(names(custom_objects) or [])
        if plan_only:
            for unused in ("data", "test_data"):
                arguments.pop(unused)
            plans = plan_bundle(source, **arguments)
        else:
            bundle = export_bundle(source, output or "", command=line, progress=True, **arguments)
    if plan_only:
        show_plans(plans, as_json)
        return
    if as_json:
        out.emit({"path": output, **bundle.report})
        return
    show(bundle.report)
    show_choices(bundle.report, lowering)
    if bundle.report.target != "litert":
        click.echo(f"Target: {bundle.report.target}")
    click.echo(f"\nBundle: {output}")
    click.echo(f"Report: {bundle.path / 'report.html'}")
    if any(entry.streaming for entry in bundle.report.files):
        out.next_command("stream", str(output))
    elif bundle.preprocessor is not None and bundle.preprocessor.kind == "text":
        out.next_command("predict", str(output), "TEXT")
    else:
        out.next_command("predict", str(output), "--input", "FILE")


def show_plans(plans: Mapping[str, Plan], as_json: bool) -> None:
    """Prints what would be done with each recurrent layer in each quantization mode."""
    from keras_rnn_zoo.export.bundle.page import plan_rows

    if as_json:
        out.emit({mode: plan.to_dict() for mode, plan in plans.items()})
        return
    groups: dict[str, tuple[list[str], Plan]] = {}
    for mode, plan in plans.items():
        same = str((plan.recurrences, plan.layers))
        groups.setdefault(same, ([], plan))[0].append(mode)
    first = next(iter(plans.values()))
    out.facts(
        [
            ("Model", first.model),
            ("Inputs", ", ".join(f"{i.name} {i.dtype}{list(i.shape)}" for i in first.inputs)),
            (
                "Outputs",
                ", ".join(f"{o.name} ({o.head})" if o.head else o.name for o in first.outputs),
            ),
            ("Lowering", first.lowering),
            *_about_steps(first),
        ]
    )
    for modes, plan in groups.values():
        click.echo(f"\n{', '.join(modes)}:")
        head, *rows = plan_rows(plan.to_dict())
        if rows:
            out.table(head, rows, left=len(head))
        else:
            click.echo("No recurrent layer: everything is converted as it is.")
        for layer in plan.recurrences:
            if layer.fallback:
                click.echo(
                    f"{layer.path}: {layer.lowering} instead of {plan.lowering}: {layer.fallback}"
                )


def _about_steps(plan: Plan) -> list[tuple[str, str]]:
    """Returns what a call takes, and what it hands on, of a file that streams."""
    if plan.steps is None:
        return []
    every = [output.name for output in plan.outputs if output.every_step]
    so_far = [output.name for output in plan.outputs if not output.every_step]
    answers = [f"{', '.join(every)} of every step"] if every else []
    answers += [f"{', '.join(so_far)} so far"] if so_far else []
    states = ", ".join(f"{state.name} {list(state.shape)}" for state in plan.states)
    return [
        ("Steps a call", str(plan.steps)),
        ("Answers", "; ".join(answers)),
        ("States", states or "none"),
    ]


def show(report: BundleReport) -> None:
    """Prints what a file loses, where it does, and the main figures of a bundle's report."""
    labelled = report.labelled
    batch = max((entry.latency or {}).get("batch_size", 1) for entry in report.files)
    steps = max((entry.latency or {}).get("steps", 0) for entry in report.files)
    latency = "latency, median" if batch == 1 else f"latency of {batch} sequences"
    if steps:
        latency = "latency of a step" if steps == 1 else f"latency of {steps} steps"
    arenas = any(entry.arena for entry in report.files)
    head = ["file", "size", *(["arena"] if arenas else []), "runs from", "outputs differ by"]
    head.append(latency)
    if labelled:
        head += [labelled["measure"].replace("_", " "), "changed answers"]
    rows = []
    for entry in report.files:
        row = [
            entry.file,
            out.size(entry.bytes),
            *([out.size(entry.arena) if entry.arena else out.NOTHING] if arenas else []),
            f"TFLite {entry.min_runtime}" if entry.min_runtime else out.NOTHING,
            out.small(entry.parity["max_abs_output"]),
            out.milliseconds((entry.latency or {}).get("median_ms")),
        ]
        if scored := entry.labelled:
            changed = scored["changed_answers"]
            row += [
                out.figure(scored["measure"], scored["after"]),
                out.NOTHING if changed is None else f"{changed:,} of {scored['rows']:,}",
            ]
        elif labelled:
            row += [out.NOTHING, out.NOTHING]
        rows.append(row)
    from keras_rnn_zoo.export.bundle.page import left_in_float32, told

    if worthless := report.verdict.get("baseline"):
        click.secho(f"✗ {worthless}\n", fg="red")
    for loss in report.verdict["losses"]:
        click.echo(loss)
    out.table(head, rows)
    for entry in report.files:
        for text in left_in_float32(entry, most=3):
            click.echo(f"{entry.file}, left in float32: {text}")
    notes: dict[str, list[str]] = {}
    for entry in report.files:
        for text in entry.notes:
            notes.setdefault(text, []).append(entry.file)
    for text, those in notes.items():
        click.echo(f"{', '.join(those)}: {text}")
    for text in told(report):
        click.echo(text)
    if labelled:
        before = out.figure(labelled["measure"], labelled["keras"])
        click.echo(f"The Keras model itself: {before} on {labelled['rows']:,} rows")


def show_choices(report: BundleReport, lowering: str | None) -> None:
    """Prints what was chosen for each file, and each layer that this could not express."""
    files: dict[str, list[str]] = {}
    exported = [entry for entry in report.files if entry.lowering]
    for entry in exported:
        choice = entry.choice
        if choice:
            click.echo(f"{entry.file}: {choice['reason']}")
        for layer, reason in entry.fallbacks.items():
            chosen = choice["lowering"] if choice else lowering or "what the target prefers"
            line = f"{layer}: {entry.lowering[layer]} instead of {chosen}: {reason}"
            files.setdefault(line, []).append(entry.file)
    for line, names_of_files in files.items():
        where = "" if len(names_of_files) == len(exported) else f" ({', '.join(names_of_files)})"
        click.echo(line + where)
