"""The page of a report says everything, to anyone, without network."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from keras_rnn_zoo.export.bundle.page import left_in_float32, page
from keras_rnn_zoo.export.bundle.records import BundleReport, FileRecord


def entry(name, kind="tflite", **more):
    tolerance = {"average": 0.1, "high": 0.5, "times": 12.0, "reason": "float32 & co"}
    output = {
        "name": "answer",
        "compared": "logits",
        "spread": 2.5,
        "average": 4.1e-7,
        "allowed_average": 1.2e-5,
        "high": 8.3e-7,
        "allowed_high": 6.4e-5,
        "made": 5.2e-7,
        "allowed_made": 2.3e-5,
        "rounding": 1.7e-7,
        "changed": 0,
        "decisions": 20,
        "allowed_changed": 1,
    }
    parity = {
        "inputs": ["tokens"],
        "outputs": ["answer"],
        "each": [output],
        "samples": 20,
        "invokes": 3,
        "lengths": [0, 8],
        "max_abs_output": 1.5e-7,
        "mean_abs_output": 2e-8,
        "max_abs_logit": 3e-6 if kind == "tflite" else None,
        "allowed_output": 1e-5,
        "max_abs_repeat": 0.0,
        "changed_answers": 0,
        "tolerance": tolerance,
        "passed": True,
    }
    scored = {
        "measure": "accuracy",
        "before": 0.8625,
        "after": 0.8611,
        "rows": 2000,
        "changed_answers": 17,
    }
    values = {
        "file": name,
        "format": kind,
        "quantization": "none" if kind == "tflite" else None,
        "description": "float32 weights",
        "bytes": 5_536_820,
        "signatures": {"serving_default": {"inputs": ["tokens"], "outputs": ["answer"]}},
        "parity": parity,
        "labelled": scored,
    }
    if kind == "tflite":
        values |= {
            "ops": {"FULLY_CONNECTED": 5, "WHILE": 1},
            "min_runtime": "2.9",
            "subgraphs": 3,
            "weights": {"FLOAT32": 5_520_000},
            "variables": 0,
            "lowering": {"lstm": "loop"},
            "fallbacks": {"lstm": "its activation is <relu>"},
            "latency": {
                "median_ms": 1.234,
                "p90_ms": 1.9,
                "min_ms": 0.9,
                "repeats": 400,
                "threads": 1,
                "batch_size": 1,
                "machine": "Some CPU",
            },
        }
    return FileRecord.from_dict({**values, **more})


def report(**more):
    spec = {"name": "tokens", "shape": [None, 8], "dtype": "int32", "activation": None}
    values = {
        "format": 1,
        "verdict": {"passed": True, "text": "All 2 exports answer."},
        "model": {
            "name": "bilstm",
            "config": {"units": 64},
            "parameters": 1_378_945,
            "inputs": [spec],
            "outputs": [{**spec, "name": "answer", "activation": "sigmoid"}],
        },
        "source": {"kind": "run", "name": "best"},
        "training": {
            "hyperparameters": {"epochs": 4},
            "metrics": {"test_accuracy": 0.86},
            "data": {"file": "reviews.csv"},
            "provenance": {"command": "train <bilstm>"},
        },
        "preprocessing": {
            "kind": "text",
            "padding": "post",
            "truncating": "pre",
            "labels": ["<neg>", "pos"],
            "scaling": None,
        },
        "files": [entry("model.tflite"), entry("saved_model", "saved_model")],
        "samples": {"origin": "held-out rows", "given": 13, "made": 7, "shortest": 0, "longest": 8},
        "labelled": {
            "origin": "held-out rows",
            "rows": 2000,
            "task": "binary",
            "measure": "accuracy",
            "keras": 0.8625,
        },
        "provenance": {"keras": "3", "command": None},
        "sha256": {"model.tflite": "ab12", "saved_model/saved_model.pb": "cd34"},
    }
    return BundleReport.from_dict({**values, **more})


class Reader(HTMLParser):
    """Collects the text and checks that what is opened is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.text = [], []

    def handle_starttag(self, tag, attributes):
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def text_of(html):
    reader = Reader()
    reader.feed(html)
    assert not reader.open
    return " ".join("".join(reader.text).split())


def test_first_line_of_the_body_is_the_verdict():
    body = page(report()).split("<body>", 1)[1].strip()
    assert re.match(r"<h1><span class=\"mark\">✓</span>All 2 exports answer\.</h1>", body)
    failed = page(report(verdict={"passed": False, "text": "No."}))
    assert '<h1 class="failed"><span class="mark">✗</span>No.</h1>' in failed


def test_a_loss_of_accuracy_is_marked_on_the_first_line():
    loss = "model_int8.tflite loses 1.50 points of accuracy"
    verdict = {"passed": True, "text": f"{loss}. All answer.", "losses": [loss]}
    body = page(report(verdict=verdict)).split("<body>", 1)[1].strip()
    mark = '<h1 class="failed"><span class="mark">!</span>'
    assert body.splitlines()[0] == f"{mark}{loss}. All answer.</h1>"


def weight(number, reason="too small"):
    return {"name": f"lstm/MatMul_{number}", "shape": [24, 8], "bytes": 768, "reason": reason}


def test_weights_left_in_float32_are_counted_named_and_explained():
    unquantized = [weight(number) for number in range(11)] + [weight(99, "unknown cell")]
    quantized = entry("m.tflite", unquantized=unquantized, weights={"FLOAT32": 9, "INT8": 9})
    small, unknown = left_in_float32(quantized)
    assert small.startswith("11 weights, 8.4 kB: lstm/MatMul_0 (24 × 8), ")
    assert small.endswith("lstm/MatMul_7 (24 × 8), 3 more. Reason: too small.")
    assert unknown == "1 weight, 768 B: lstm/MatMul_99 (24 × 8). Reason: unknown cell."
    text = text_of(page(report(files=[quantized])))
    assert f"left in float32{small}" in text and f"left in float32{unknown}" in text
    assert "left in float32" not in text_of(page(report()))
    nothing = left_in_float32(replace(quantized, weights={"FLOAT32": 9}))
    assert nothing[0] == "all weights: nothing in this file is quantized."


def test_what_a_client_needs_to_fill_integer_tensors_is_on_the_page():
    tensors = {
        "inputs": [{"name": "tokens", "shape": [1, 8], "dtype": "int32"}],
        "outputs": [
            {"name": "a", "shape": [1, 1], "dtype": "int8", "scale": 1 / 256, "zero_point": -128}
        ],
    }
    text = text_of(page(report(files=[entry("model.tflite", tensors=tensors)])))
    assert "inputtokens: int32, 1 × 8" in text
    assert "outputa: int8, 1 × 1, real value = 0.00390625 × (stored + 128)" in text


def test_everything_that_was_measured_is_on_the_page():
    text = text_of(page(report()))
    for expected in (
        "1,378,945 parameters",
        "13 samples (held-out rows) and 7 made of them, 0 to 8 time steps long",
        "5,537 kB",
        "float32 weights; from TFLite 2.9",
        "4.1e-07allowed 1.2e-05",
        "99 %: 8.3e-07, allowed 6.4e-05",
        "on made samples by 5.2e-07 (allowed 2.3e-05)",
        "rounding the weights alone does 1.7e-07 to the Keras model",
        "0 of 20 decisions are others (allowed 1)",
        "1.23 ms90 %: 1.9 ms",
        "86.11 %Keras: 86.25 %",
        "17of 2,000",
        "Some CPU",
        "FULLY_CONNECTED × 5, WHILE",
        "layer lstmas loop, because its activation is <relu>",
        "5,520 kB FLOAT32",
        "float32 & co",
        "ab12",
        "cd34",
        "on the right",
        "<neg>, pos",
        "train <bilstm>",
        "tokens: int32, any × 8",
    ):
        assert expected in text


def learnt():
    """What a run knows, as a report has it."""
    majority = {"name": "majority", "text": "always '<neg>'", "test": {"accuracy": 0.6}}
    return {
        "hyperparameters": {"epochs": 4, "patience": None},
        "metrics": {"test_accuracy": 0.86, "test_loss": 0.4, "epochs": 4, "best_epoch": 3},
        "data": {
            "name": "reviews.csv",
            "rows": {"train": 80, "validation": 0, "test": 50},
            "columns": ["text", "label"],
            "baseline": {"label": "<neg>", "test_accuracy": 0.6},
            "baselines": [majority],
            "understood": {
                "kind": "text",
                "task": "binary",
                "labels": {"<neg>": 48, "pos": 32},
                "timesteps": 8,
                "cut": 0.25,
                "vocabulary_size": 100,
                "unknown": 0.1,
                "tokenizer": "words",
                "split": "random",
                "notes": ["Something was seen."],
            },
        },
        "provenance": {"command": "train <bilstm>"},
        "evaluation": {
            "test": {
                "labels": {
                    name: {"rows": rows, "precision": 0.9, "recall": 0.9, "f1": 0.9}
                    for name, rows in (("<neg>", 30), ("pos", 20))
                },
                "confusion": [[27, 3], [4, 16]],
                "always": None,
            }
        },
        "verdict": {
            "beats_baseline": True,
            "part": "test",
            "measure": "accuracy",
            "model": 0.86,
            "baseline": 0.6,
            "name": "majority",
            "text": "always '<neg>'",
            "always": None,
        },
    }


def test_the_page_shows_whether_the_model_is_good_and_where_it_fails_and_says_it_in_words():
    known = {
        **report().preprocessing,
        "scaling": {"mean": [1.0, 20.0], "scale": [0.5, 4.0]},
        "tokenizer": {"name": "words", "lower_case": True},
        "reading": {},
    }
    made = {"versions": {"keras": "3.12", "numpy": "2.0"}, "command": None}
    html = page(report(training=learnt(), preprocessing=known, provenance=made))
    text = text_of(html)
    for expected in (
        "Accuracy on 50 test rows; more is better.",
        "86.00 %",
        "7 of 50 test rows are answered wrongly.",
        "pos for <neg> (4 times, 20 %); <neg> for pos (3 times, 10 %)",
        "25 % of the rows are longer and lose their beginning",
        "feature 1: (value − 1) / 0.5; feature 2: (value − 20) / 4",
        "words; lower case yes",
        "keras 3.12, numpy 2.0",
        "Something was seen.",
    ):
        assert expected in text
    assert html.count('class="heat') == 1
    assert not re.search(r"[{}\[\]]|None|understood|\b0\.86\b", text.split("}")[-1])


def test_nothing_is_loaded_and_nothing_runs():
    html = page(report())
    assert not re.search(r"<script|<link|<img|src=|href=|url\(|https?:", html)
    assert "prefers-color-scheme: dark" in html


def test_values_are_escaped():
    html = page(report(verdict={"passed": True, "text": "<b>&"}))
    assert "<b>" not in html and "&lt;b&gt;&amp;" in html


@pytest.mark.parametrize("missing", ["labelled", "preprocessing", "training"])
def test_parts_that_are_not_known_are_left_out(missing):
    values = {missing: None}
    if missing == "training":
        values["training"] = dict.fromkeys(report().training)
    if missing == "labelled":
        values["files"] = [entry("model.tflite", labelled=None)]
    text = text_of(page(report(**values)))
    absent = {"labelled": "Changed answers", "preprocessing": "From raw", "training": "Training"}
    assert absent[missing] not in text and "None" not in text


def test_errors_of_regression_are_no_percentages():
    scored = {
        "measure": "mean_absolute_error",
        "before": 1.25,
        "after": 1.5,
        "rows": 10,
        "changed_answers": None,
    }
    labelled = {
        "origin": "rows",
        "rows": 10,
        "task": "regression",
        "measure": "mean_absolute_error",
        "keras": 1.25,
    }
    files = [entry("model.tflite", labelled=scored)]
    text = text_of(page(report(files=files, labelled=labelled)))
    assert "Mean absolute error" in text and "1.5Keras: 1.25" in text
    assert "Changed answers" not in text
