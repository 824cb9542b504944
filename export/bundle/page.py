"""report.json as a page to read: one self-contained HTML file without scripts or network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_rnn_zoo.export.bundle.records import BundleReport, FileRecord
from keras_rnn_zoo.export.bundle.steps import step_facts, timed
from keras_rnn_zoo.export.tflite.micro import NOTE
from keras_rnn_zoo.pages import plain, render, text_of
from keras_rnn_zoo.quantities import score, size
from keras_rnn_zoo.training.answers import answers
from keras_rnn_zoo.training.page import data_facts, training_facts

PAGE_FILE = "report.html"


def page(report: BundleReport) -> str:
    """Returns the page of a bundle's report.

    Args:
        report: What `report.json` holds.

    Returns:
        HTML that needs nothing else.
    """
    verdict = report.verdict
    mark = "✓" if verdict["passed"] else "✗"
    worthless = verdict.get("baseline")
    if verdict["passed"] and (verdict.get("losses") or worthless):
        mark = "!"
    training = {name: value for name, value in report.training.items() if value}
    preprocessing = report.preprocessing
    return render(
        Path(__file__).with_name("templates") / "report.html",
        title=f"{report.model['name']}: export report",
        mark=mark,
        worthless=worthless,
        verdict=verdict["text"].removeprefix(worthless or "").strip(),
        summary=_summary(report),
        head=_head(report),
        files=[_file(entry, report) for entry in report.files],
        legend=_legend(report),
        steps=step_facts(report),
        model=_model_facts(report),
        preprocessing=_preprocessing_facts(preprocessing) if preprocessing else [],
        found=answers(report.training),
        data=data_facts({**training, "preprocessing": preprocessing}) if training else [],
        training=training_facts(training) if training else [],
        provenance=plain(report.provenance),
    )


def _summary(report: BundleReport) -> str:
    model, samples = report.model, report.samples
    text = (
        f"Model {model['name']}, {model['parameters']:,} parameters. Compared on "
        f"{samples['given']} samples ({samples['origin']})"
    )
    if samples["made"]:
        text += f" and {samples['made']} made of them"
    if samples["longest"] is not None:
        text += f", {samples['shortest']} to {samples['longest']} time steps long"
    text += ", three invokes each in the same interpreter."
    text += "".join(f" {line}" for line in told(report))
    target = report.target
    return text if target == "litert" else f"For the target {target}. {text}"


def told(report: BundleReport) -> list[str]:
    """Returns what differs from the Keras model as it is, a sentence each."""
    renamed = ", ".join(f"'{name}' is {new}" for name, new in report.names.items())
    names = [f"In the files, {renamed}: TensorFlow takes no other names."] if renamed else []
    return [*report.notes, *names]


def _legend(report: BundleReport) -> str:
    text = (
        "Differences from the Keras model: the largest absolute one, and the average and the 99 % "
        "quantile as shares of the standard deviation that the answers have over the samples (of "
        "the logits, which go into the last sigmoid or softmax)."
    )
    latencies = [entry.latency for entry in report.files if entry.latency]
    if latencies:
        first = latencies[0]
        batch = first["batch_size"]
        answers = f" (a call answers {batch} sequences)" if batch > 1 else ""
        text += (
            f" Latency: the median {timed(report)} on the samples, batch {batch}{answers}, "
            f"{first['threads']} thread{'s' if first['threads'] > 1 else ''}, on "
            f"{first['machine']}."
        )
    labelled = report.labelled
    if labelled:
        text += (
            f" {_capital(labelled['measure'])}: on {labelled['rows']:,} rows "
            f"({labelled['origin']}); changed answers are those with another label than Keras "
            "gives."
        )
    return text


def _head(report: BundleReport) -> list[str]:
    head = ["File", "Size", "Ops", "Outputs differ by", "Of their spread", "Latency"]
    labelled = report.labelled
    if labelled:
        head.append(_capital(labelled["measure"]))
        if labelled["measure"] == "accuracy":
            head.append("Changed answers")
    return head


def _file(entry: FileRecord, report: BundleReport) -> dict[str, Any]:
    """What the page says of a file: a row of the table, and all that can be unfolded."""
    labelled, ops, latency = report.labelled, entry.ops, entry.latency
    cells = [
        [str(sum(ops.values())), f"{len(ops)} kinds"] if ops else ["–"],
        [_number(entry.parity["max_abs_output"])],
        _shares(entry.parity),
        _latency(latency) if latency else ["–"],
    ]
    if labelled and (scored := entry.labelled):
        percent = labelled["measure"] == "accuracy"
        before, after = (score(scored[key], percent=percent) for key in ("before", "after"))
        cells.append([after, f"Keras: {before}"])
        if percent:
            cells.append([f"{scored['changed_answers']:,}", f"of {scored['rows']:,}"])
    return {
        "name": entry.file,
        "description": entry.description
        + (f"; from TFLite\u00a0{entry.min_runtime}" if entry.min_runtime else ""),
        "size": size(entry.bytes),
        "share": 100 * entry.bytes / max(one.bytes for one in report.files),
        "cells": cells,
        "plan": plan_rows(entry.plan) if entry.plan else [],
        "facts": _facts(entry, report.sha256),
    }


def _facts(entry: FileRecord, digests: Mapping[str, str]) -> list[tuple[str, str]]:
    parity = entry.parity
    tolerance = parity["tolerance"]
    facts: list[tuple[str, str]] = [("size", f"{entry.bytes:,} bytes")]
    for name, signature in entry.signatures.items():
        facts.append(
            (
                f"signature {name}",
                f"{', '.join(signature['inputs'])} → {', '.join(signature['outputs'])}",
            )
        )
    for kind, tensors in entry.tensors.items():
        facts += [(kind[:-1], _tensor(tensor)) for tensor in tensors]
    if entry.ops:
        ops = sorted(entry.ops.items(), key=lambda item: (-item[1], item[0]))
        facts += [
            ("ops", ", ".join(f"{name} × {count}" if count > 1 else name for name, count in ops)),
            ("subgraphs", str(entry.subgraphs)),
            (
                "constants",
                ", ".join(f"{size(count)} {dtype}" for dtype, count in entry.weights.items()),
            ),
            ("tensors that keep state", str(entry.variables)),
        ]
    for text in left_in_float32(entry):
        facts.append(("left in float32", text))
    for layer, lowering in entry.lowering.items():
        why = entry.fallbacks.get(layer)
        if why is None and entry.plan:  # which says it already
            continue
        facts.append((f"layer {layer}", f"as {lowering}" + (f", because {why}" if why else "")))
    if entry.folded:
        facts.append(("embedding folded into", ", ".join(entry.folded)))
    if entry.choice:
        facts += _choice(entry.choice)
    if entry.metadata:
        facts += _metadata(entry.metadata)
    facts += [
        (
            "difference",
            f"{_number(parity['max_abs_output'])} at most, {_number(parity['mean_abs_output'])} on "
            "average"
            + (
                f"; logits {_number(parity['max_abs_logit'])} at most"
                if parity["max_abs_logit"] is not None
                else ""
            ),
        ),
        *((f"as '{output['name']}'", _output(output)) for output in parity["each"]),
        *(("note", text) for text in entry.notes),
        (
            "limits",
            f"{_number(tolerance['average'])} of the spread on average, "
            f"{_number(tolerance['high'])} in 99 %; and {tolerance['times']:g} times what the "
            "mode's rounding does to the Keras model: "
            f"{tolerance['reason']}",
        ),
        ("between invokes", f"{_number(parity['max_abs_repeat'])} at most"),
    ]
    if entry.arena:
        facts.append(("arena", f"{entry.arena:,} bytes at least in tflite-micro, {NOTE}"))
    if entry.latency:
        latency = entry.latency
        facts.append(
            (
                "latency",
                (f"time steps of a call: {latency['steps']}; " if "steps" in latency else "")
                + f"median {latency['median_ms']:.3g} ms, 90 % within {latency['p90_ms']:.3g} ms, "
                f"best {latency['min_ms']:.3g} ms of {latency['repeats']:,} calls",
            )
        )
    facts += [
        (f"SHA-256 of {name}", digest)
        for name, digest in digests.items()
        if name.split("/")[0] == entry.file
    ]
    return facts


def _metadata(metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a client that takes raw inputs finds in the file."""
    return [
        ("takes, by its metadata", metadata["takes"]),
        ("answers", metadata["answers"]),
        ("cuts texts at", metadata["delimiter"]),
        *([("licence", metadata["license"])] if metadata["license"] else []),
        *(
            (f"{name} in it", f"{found['lines']:,} lines, {size(found['bytes'])}")
            for name, found in metadata["files"].items()
        ),
    ]


def _choice(choice: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was tried beside what was taken: bytes against milliseconds."""
    facts = [("measured on", choice["machine"])]
    for tried in choice["candidates"]:
        name = tried["label"]
        parts = []
        if tried["median_ms"] is not None:
            parts.append(f"{tried['median_ms']:.3f} ms, {size(tried['bytes'])}")
        taken = tried["label"] == choice["label"]
        parts += ["taken"] if taken else [tried["problem"]] if tried["problem"] else []
        facts.append((name, "; ".join(parts)))
    return facts


def _tensor(tensor: Mapping[str, Any]) -> str:
    shape = " × ".join(map(str, tensor["shape"]))
    text = f"{tensor['name']}: {tensor['dtype']}, {shape}"
    if "scale" in tensor:
        zero = tensor["zero_point"]
        offset = f"stored {'+' if zero < 0 else '−'} {abs(zero)}"
        text += f", real value = {tensor['scale']:.6g} × ({offset})"
    return text


def left_in_float32(entry: FileRecord, most: int = 8) -> list[str]:
    """Says which weights of a quantized file are not quantized: one line for each reason.

    Args:
        entry: An export of a report's `files`.
        most: How many weights a line names; the others are counted.
    """
    by_reason: dict[str, list[Mapping[str, Any]]] = {}
    for weight in entry.unquantized:
        by_reason.setdefault(weight["reason"], []).append(weight)
    lines = []
    for reason, weights in by_reason.items():
        count = len(weights)
        named = [
            f"{weight['name']} ({' × '.join(map(str, weight['shape']))})"
            for weight in weights[:most]
        ]
        if count > most:
            named.append(f"{count - most} more")
        lines.append(
            f"{count} weight{'s' if count > 1 else ''}, "
            f"{size(sum(weight['bytes'] for weight in weights))}: {', '.join(named)}. "
            f"Reason: {reason}."
        )
    if lines and not any(dtype in entry.weights for dtype in ("INT8", "FLOAT16")):
        lines.insert(0, "all weights: nothing in this file is quantized.")
    return lines


def _model_facts(report: BundleReport) -> list[tuple[str, str]]:
    model = report.model
    facts = [("name", model["name"]), ("parameters", f"{model['parameters']:,}")]
    for kind in ("inputs", "outputs"):
        for spec in model[kind]:
            shape = " × ".join("any" if size is None else str(size) for size in spec["shape"])
            ends = f", {spec['activation']}" if spec["activation"] else ""
            facts.append((kind[:-1], f"{spec['name']}: {spec['dtype']}, {shape}{ends}"))
    facts += plain(model["config"] or {})
    source = report.source
    facts.append(("exported from", f"{source['kind']} {source['name']}"))
    return facts


def _preprocessing_facts(known: Mapping[str, Any]) -> list[tuple[str, str]]:
    sides = {"post": "on the right", "pre": "on the left"}
    cut = {"pre": "the end is kept", "post": "the beginning is kept"}
    said = {
        "padding": sides.get(known.get("padding", ""), known.get("padding")),
        "truncating": f"{cut[known['truncating']]} of longer inputs"
        if known.get("truncating") in cut
        else known.get("truncating"),
        "scaling": _scaling(known.get("scaling")),
        "tokenizer": _tokenizer(known.get("tokenizer")),
    }
    return plain({**known, **said})


def _scaling(scaling: Mapping[str, Any] | None, most: int = 6) -> str | None:
    if not scaling:
        return None
    pairs = [
        f"(value − {mean:.6g}) / {scale:.6g}"
        for mean, scale in zip(scaling["mean"], scaling["scale"], strict=True)
    ]
    more = f"; and {len(pairs) - most} more, in report.json" if len(pairs) > most else ""
    named = [f"feature {i}: {text}" if len(pairs) > 1 else text for i, text in enumerate(pairs, 1)]
    return "; ".join(named[:most]) + more


def _tokenizer(tokenizer: Any) -> Any:
    """The settings of a tokenizer after its name."""
    if not isinstance(tokenizer, Mapping):
        return tokenizer
    name = tokenizer.get("name")
    others = {key: value for key, value in tokenizer.items() if key != "name"}
    return "; ".join(filter(None, [name, text_of(others) if others else ""]))


def _capital(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _number(value: float) -> str:
    return "0" if value == 0 else f"{value:.2g}"


def _shares(parity: Mapping[str, Any]) -> list[str]:
    """The output that comes nearest to its limit."""
    output = max(parity["each"], key=lambda each: each["average"] / (each["allowed_average"] or 1))
    if output["compared"] == "decisions":
        return [f"{output['changed']} of {output['decisions']} others"]
    return [
        _number(output["average"]),
        f"allowed {_number(output['allowed_average'])}",
        f"99 %: {_number(output['high'])}, allowed {_number(output['allowed_high'])}",
    ]


def _output(output: Mapping[str, Any]) -> str:
    parts = []
    if output["compared"] != "decisions":
        parts.append(
            f"{output['compared']} with a standard deviation of {_number(output['spread'])}: "
            f"differ by {_number(output['average'])} of it on average (allowed "
            f"{_number(output['allowed_average'])}), by {_number(output['high'])} in 1 % (allowed "
            f"{_number(output['allowed_high'])})"
        )
        if output["made"] is not None:
            parts.append(
                f"on made samples by {_number(output['made'])} (allowed "
                f"{_number(output['allowed_made'])})"
            )
        parts.append(
            f"rounding the weights alone does {_number(output['rounding'])} to the Keras model"
        )
    if output["changed"] is not None:
        parts.append(
            f"{output['changed']:,} of {output['decisions']:,} decisions are others (allowed "
            f"{output['allowed_changed']:,})"
        )
    return "; ".join(parts)


def _latency(latency: Mapping[str, Any]) -> list[str]:
    lines = [f"{latency['median_ms']:.3g} ms", f"90 %: {latency['p90_ms']:.3g} ms"]
    if latency["batch_size"] > 1:
        each = latency["median_ms"] / latency["batch_size"]
        lines.append(f"a sequence: {each:.3g} ms")
    return lines


def plan_rows(plan: Mapping[str, Any]) -> list[list[str]]:
    """Returns a table, its head first: what becomes of each call of a recurrent layer.

    Args:
        plan: What `Plan.to_dict` returns.
    """
    recurrences = plan["recurrences"]
    path = {tuple(one["at"]): one["path"] for one in recurrences}
    rows = [["layer", "kind", "units", "steps x features", "lowering", "runs with", "reads"]]
    for one in recurrences:
        calls = sum(other["path"] == one["path"] for other in recurrences)
        partners = []
        if one["together"] is not None:
            partners.append(f"{path[tuple(one['together'])]}, the other direction")
        if one["below"] is not None:
            partners.append(f"{path[tuple(one['below'])]}, in the same steps")
        reads = "a sequence"
        if one["below"] is not None:
            reads = "the layer below"
        elif one["embedding"] is not None:
            reads = "a folded table" if one["folded"] else "rows of an embedding"
        rows.append(
            [
                one["path"] + (f" (call {one['at'][1] + 1})" if calls > 1 else ""),
                one["kind"],
                "+".join("?" if units is None else str(units) for units in one["units"]),
                f"{one['timesteps'] or 'open'} x {one['features']}"
                + (", masked" if one["masked"] else ""),
                one["lowering"],
                "; ".join(partners) or "-",
                reads,
            ]
        )
    for other in plan["layers"]:
        if other["how"] == "buffer":
            kept = [one["shape"] for one in plan["states"] if one["layer"] == other["layer"]]
            rows.append(
                [
                    other["path"],
                    other["kind"],
                    "-",
                    f"{kept[0][1]} x {kept[0][2]} kept" if kept else "-",
                    "step",
                    "-",
                    "a sequence",
                ]
            )
        if other["how"] == "unrolled":
            rows.append(
                [other["path"], other["kind"], "-", "-", "unrolled by Keras", "-", "a sequence"]
            )
    return rows
