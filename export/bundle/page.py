"""report.json as a page to read: one self-contained HTML file without scripts or network."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from keras_rnn_zoo.pages import STYLE, bytes_of, facts_table, plain, text_of

REPORT_FILE, PAGE_FILE = "report.json", "report.html"


def page(report: Mapping[str, Any]) -> str:
    """Returns the page of a bundle's report.

    Args:
        report: What `report.json` holds.

    Returns:
        HTML that needs nothing else.
    """
    verdict, model = report["verdict"], report["model"]
    mark, kind = ("✓", "") if verdict["passed"] else ("✗", ' class="failed"')
    if verdict["passed"] and verdict.get("losses"):
        mark, kind = "!", ' class="failed"'
    title = f"{model['name']}: export report"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
        f'<h1{kind}><span class="mark">{mark}</span>{escape(verdict["text"])}</h1>',
        f'<p class="soft">{escape(_summary(report))}</p>',
        "<h2>Files</h2>",
        _table(report),
        f'<p class="soft">{escape(_legend(report))}</p>',
        "<h2>Each file</h2>",
        *(_details(entry, report["sha256"]) for entry in report["files"]),
        "<h2>The model</h2>",
        facts_table(_model_facts(report)),
    ]
    if report.get("preprocessing"):
        parts += [
            "<h2>From raw input to the model</h2>",
            "<p>A client repeats these steps; padding is 0.</p>",
            facts_table(_preprocessing_facts(report["preprocessing"])),
        ]
    training = {name: value for name, value in report["training"].items() if value}
    if training:
        parts.append("<h2>Training</h2>")
        parts.append(facts_table(_training_facts(training)))
    parts += ["<h2>Made with</h2>", facts_table(plain(report["provenance"])), "</body></html>"]
    return "\n".join(parts) + "\n"


def _summary(report: Mapping[str, Any]) -> str:
    model, samples = report["model"], report["samples"]
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
    target = report.get("target", "litert")
    return text if target == "litert" else f"For the target {target}. {text}"


def told(report: Mapping[str, Any]) -> list[str]:
    """Returns what differs from the Keras model as it is, a sentence each."""
    renamed = ", ".join(f"'{name}' is {new}" for name, new in report.get("names", {}).items())
    names = [f"In the files, {renamed}: TensorFlow takes no other names."] if renamed else []
    return [*report.get("notes", ()), *names]


def _legend(report: Mapping[str, Any]) -> str:
    text = (
        "Differences from the Keras model: the largest absolute one, and the average and the 99 % "
        "quantile as shares of the standard deviation that the answers have over the samples (of "
        "the logits, which go into the last sigmoid or softmax)."
    )
    latencies = [entry["latency"] for entry in report["files"] if entry.get("latency")]
    if latencies:
        first = latencies[0]
        batch = first["batch_size"]
        answers = f" (a call answers {batch} sequences)" if batch > 1 else ""
        text += (
            f" Latency: the median call on the samples, batch {batch}{answers}, "
            f"{first['threads']} thread{'s' if first['threads'] > 1 else ''}, on "
            f"{first['machine']}."
        )
    labelled = report["labelled"]
    if labelled:
        text += (
            f" {_capital(labelled['measure'])}: on {labelled['rows']:,} rows "
            f"({labelled['origin']}); changed answers are those with another label than Keras "
            "gives."
        )
    return text


def _table(report: Mapping[str, Any]) -> str:
    labelled = report["labelled"]
    head = ["File", "Size", "Ops", "Outputs differ by", "Of their spread", "Latency"]
    percent = bool(labelled) and labelled["measure"] == "accuracy"
    if labelled:
        head.append(_capital(labelled["measure"]))
    if percent:
        head.append("Changed answers")
    rows = []
    largest = max(entry["bytes"] for entry in report["files"])
    for entry in report["files"]:
        parity, latency = entry["parity"], entry.get("latency")
        share = 100 * entry["bytes"] / largest
        ops = entry.get("ops")
        cells = [
            f"<code>{escape(entry['file'])}</code><small>{escape(entry['description'])}</small>",
            f"{bytes_of(entry['bytes'])}<small><span class='size'>"
            f"<i style='width:{share:.0f}%'></i></span></small>",
            f"{sum(ops.values())}<small>{len(ops)} kinds</small>" if ops else "–",
            _number(parity["max_abs_output"]),
            _shares(parity),
            _latency(latency) if latency else "–",
        ]
        if labelled:
            scored = entry["labelled"]
            before, after = (_score(scored[key], percent) for key in ("before", "after"))
            cells.append(f"{after}<small>Keras: {before}</small>")
            if percent:
                cells.append(f"{scored['changed_answers']:,}<small>of {scored['rows']:,}</small>")
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return (
        '<div class="scroll"><table><thead><tr>'
        + "".join(f"<th>{escape(name)}</th>" for name in head)
        + "</tr></thead><tbody>"
        + "\n".join(rows)
        + "</tbody></table></div>"
    )


def _details(entry: Mapping[str, Any], digests: Mapping[str, str]) -> str:
    parity = entry["parity"]
    tolerance = parity["tolerance"]
    facts: list[tuple[str, str]] = [("size", f"{entry['bytes']:,} bytes")]
    for name, signature in entry.get("signatures", {}).items():
        facts.append(
            (
                f"signature {name}",
                f"{', '.join(signature['inputs'])} → {', '.join(signature['outputs'])}",
            )
        )
    for kind, tensors in (entry.get("tensors") or {}).items():
        facts += [(kind[:-1], _tensor(tensor)) for tensor in tensors]
    if entry.get("ops"):
        ops = sorted(entry["ops"].items(), key=lambda item: (-item[1], item[0]))
        facts += [
            ("ops", ", ".join(f"{name} × {count}" if count > 1 else name for name, count in ops)),
            ("subgraphs", str(entry["subgraphs"])),
            (
                "constants",
                ", ".join(f"{bytes_of(size)} {dtype}" for dtype, size in entry["weights"].items()),
            ),
            ("tensors that keep state", str(entry["variables"])),
        ]
    for text in left_in_float32(entry):
        facts.append(("left in float32", text))
    for layer, lowering in (entry.get("lowering") or {}).items():
        why = (entry.get("fallbacks") or {}).get(layer)
        facts.append((f"layer {layer}", f"as {lowering}" + (f", because {why}" if why else "")))
    if entry.get("folded"):
        facts.append(("embedding folded into", ", ".join(entry["folded"])))
    if entry.get("choice"):
        facts += _choice(entry["choice"])
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
        *(("int8 answers", text) for text in entry.get("notes", ())),
        (
            "limits",
            f"{_number(tolerance['average'])} of the spread on average, "
            f"{_number(tolerance['high'])} in 99 %; and {tolerance['times']:g} times what the "
            "mode's rounding does to the Keras model: "
            f"{tolerance['reason']}",
        ),
        ("between invokes", f"{_number(parity['max_abs_repeat'])} at most"),
    ]
    if entry.get("latency"):
        latency = entry["latency"]
        facts.append(
            (
                "latency",
                f"median {latency['median_ms']:.3g} ms, 90 % within {latency['p90_ms']:.3g} ms, "
                f"best {latency['min_ms']:.3g} ms of {latency['repeats']:,} calls",
            )
        )
    facts += [
        (f"SHA-256 of {name}", digest)
        for name, digest in digests.items()
        if name.split("/")[0] == entry["file"]
    ]
    return (
        f"<details><summary><code>{escape(entry['file'])}</code> "
        f"<span>{escape(entry['description'])}</span></summary>{facts_table(facts)}</details>"
    )


def _choice(choice: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was tried beside what was taken: bytes against milliseconds."""
    facts = [("measured on", choice["machine"])]
    for tried in choice["candidates"]:
        name = tried["lowering"] + (", folded" if tried["fold_embedding"] else "")
        parts = []
        if tried["median_ms"] is not None:
            parts.append(f"{tried['median_ms']:.3f} ms, {bytes_of(tried['bytes'])}")
        taken = all(tried[key] == choice[key] for key in ("lowering", "fold_embedding"))
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


def left_in_float32(entry: Mapping[str, Any], most: int = 8) -> list[str]:
    """Says which weights of a quantized file are not quantized: one line for each reason.

    Args:
        entry: An export of a report's `files`.
        most: How many weights a line names; the others are counted.
    """
    by_reason: dict[str, list[Mapping[str, Any]]] = {}
    for weight in entry.get("unquantized") or ():
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
            f"{bytes_of(sum(weight['bytes'] for weight in weights))}: {', '.join(named)}. "
            f"Reason: {reason}."
        )
    if lines and not any(dtype in entry["weights"] for dtype in ("INT8", "FLOAT16")):
        lines.insert(0, "all weights: nothing in this file is quantized.")
    return lines


def _model_facts(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    model = report["model"]
    facts = [("name", model["name"]), ("parameters", f"{model['parameters']:,}")]
    for kind in ("inputs", "outputs"):
        for spec in model[kind]:
            shape = " × ".join("any" if size is None else str(size) for size in spec["shape"])
            ends = f", {spec['activation']}" if spec["activation"] else ""
            facts.append((kind[:-1], f"{spec['name']}: {spec['dtype']}, {shape}{ends}"))
    facts += plain(model["config"] or {})
    source = report["source"]
    facts.append(("exported from", f"{source['kind']} {source['name']}"))
    return facts


def _preprocessing_facts(preprocessing: Mapping[str, Any]) -> list[tuple[str, str]]:
    sides = {"post": "on the right", "pre": "on the left"}
    cut = {"pre": "the end is kept", "post": "the beginning is kept"}
    facts = []
    for name, value in preprocessing.items():
        if value is None:
            continue
        if name == "padding":
            value = sides.get(value, value)
        elif name == "truncating":
            value = f"{cut.get(value, value)} of longer inputs"
        elif name == "labels":
            value = ", ".join(value)
        facts.append((name.replace("_", " "), text_of(value)))
    return facts


def _training_facts(training: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = []
    for name in ("hyperparameters", "data", "metrics"):
        facts += plain(training.get(name) or {})
    command = (training.get("provenance") or {}).get("command")
    if command:
        facts.append(("command", text_of(command)))
    return facts


def _capital(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _number(value: float) -> str:
    return "0" if value == 0 else f"{value:.2g}"


def _shares(parity: Mapping[str, Any]) -> str:
    """The output that comes nearest to its limit."""
    output = max(parity["each"], key=lambda each: each["average"] / (each["allowed_average"] or 1))
    if output["compared"] == "decisions":
        return f"{output['changed']} of {output['decisions']} others"
    return (
        f"{_number(output['average'])}<small>allowed {_number(output['allowed_average'])}</small>"
        f"<small>99 %: {_number(output['high'])}, allowed {_number(output['allowed_high'])}</small>"
    )


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


def _latency(latency: Mapping[str, Any]) -> str:
    text = f"{latency['median_ms']:.3g} ms<small>90 %: {latency['p90_ms']:.3g} ms</small>"
    if latency["batch_size"] > 1:
        each = latency["median_ms"] / latency["batch_size"]
        text += f"<small>a sequence: {each:.3g} ms</small>"
    return text


def _score(value: float, percent: bool) -> str:
    return f"{100 * value:.2f} %" if percent else f"{value:.4g}"
