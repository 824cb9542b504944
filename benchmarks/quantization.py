"""What quantization costs in answers, beside onnxruntime's quantization of the same weights.

    pip install onnx onnxruntime
    python benchmarks/quantization.py --data imdb_train.csv.gz --test-data imdb_test.csv.gz \\
        --cache trained -o quantization.json

The five reference models learn reviews (without --data, made texts), the sensor models motions with
raw columns of different sizes, digits, and a temperature in kelvin; the published ones what their
made inputs hold. Each is trained briefly (or taken from --cache), quantized, and compared with its
Keras model on rows that neither training nor calibration saw (--test-seed takes others, on which
no rule was chosen either): the average and the 99 % quantile of the differences as shares of the
answers' standard deviation, of logits and of outputs, and the
accuracy, or the mean absolute error of a regression. Writes JSON and, beside it, a Markdown table.

onnxruntime quantizes no GRU node, and statically no LSTM node either. So it gets each model twice:
with nodes, and with the steps of its recurrences spelled out in MatMul, which it quantizes; the
table says which share of the weights it stored in 8 bits. Of its settings (signed and unsigned
weights, per channel and not; all ops, and those with weights only) the best is shown for each.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "export"))

import numpy as np
from contenders import architecture
from latency import MODELS, SENSOR, TEXT
from onnx_models import onnx_of
from published import PUBLISHED

from keras_rnn_zoo import files
from keras_rnn_zoo.export import TFLiteModel, export_tflite
from keras_rnn_zoo.export.tflite.contents import inspect
from keras_rnn_zoo.export.verify.scores import score
from keras_rnn_zoo.provenance import provenance

CALIBRATION = 100
LABELS = 6
# A made temperature of a room.
KELVIN = 293.0


@dataclass
class Case:
    """A model and what it learns.

    Attributes:
        build: Returns the model, which answers logits or values.
        rows: Takes a number of rows and a seed, returns inputs and labels or targets.
        task: `"binary"`, `"multiclass"` or `"regression"`.
        epochs: Of training.
        rate: Learning rate.
        train: Rows of training.
        timesteps: Where the model leaves it open.
        raw: Has the model, which learned standardized columns, take and answer raw ones.
    """

    build: Callable[[], Any]
    rows: Callable[[int, int], tuple[np.ndarray, np.ndarray]]
    task: str
    epochs: int
    rate: float = 3e-3
    train: int = 3000
    timesteps: int | None = None
    raw: bool = False


# ------------------------------------------------------------------------------------------- data


class Texts:
    """Reviews as token ids, or, without, made texts: which words are good decides, if not negated.

    Args:
        data: CSV of training reviews; None makes texts.
        test_data: CSV of test reviews.
    """

    def __init__(self, data: str | None, test_data: str | None):
        self.data, self.test_data = data, test_data
        self._read: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __call__(self, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        if self.data is None or self.test_data is None:
            return self._made(count, seed)
        if not self._read:
            from keras_rnn_zoo.data import Dataset, load_data
            from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor

            train, test = load_data(self.data).train, load_data(self.test_data).train
            rows = np.random.default_rng(0).permutation(len(train))[:6000]
            train, test = train.take(rows), test.take(np.arange(min(len(test), 4000)))
            settings = {"timesteps": TEXT["timesteps"], "vocabulary_size": TEXT["vocabulary"]}
            fitted = Preprocessor.fit(Dataset("reviews", "text", train), padding="pre", **settings)
            for number, split in enumerate((train, test)):
                x = fitted.encode_inputs(split.x).astype(np.int32)
                self._read[number] = x, fitted.encode_labels(split.y)
        x, y = self._read[1 if seed else 0]
        start = APART * max(0, seed - 1)
        return x[start : start + count], y[start : start + count]

    def _made(self, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        goodness = np.random.default_rng(9).normal(size=TEXT["vocabulary"])
        goodness[:50] = 0
        generator = np.random.default_rng(seed)
        ids = generator.zipf(1.2, (count, TEXT["timesteps"])).clip(max=TEXT["vocabulary"] - 1)
        negated = np.roll(ids == 3, 1, axis=1)
        sums = (goodness[ids] * np.where(negated, -1, 1)).sum(axis=1)
        return ids.astype(np.int32), (sums > 0).astype(np.int64)


def motions(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Acceleration (m/s2, with gravity), rotation (rad/s), and a magnetic field (nT)."""
    generator = np.random.default_rng(seed)
    y = generator.integers(0, LABELS, count)
    times = np.arange(SENSOR["timesteps"])
    speed = np.array([0.0, 0.1, 0.13, 0.25, 0.3, 0.4])[y] * generator.uniform(0.9, 1.1, count)
    phase = generator.uniform(0, 2 * np.pi, (count, SENSOR["features"], 1))
    wave = np.sin(phase + speed[:, None, None] * times)
    strength = generator.lognormal(0, 0.4, (count, SENSOR["features"], 1))
    x = wave * strength + generator.normal(0, 0.4, wave.shape)
    spread = np.array([3, 3, 2, 0.4, 0.4, 0.2, 900, 700, 300])
    middle = np.array([0.2, 0.1, 9.81, 0, 0, 0, 21_000, 3_000, -42_000])
    return (x.swapaxes(1, 2) * spread + middle).astype(np.float32), y


def temperatures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Nine raw readings of a room (pressure in Pa, ...); its temperature in an hour."""
    generator = np.random.default_rng(seed)
    steps = generator.normal(size=(count, SENSOR["timesteps"], SENSOR["features"]))
    x = steps.cumsum(axis=1) * 0.12 + generator.normal(size=(count, 1, SENSOR["features"]))
    y = 1.5 * x[:, -1, 0] + x[:, -32:, 1].mean(axis=1) * np.tanh(x[:, -16:, 2].mean(axis=1))
    y = KELVIN + 2 * y + generator.normal(0, 0.1, count)
    spread = np.array([2, 800, 0.1, 5, 300, 12, 0.02, 1, 40])
    middle = np.array([KELVIN, 101_325, 0.5, 40, 900, 0, 1, 0, 400])
    return (x * spread + middle).astype(np.float32), y[:, None].astype(np.float32)


def digits(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's, as one step of 64 features."""
    from keras_rnn_zoo.data import load_data

    dataset = load_data("digits")
    split = dataset.test if seed else dataset.train
    assert split is not None
    rows = np.arange(len(split))  # too few for more than two seeds
    rows = np.roll(rows, -count * max(0, seed - 1))[:count]
    return split.x.reshape(-1, 1, 64)[rows] / 16, np.asarray(split.y)[rows]


def glyphs(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Lines of text, and how many of the squares of the glyph at each step are dark."""
    x = _published("captcha_ocr", count, seed)
    # Of every glyph's 20 squares, as they were before line and noise: close enough by threshold.
    squares = x[:, 20:170].reshape(count, 5, 30, 50)[:, :, :20]
    dark = (squares < 0.5).sum(axis=(2, 3)) / 30
    labels = np.zeros((count, 200), np.int64)
    for number in range(5):
        left = 20 + 30 * number
        labels[:, left : left + 20] = np.rint(dark[:, number]).clip(1, 20)[:, None]
    return x, labels[:, 2::4]


def keywords(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """When a word was loudest, and which way two of its coefficients went there: 12 labels."""
    x = _published("keyword_crnn", count, seed)
    loudest = x[..., 0].argmax(axis=1)
    third = np.digitize(loudest, (21, 28))
    signs = (x[:, :, 1].sum(axis=1) > 0) + 2 * (x[:, :, 2].sum(axis=1) > 0)
    return x, third * 4 + signs


def next_month(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sunspots, and those of the month behind each."""
    x = _published("sunspots", count, seed)
    return x[:, :-1], x[:, 1:]


def _published(name: str, count: int, seed: int) -> np.ndarray:
    """Made inputs: training has the first ones, the test others."""
    most = TEST_FROM if not seed else TEST_FROM + APART * (seed - 1) + count
    return PUBLISHED[name].inputs(most)[-count:] if seed else PUBLISHED[name].inputs(most)[:count]


TEST_FROM = 4000
# Rows between the first ones of two seeds of the test.
APART = 1000

# ------------------------------------------------------------------------------------------ models


def published(name: str) -> Any:
    """A published model that answers logits."""
    import keras

    model = PUBLISHED[name].build()
    last = model.layers[-1]
    if getattr(last, "activation", None) is keras.activations.softmax:
        last.activation = keras.activations.linear
    return model


def cases(texts: Texts) -> dict[str, Case]:
    found = {}
    for name, (kind, count, both, shape) in MODELS.items():
        build = partial(architecture, kind, count, both, shape)
        if "vocabulary" in shape:
            found[name] = Case(build, texts, "binary", epochs=4)
        elif shape["timesteps"] > 1:
            found[name] = Case(partial(build, LABELS), motions, "multiclass", epochs=5, raw=True)
        else:
            found[name] = Case(partial(build, 10), digits, "multiclass", epochs=15)
    kelvin = partial(architecture, "LSTM", 1, False, SENSOR)
    found["LSTM, kelvin"] = Case(kelvin, temperatures, "regression", epochs=8, raw=True)
    for name in PUBLISHED:
        found[name] = Case(partial(published, name), keywords, "multiclass", epochs=6)
    found["captcha_ocr"].rows, found["captcha_ocr"].epochs = glyphs, 2
    found["captcha_ocr"].train = 1000
    found["sunspots"].rows, found["sunspots"].task = next_month, "regression"
    found["sunspots"].timesteps = (PUBLISHED["sunspots"].timesteps or 0) - 1
    found["sunspots"].rate, found["sunspots"].epochs = 1e-3, 10
    return found


def trained(name: str, case: Case, cache: Path | None, seed: int) -> Any:
    """Returns the trained model, from the cache where it is there."""
    import keras

    keras.utils.set_random_seed(seed)
    model = case.build()
    path = cache / (name.replace(" ", "_").replace(",", "") + ".npz") if cache else None
    if path is not None and path.exists():
        with np.load(path) as stored:
            model.set_weights([stored[f"weight{i}"] for i in range(len(stored.files))])
        return model
    x, y = case.rows(case.train, 0)
    middle, spread = np.zeros(x.shape[-1]), np.ones(x.shape[-1])
    target, unit = 0.0, 1.0
    if case.raw:
        middle, spread = x.mean(axis=(0, 1)), x.std(axis=(0, 1))
        x = ((x - middle) / spread).astype(np.float32)
        if case.task == "regression":
            target, unit = float(y.mean()), float(y.std())
            y = (y - target) / unit
    losses = {
        "binary": keras.losses.BinaryCrossentropy(from_logits=True),
        "multiclass": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "regression": keras.losses.Huber(),
    }
    if case.task == "binary":
        y = y.reshape(-1, 1)
    model.compile(keras.optimizers.Adam(case.rate, clipnorm=1.0), losses[case.task])
    model.fit(x, y, batch_size=64, epochs=case.epochs, verbose=0)
    if case.raw:
        take_raw(model, middle, spread, target, unit)
    if path is not None:
        weights = {f"weight{i}": value for i, value in enumerate(model.get_weights())}
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **weights)
    return model


def take_raw(
    model: Any, middle: np.ndarray, spread: np.ndarray, target: float, unit: float
) -> None:
    """Moves the standardization of columns and target into the first and the last layer."""
    first, last = model.layers[1], model.layers[-1]
    kernel, recurrent, bias = first.get_weights()
    kernel = kernel / spread[:, None]
    shift = -middle @ kernel
    bias = bias + (shift if bias.ndim == 1 else np.stack([shift, np.zeros_like(shift)]))
    first.set_weights([kernel, recurrent, bias])
    kernel, bias = last.get_weights()
    last.set_weights([kernel * unit, bias * unit + target])


# --------------------------------------------------------------------------------------- measuring


def activated(logits: np.ndarray, task: str) -> np.ndarray:
    logits = logits.astype(np.float64)
    if task == "binary":
        return np.asarray(1 / (1 + np.exp(-logits)))
    if task == "multiclass":
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
    return logits


def differences(found: np.ndarray, expected: np.ndarray, shift_free: bool) -> dict[str, float]:
    """Average and 99 % quantile of the differences, in standard deviations of the expected."""
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    if shift_free:  # a softmax answers the same to logits that are all larger
        found = found - found.mean(axis=-1, keepdims=True)
        expected = expected - expected.mean(axis=-1, keepdims=True)
    spread = np.sqrt(np.mean(expected.std(axis=tuple(range(expected.ndim - 1))) ** 2))
    shares = np.abs(found - expected) / spread
    return {"average": float(shares.mean()), "high": float(np.quantile(shares, 0.99))}


def compared(
    found: np.ndarray, expected: np.ndarray, x: np.ndarray, y: np.ndarray, task: str
) -> dict[str, Any]:
    outputs, wanted = activated(found, task), activated(expected, task)
    return {
        "logits": differences(found, expected, task == "multiclass"),
        "outputs": differences(outputs, wanted, False),
        "score": score(outputs, x, y, task),
    }


def onnx_answers(content: bytes, x: np.ndarray) -> np.ndarray:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"x": row[None]})[0] for row in x])


def share_quantized(content: bytes) -> float:
    """Which share of the weights of an ONNX file has 8 bits."""
    import onnx

    sizes = {True: 0, False: 0}
    for constant in onnx.load_from_string(content).graph.initializer:
        count = int(np.prod(constant.dims))
        if len(constant.dims) > 1 and count >= 64:
            eight = constant.data_type in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
            sizes[eight] += count
    return sizes[True] / max(1, sum(sizes.values()))


class Reader:
    """Hands the calibration rows to onnxruntime."""

    def __init__(self, x: np.ndarray):
        self._rows = iter(x)

    def get_next(self) -> dict[str, np.ndarray] | None:
        row = next(self._rows, None)
        return None if row is None else {"x": row[None]}


def quantized_by_onnxruntime(
    content: bytes, mode: str, spelled_out: bool, calibration: np.ndarray
) -> Iterator[tuple[str, bytes]]:
    """Yields what onnxruntime makes of a model with each of its settings, and their names."""
    from onnxruntime import quantization as theirs

    with tempfile.TemporaryDirectory() as scratch:
        before, after = Path(scratch) / "model.onnx", Path(scratch) / "quantized.onnx"
        before.write_bytes(content)
        for per_channel in (False, True):
            scales = "per channel" if per_channel else "per tensor"
            if mode == "dynamic":
                for kind in (theirs.QuantType.QInt8, theirs.QuantType.QUInt8):
                    theirs.quantize_dynamic(
                        before, after, weight_type=kind, per_channel=per_channel
                    )
                    yield f"{kind}, {scales}", after.read_bytes()
                continue
            weighty = ["MatMul", "Gemm", "Conv", "Gather"]
            for ops in (None, weighty) if not spelled_out else (weighty,):
                theirs.quantize_static(
                    before,
                    after,
                    Reader(calibration),
                    per_channel=per_channel,
                    op_types_to_quantize=ops,
                )
                what = "all ops" if ops is None else "ops with weights"
                yield f"{what}, {scales}", after.read_bytes()


def theirs_of(
    files_of: dict[bool, bytes],
    spelled_out: bool,
    mode: str,
    calibration: np.ndarray,
    answer: Callable[[np.ndarray], dict[str, Any]],
    x: np.ndarray,
) -> dict[str, Any]:
    """The best that onnxruntime makes of a model."""
    found: list[dict[str, Any]] = []
    content = files_of[spelled_out]
    for setting, quantized in quantized_by_onnxruntime(content, mode, spelled_out, calibration):
        row = {"setting": setting, "bytes": len(quantized), "share": share_quantized(quantized)}
        try:
            row |= answer(onnx_answers(quantized, x))
        except Exception as error:  # whatever it raises on its own file is its answer
            print(f"  onnxruntime, {setting}: {str(error).splitlines()[0][:90]}", file=sys.stderr)
            continue
        found.append(row)
    best = min(found, key=lambda row: float(row["logits"]["average"]))
    best["settings"] = {row["setting"]: row["logits"] for row in found}
    return best


WHO = {"ours": "ours", "nodes": "onnxruntime", "steps": "onnxruntime, steps spelled out"}


def measured(
    name: str, case: Case, modes: list[str], who: list[str], options: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Yields a row for each mode of one model."""
    model = trained(name, case, options.cache, options.seed)
    calibration, _ = case.rows(case.train, 0)
    calibration = calibration[:CALIBRATION]
    x, y = case.rows(options.rows, options.test_seed)
    expected = np.asarray(model.predict(x, verbose=0, batch_size=64))
    answer = partial(compared, expected=expected, x=x, y=y, task=case.task)
    kept = score(activated(expected, case.task), x, y, case.task)
    contents = {
        spelled: onnx_of(model, spelled, case.timesteps)
        for spelled, key in ((False, "nodes"), (True, "steps"))
        if key in who
    }
    for content in contents.values():
        given = onnx_answers(content, x[:4])
        largest = np.abs(expected).max()
        np.testing.assert_allclose(given, expected[:4], atol=1e-4 * largest, rtol=1e-4)
    for mode in modes:
        row: dict[str, Any] = {"model": name, "quantization": mode, "task": case.task}
        row["keras"] = kept
        with tempfile.TemporaryDirectory() as scratch:
            result = export_tflite(
                model,
                Path(scratch) / "model.tflite",
                quantization=mode,
                representative_data=None if options.no_data and mode == "dynamic" else calibration,
                timesteps=case.timesteps,
                verify=False,
            )
            sizes = inspect(result.path).weights
            eight = sizes.get("INT8", 0)
            row["ours"] = {
                "bytes": result.bytes,
                "share": eight / (eight + sizes.get("FLOAT32", 0) / 4),
                **answer(TFLiteModel(result.path).predict(x)),
            }
        for spelled in contents:
            key = "steps" if spelled else "nodes"
            row[key] = theirs_of(contents, spelled, mode, calibration, answer, x)
        yield row


def cells(row: dict[str, Any]) -> list[str]:
    """The cells of a row of the table."""

    def points(value: float) -> str:
        return f"{value:.4g}" if row["task"] == "regression" else f"{value:.2%}"

    made = [row["model"], row["quantization"], points(row["keras"])]
    for key in WHO:
        if key not in row:
            continue
        found = row[key]
        for what in ("logits", "outputs"):
            made.append(f"{found[what]['average']:.4f} / {found[what]['high']:.4f}")
        made += [points(found["score"]), f"{found['bytes'] / 1000:.0f}"]
        if key != "ours":
            made.append(f"{found['share']:.0%}")
    return made


def table(rows: list[dict[str, Any]]) -> str:
    head = ["model", "mode", "Keras"]
    for key, who in WHO.items():
        if key in rows[0]:
            head += [f"{who}: logits", "outputs", "score", "kB"] + ["8 bits"] * (key != "ours")
    lines = [head, ["---"] * len(head), *(cells(row) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--data", help="training reviews: CSV with text and label")
    parser.add_argument("--test-data", help="test reviews")
    parser.add_argument("--cache", type=Path, help="directory of trained weights")
    parser.add_argument("--rows", type=int, default=500, help="test rows")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test-seed", type=int, default=1, help="which test rows, from 1")
    parser.add_argument(
        "--no-data", action="store_true", help="give our dynamic mode no representative data"
    )
    parser.add_argument("--models", nargs="*")
    parser.add_argument("--modes", nargs="*", default=["dynamic", "int8"])
    parser.add_argument("--who", nargs="*", choices=list(WHO), default=list(WHO))
    options = parser.parse_args()
    if (options.data is None) != (options.test_data is None):
        parser.error("--data and --test-data go together")
    if options.test_seed < 1:
        parser.error(f"--test-seed must be at least 1. Received: {options.test_seed}")
    every = cases(Texts(options.data, options.test_data))
    rows = []
    for name in options.models or every:
        for row in measured(name, every[name], options.modes, options.who, options):
            rows.append(row)
            print(" | ".join(cells(row)), flush=True)
    result = {"rows": rows, "versions": {p: version(p) for p in ("onnx", "onnxruntime")}}
    command = shlex.join(["python", *sys.argv])
    result["provenance"] = provenance(seed=options.seed, command=command)
    files.write_json(options.output, result)
    files.write_text(options.output.with_suffix(".md"), table(rows))


if __name__ == "__main__":
    main()
