"""The bundle: everything that an app needs to run a trained model, with the proof that it works.

```
model.tflite, model_float16.tflite, ...   a file per quantization mode
saved_model/                              the same for TensorFlow
vocab.txt, labels.txt                     for the inputs and the answers
report.json, report.html                  what each file holds and how it compares with Keras
reference.npz                             samples with Keras' answers, to verify again anywhere
MODEL_CARD.md                             data, metrics beside baselines, limits, provenance
app/                                      code that runs them, in several languages
model.initial_state.bin, ...              the states that streaming files start with
golden.json                               a few raw inputs with each file's answers, for unit tests
```

A bundle predicts, verifies and benchmarks without TensorFlow (its SavedModel aside).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from keras_rnn_zoo import files
from keras_rnn_zoo.artifacts import BUNDLE_FILE
from keras_rnn_zoo.data import Dataset
from keras_rnn_zoo.errors import (
    ConversionError,
    ExportError,
    OpGateError,
    RunError,
    ZooError,
    listed,
)
from keras_rnn_zoo.export.app.golden import golden_vectors, write_golden, write_starts
from keras_rnn_zoo.export.app.write import write_app
from keras_rnn_zoo.export.bundle.app import app_of
from keras_rnn_zoo.export.bundle.bundle import Bundle
from keras_rnn_zoo.export.bundle.card import CARD_FILE, card
from keras_rnn_zoo.export.bundle.page import PAGE_FILE, page
from keras_rnn_zoo.export.bundle.records import REFERENCE_FILE, BundleReport, FileRecord
from keras_rnn_zoo.export.bundle.report import report_of
from keras_rnn_zoo.export.bundle.rows import (
    choose_rows,
    in_whole_calls,
    read_data,
    read_representative,
)
from keras_rnn_zoo.export.bundle.scoring import label_rows
from keras_rnn_zoo.export.bundle.source import Source, infer_task, open_source
from keras_rnn_zoo.export.bundle.two_labels import check_same, with_two_outputs
from keras_rnn_zoo.export.formats import FORMATS, BundleJob
from keras_rnn_zoo.export.formats.choose import candidates
from keras_rnn_zoo.export.formats.tflite import (
    check_inference_type,
    check_integer_inputs,
    plans,
    steps_made,
    steps_of_a_call,
)
from keras_rnn_zoo.export.keras_model.model import KerasModel
from keras_rnn_zoo.export.keras_model.prepare import prepare
from keras_rnn_zoo.export.keras_model.samples import Samples, as_samples, sizes_of
from keras_rnn_zoo.export.lowering import LOWERINGS
from keras_rnn_zoo.export.lowering.plan import Plan
from keras_rnn_zoo.export.options import BundleOptions
from keras_rnn_zoo.export.progress import Progress, teller
from keras_rnn_zoo.export.quantization import QUANTIZATIONS, Quantization, roundings
from keras_rnn_zoo.export.targets import TARGETS
from keras_rnn_zoo.export.verify.reference import Reference, reference_of, resized_references
from keras_rnn_zoo.options import takes
from keras_rnn_zoo.preprocessing.reading import ColumnOptions


@takes(BundleOptions)
def export_bundle(
    source: files.PathLike,
    output: files.PathLike,
    *,
    data: files.PathLike | None = None,
    test_data: files.PathLike | None = None,
    representative_data: Any = None,
    command: str | None = None,
    progress: bool | Progress = False,
    **options: Any,
) -> Bundle:
    """Writes a trained model for an app: files in every form asked for, verified and measured.

    Args:
        source: A run directory, a search directory (its `best` run), or a `.keras` file.
        output: A new directory.
        data: Data set to calibrate, verify and score on, as `load_data` takes it; the samples that
            the run keeps where there is none.
        test_data: The same for the rows to verify and score on.
        representative_data: Encoded inputs to calibrate int8 and dynamic on, in any form that
            `export_tflite` takes, or a file of them: `.npy`, or `.npz` with an array for each
            input; or data as `load_data` takes it. Instead of those of the run or the data.
        command: The command line, for the report.
        progress: Print a line a step to stderr, or call this with it.

    Returns:
        The bundle.

    Raises:
        ConfigError: An option is out of range, or the target does not take a quantization or
            lowering.
        RunError: The source is missing or damaged.
        ExportError: A mode failed, or int8 has nothing to calibrate on; nothing was written, but
            where a model does not convert, what a bug report needs: `<output>.failure`.
        DataError: The data cannot be read, or do not fit the model.
        OutputError: `output` holds something, or cannot be written.
    """
    chosen = BundleOptions.of(options)
    modes = _modes(chosen)
    files.check_new_directory(output)
    client = TARGETS.get(chosen.target)
    opened = open_source(Path(source), chosen.trial).for_client(client)
    given = _Given.read(opened, chosen, modes, data, test_data, representative_data)
    say = teller(progress)
    say(f"Loading the model of {source}")
    keras_model = opened.load_model()
    answering = with_two_outputs(keras_model) if opened.both else keras_model
    timesteps = chosen.timesteps
    if timesteps is None and opened.preprocessor is not None:
        timesteps = opened.preprocessor.timesteps
    model = prepare(answering, given.encoded, timesteps)
    with files.new_directory(output) as directory:
        if chosen.inference_type != "float32":
            check_integer_inputs(model)
        steps = steps_of_a_call(model, chosen, client)
        calibration, check = choose_rows(
            opened,
            model,
            given.dataset,
            given.test,
            given.representative_data,
            timesteps,
            steps_made(steps) if steps is not None and not model.has_fixed_sizes else None,
        )
        if steps is not None:
            model, opened, timesteps = model.open_in_time, opened.in_whole_calls(steps), None
            calibration, check = in_whole_calls(calibration, check, steps, say)
        samples = as_samples(model, check.x, limit=chosen.samples_count, timesteps=timesteps)
        timesteps = sizes_of(model, samples, timesteps)
        if opened.both:
            check_same(KerasModel.of(keras_model), model, samples)
        if "tflite" in chosen.format:
            model.fixed(chosen.batch_size, timesteps)
        say(f"Answering {chosen.samples_count} samples with Keras")
        references = _references(model, samples, modes, chosen)
        names = [REFERENCE_FILE, *(f"reference_{n}.npz" for n in range(2, len(references) + 1))]
        for name, reference in zip(names, references, strict=True):
            reference.save(directory / name)
        if check.y is not None:
            say(f"Answering {len(check.y):,} rows with labels; each file will answer them too")
        labelled = label_rows(model, check, infer_task(opened, model))
        if opened.preprocessor is not None:
            opened.preprocessor.save(directory)
        job = BundleJob(
            model=model,
            options=chosen.replace(timesteps=timesteps),
            references=references,
            calibration=calibration,
            score=None if labelled is None else labelled.compare,
            labelled_inputs=None if labelled is None else labelled.x,
            diagnose=Path(f"{Path(output)}.failure"),
            say=say,
            preprocessor=opened.preprocessor,
            about=opened.about(chosen.license, command),
        )
        entries = _write_parts(directory, job)
        report = report_of(opened, check, labelled, entries, job, command)
        report = _write_documents(directory, replace(report, references=names), job, entries)
    # Of the files, that is; what the model is worth comes first in what is kept and shown.
    say(report.verdict["text"].removeprefix(report.verdict["baseline"] or "").strip())
    return Bundle.load(output)


@takes(BundleOptions)
def plan_bundle(
    source: files.PathLike, *, representative_data: Any = None, **options: Any
) -> dict[str, Plan]:
    """Says what `export_bundle` does with each recurrent layer, without converting anything.

    Args:
        source: See `export_bundle`.
        representative_data: See `export_bundle`; a `.keras` file may need it to know its inputs.

    Returns:
        Name of each quantization mode -> its plan.

    Raises:
        ConfigError, RunError, ExportError, DataError: See `export_bundle`.
        ConversionError: The model cannot be traced.
    """
    chosen = BundleOptions.of(options)
    modes = _modes(chosen)
    opened = open_source(Path(source), chosen.trial).for_client(TARGETS.get(chosen.target))
    given = _Given.read(opened, chosen, (), None, None, representative_data)
    timesteps = chosen.timesteps
    if timesteps is None and opened.preprocessor is not None:
        timesteps = opened.preprocessor.timesteps
    keras_model = opened.load_model()
    answering = with_two_outputs(keras_model) if opened.both else keras_model
    model = prepare(answering, given.encoded, timesteps, compare=False)
    return plans(model, chosen.replace(timesteps=timesteps), modes, given.encoded)


def _modes(options: BundleOptions) -> list[Quantization]:
    """Returns the quantization modes of the .tflite files; refuses what does not go together."""
    client = TARGETS.get(options.target)
    names = FORMATS.get("tflite").parts(options) if "tflite" in options.format else []
    for name in names:
        client.check_quantization(name)
    client.check_options(inference_type=options.inference_type, batch_size=options.batch_size)
    client.check_arena(options.max_arena)
    candidates(options, 1)
    modes = [QUANTIZATIONS.get(name) for name in names]
    check_inference_type(options.inference_type, modes)
    return modes


@dataclass(frozen=True)
class _Given:
    """The data that the user gave.

    Attributes:
        dataset: To calibrate, verify and score on.
        test: To verify and score on.
        representative_data: To calibrate on: encoded inputs, or a `Dataset`.
    """

    dataset: Dataset | None
    test: Dataset | None
    representative_data: Any

    @classmethod
    def read(
        cls,
        source: Source,
        options: BundleOptions,
        modes: Sequence[Quantization],
        data: Any,
        test_data: Any,
        representative_data: Any,
    ) -> _Given:
        """Reads files, and refuses what is missing, before the model is loaded."""
        calibrated = [mode.name for mode in modes if mode.needs_representative_data]
        if calibrated and source.run is None and representative_data is None and data is None:
            raise ExportError(
                f"Quantization {listed(calibrated)} calibrates on real inputs, and {source.path} "
                "brings none. Give --representative-data or --data, export the run that 'train' "
                "wrote, or leave it out with --quantization none,float16,dynamic."
            )
        columns = ColumnOptions.part_of(options)
        if isinstance(representative_data, (str, os.PathLike)):
            representative_data = read_representative(source, representative_data, columns)
        dataset, test = read_data(source, data, test_data, columns)
        return cls(dataset, test, representative_data)

    @property
    def encoded(self) -> Any:
        """Encoded inputs, which say what a subclassed model takes; None where there are none."""
        return None if isinstance(self.representative_data, Dataset) else self.representative_data


def _references(
    model: KerasModel, samples: Samples, modes: Sequence[Quantization], options: BundleOptions
) -> list[Reference]:
    """Returns what the model answers, at other sizes too where files can be resized."""
    known = roundings(modes)
    found = [reference_of(model, samples, roundings=known)]
    if any(c.wanted and LOWERINGS.get(c.lowering).open_sizes for c in candidates(options, 1)):
        found += resized_references(model, samples, known)
    return found


def _write_parts(directory: Path, job: BundleJob) -> list[FileRecord]:
    """Writes all files; returns what the report says of them.

    Raises:
        ExportError, RunError: One could not be written, or answers something else.
    """
    entries: list[FileRecord] = []
    failures: dict[str, ZooError] = {}
    for name in job.options.format:
        written = FORMATS.get(name)
        for part in written.parts(job.options):
            job.say(f"Writing {written.described(part)}")
            # What keeps one mode from converting keeps the others from it, mostly.
            told = any(isinstance(e, (ConversionError, OpGateError)) for e in failures.values())
            try:
                one = replace(job, diagnose=False) if told else job
                entries.append(written.write_part(part, directory, one))
            except (ExportError, RunError) as error:
                failures[part] = error
    if len(failures) == len(entries) + len(failures) == 1:
        raise next(iter(failures.values()))
    if failures:
        reasons = " ".join(
            f"{', '.join(names)}: {reason}" for reason, names in _reasons(failures).items()
        )
        raise ExportError(
            f"{len(failures)} of {len(entries) + len(failures)} exports failed, so no bundle "
            f"was written. {reasons}"
        )
    return entries


def _write_documents(
    directory: Path, report: BundleReport, job: BundleJob, entries: list[FileRecord]
) -> BundleReport:
    """Writes what tells of the files, and the code that runs them; returns the whole report."""
    reference = job.reference
    golden = golden_vectors(
        report.model["name"],
        job.preprocessor,
        entries,
        {name: values[: reference.given] for name, values in reference.x.items()},
        directory,
    )
    write_golden(directory, golden)
    write_starts(directory, entries)
    digests = {str(file.relative_to(directory)): files.sha256(file) for file in _files(directory)}
    report = replace(report, sha256=digests)
    files.write_json(directory / BUNDLE_FILE, report.to_dict())
    files.write_text(directory / PAGE_FILE, page(report))
    files.write_text(directory / CARD_FILE, card(report))
    write_app(directory, app_of(report, job.preprocessor, golden, directory))
    return report


def _reasons(failures: dict[str, ZooError]) -> dict[str, list[str]]:
    """Returns each reason once, with what failed for it; the one that names the layer, if any."""
    reasons: dict[str, list[str]] = {}
    told: dict[str, str] = {}
    for name, error in failures.items():
        reason = str(error.__cause__ if isinstance(error.__cause__, ZooError) else error)
        reasons.setdefault(told.setdefault(reason, str(error)), []).append(name)
    return reasons


def _files(directory: Path) -> Iterator[Path]:
    return (file for file in sorted(directory.rglob("*")) if file.is_file())
