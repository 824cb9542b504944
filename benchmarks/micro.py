"""Size, RAM and error of files for microcontrollers, beside what TensorFlow's converter makes.

    python benchmarks/micro.py -o micro.json

Two layers of 32 units over 40 steps of 4 sensors, trained for a few epochs on waves of three kinds.
Each file runs in tflite-micro, reset before each sequence: the least arena (on a 64-bit machine),
and the largest and the average difference from Keras over 200 rows that training did not see. Where
ethos-u-vela is installed beside tflite-micro, how many ops it leaves to the CPU (ethos-u55-128).
The int8 file that the converter makes of the LSTM by itself is calibrated on the same rows.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.export import export_tflite
from keras_rnn_zoo.export.installations import clients_folder
from keras_rnn_zoo.export.tflite import micro
from keras_rnn_zoo.export.tflite.contents import inspect

TRAINED, STEPS = 700, 40
UNITS = 32
CASES = [
    ("LSTM", "none", "float32"),
    ("LSTM", "int8", "int8"),
    ("LSTM", "int8", "float32"),
    ("LSTM", "int16x8", "int16"),
    ("GRU", "none", "float32"),
    ("GRU", "int8", "int8"),
    ("GRU", "int8", "float32"),
    ("GRU", "int16x8", "int16"),
    ("SimpleRNN", "none", "float32"),
    ("SimpleRNN", "int8", "int8"),
    ("SimpleRNN", "int16x8", "int16"),
]


def waves(rows: int = 900) -> tuple[np.ndarray, np.ndarray]:
    """Noisy sines and squares of three frequencies: `[rows, steps, 4]` and the class of each."""
    generator = np.random.default_rng(0)
    kinds, time = generator.integers(0, 3, rows), np.arange(STEPS)
    x = np.empty((rows, STEPS, 4))
    for row, kind in enumerate(kinds):
        frequency = (0.15, 0.25, 0.4)[kind] * generator.uniform(0.8, 1.2)
        for sensor in range(4):
            wave = np.sin(np.pi * frequency * time + generator.uniform(0, 2 * np.pi))
            wave = wave if sensor < 2 else np.sign(wave)
            x[row, :, sensor] = generator.uniform(0.5, 1.5) * wave
    x += generator.normal(0, 0.6, x.shape)
    return (((x - x.mean((0, 1))) / x.std((0, 1))).astype("float32"), kinds)


def trained(kind: str, x: np.ndarray, y: np.ndarray) -> Any:
    """Returns a model of two layers."""
    import keras

    keras.utils.set_random_seed(0)
    layer = getattr(keras.layers, kind)
    inputs = keras.Input((STEPS, 4), name="sensors")
    h = layer(UNITS)(layer(UNITS, return_sequences=True)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="kind")(h))
    model.compile(keras.optimizers.Adam(5e-3), "sparse_categorical_crossentropy")
    model.fit(x[:TRAINED], y[:TRAINED], epochs=15, batch_size=64, verbose=0)
    return model


def stock(model: Any, x: np.ndarray, path: Path) -> None:
    """Writes what TensorFlow's converter makes of the LSTM op, calibrated by itself."""
    import tensorflow as tf

    from keras_rnn_zoo.export.convert.trace import trace
    from keras_rnn_zoo.export.convert.write import Form
    from keras_rnn_zoo.export.keras_model.prepare import prepare
    from keras_rnn_zoo.export.quantization import QUANTIZATIONS

    ready = prepare(model)
    mode = QUANTIZATIONS.get("int8")
    with tempfile.TemporaryDirectory() as directory:
        saved = Path(directory) / "saved"
        trace(ready, Form(mode, "lstm_op").plan(ready), mode.products, saved)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([row[np.newaxis]] for row in x[:256])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        path.write_bytes(converter.convert())


def is_float(path: Path) -> bool:
    """Whether a file computes in float32 alone, which no NPU of the kind does."""
    return not inspect(path).quantized_weight_bytes


def on_the_cpu(path: Path) -> str | None:
    """Returns how many ops Vela leaves to the CPU; None of float32, or where it is missing."""
    vela = clients_folder() / "vela" / "bin" / "vela"
    if not vela.is_file() or is_float(path):
        return None
    with tempfile.TemporaryDirectory() as directory:
        said = subprocess.run(
            [vela, path, "--accelerator-config", "ethos-u55-128", "--output-dir", directory],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    found = {key: re.search(rf"{key} operators = (\d+)", said) for key in ("CPU", "NPU")}
    return " of ".join(
        [
            str(int(found["CPU"][1]) if found["CPU"] else 0),
            str(sum(int(match[1]) for match in found.values() if match)),
        ]
    )


def row_of(name: str, path: Path, x: np.ndarray, expected: np.ndarray) -> dict[str, Any]:
    """Returns what there is to say of a file."""
    file = micro.MicroModel(path)
    answers = next(iter(file.answer({next(iter(file.inputs)): x})[0].values()))
    differences = np.abs(answers - expected)
    return {
        "file": name,
        "bytes": path.stat().st_size,
        "arena": micro.least_arena(path),
        "largest": float(differences.max()),
        "average": float(differences.mean()),
        "changed": int((answers.argmax(1) != expected.argmax(1)).sum()),
        "cpu_ops": on_the_cpu(path),
    }


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, help="JSON file to write")
    options = parser.parse_args()
    micro.needed("This benchmark")
    x, y = waves()
    unseen = x[TRAINED:]
    models = {kind: trained(kind, x, y) for kind in dict.fromkeys(kind for kind, _, _ in CASES)}
    answers = {kind: model.predict(unseen, verbose=0) for kind, model in models.items()}
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "model.tflite"
        for kind, mode, dtype in CASES:
            export_tflite(
                models[kind],
                path,
                target="micro",
                quantization=mode,
                inference_type=dtype,
                representative_data=x[:256],
                samples=x[256:384],
                progress=False,
            )
            rows.append(row_of(f"{kind} {mode}, {dtype} ends", path, unseen, answers[kind]))
        stock(models["LSTM"], x, path)
        rows.append(row_of("LSTM int8 of the converter", path, unseen, answers["LSTM"]))
    for row in rows:
        print(
            f"| {row['file']} | {row['bytes'] / 1000:.1f} | {row['arena'] / 1000:.1f} | "
            f"{row['largest']:.2g} | {row['average']:.2g} | {row['changed']} | {row['cpu_ops']} |"
        )
    if options.output:
        options.output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
