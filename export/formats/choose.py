"""`lowering="auto"`: the candidates, their race, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import ConfigError, listed
from keras_rnn_zoo.export.cores import installation
from keras_rnn_zoo.export.cores.cores import CORES, Core
from keras_rnn_zoo.export.cores.measure import benchmark_core
from keras_rnn_zoo.export.keras_model.model import KerasModel
from keras_rnn_zoo.export.lowering import LOWERINGS
from keras_rnn_zoo.export.lowering.products import LATENCY
from keras_rnn_zoo.export.options import AUTO, FileOptions
from keras_rnn_zoo.export.targets import TARGETS
from keras_rnn_zoo.export.tflite.file import STEP
from keras_rnn_zoo.export.tflite.interpreter import Arrays
from keras_rnn_zoo.export.tflite.latency import machine, time_calls
from keras_rnn_zoo.export.tflite.opened import open_model

# Times that differ by less say nothing: the smaller file is better.
NOISE = 1.05
# Rounds in which each candidate answers once; what slows the machine for a while slows them all.
ROUNDS, SECONDS = 300, 1.0


@dataclass(frozen=True)
class Candidate:
    """One way to write a file.

    Attributes:
        lowering: Name of the lowering.
        fold_embedding: An embedding and the projection behind it are one table.
        bytes: Size of the file; None where there is none.
        median_ms: Latency of a call in the race; None where it took no part.
        problem: Why it took no part, or was not chosen though it was faster.
        wanted: It may be chosen; False where it is there to compare with.
        optimize: What decided where a faster file is a larger one.
    """

    lowering: str
    fold_embedding: bool = False
    bytes: int | None = None
    median_ms: float | None = None
    problem: str | None = None
    wanted: bool = True
    optimize: str = LATENCY

    @property
    def label(self) -> str:
        """Its name for a person."""
        more = [self.optimize] if self.optimize != LATENCY else []
        return ", ".join([self.lowering, *(["folded"] if self.fold_embedding else []), *more])


@dataclass(frozen=True)
class Choice:
    """What was chosen, and why.

    Attributes:
        lowering: Name of the lowering; pass it as `lowering=` to pin it.
        fold_embedding: Pass it as `fold_embedding=` to pin it.
        reason: One line.
        candidates: All that were considered.
        machine: What they were measured on: another device may rank them otherwise.
        core: What their loops were made for.
        label: Its name among the candidates, for a person.
    """

    lowering: str
    fold_embedding: bool
    reason: str
    candidates: tuple[Candidate, ...]
    machine: str
    core: str
    label: str

    def to_dict(self) -> dict[str, Any]:
        """Returns the content as a JSON object."""
        found = asdict(self)
        for tried, each in zip(found["candidates"], self.candidates, strict=True):
            tried["label"] = each.label
        return found


def candidates(
    options: FileOptions, timesteps: int, model: KerasModel | None = None
) -> list[Candidate]:
    """Returns what is to be tried, and what is not, with the reason.

    Args:
        options: `lowering` is a name, `"auto"`, or several names to choose among; None for the one
            that the target prefers, or the first that `min_runtime` runs. `fold_embedding` True
            has files that do not fold to compare with; None tries both where there is a choice of
            lowerings.
        timesteps: Number of time steps of the model.
        model: The model; None where it is not known yet.

    Raises:
        ConfigError: A lowering that the target does not take, or none that folds where folding was
            asked for.
    """
    client, fold_embedding = TARGETS.get(options.target), options.fold_embedding
    if options.streaming:
        return [_streaming(options)]
    if options.state is not None:
        raise ConfigError(
            "state says where a file that streams has its states. Received: "
            f"state='{options.state}' without streaming. Say streaming=True (--streaming), or "
            "leave state out."
        )
    preferred = client.preferred(model)
    automatic = options.lowering == AUTO
    if automatic or (options.lowering is None and options.min_runtime is not None):
        # What lets an app size its inputs is another kind of file, and so is one of a step.
        entries = {name: LOWERINGS.get(name) for name in client.lowerings}
        kind = LOWERINGS.get(preferred).steps
        names = [n for n, one in entries.items() if not one.open_sizes and one.steps == kind]
        if not automatic:  # the first whose ops that runtime knows
            names.sort(key=lambda name: name != preferred)
    elif options.lowering is None:
        names = [preferred]
    else:
        given = options.lowering
        names = [given] if isinstance(given, str) else list(given)
    client.check_lowerings(names)
    known = {name: LOWERINGS.get(name) for name in names}
    if fold_embedding and not any(entry.folds for entry in known.values()):
        able = [name for name in client.lowerings if LOWERINGS.get(name).folds]
        raise ConfigError(
            f"Lowering {listed(names)} cannot fold an embedding. Choose one that can "
            f"({listed(able)}), or leave fold_embedding out."
        )
    folds = [False]
    several = options.lowering is not None and len(names) > 1
    if fold_embedding or (fold_embedding is None and (automatic or several)):
        folds = [False, True]
    found = []
    for name, entry in known.items():
        most = entry.auto_timesteps
        problem = None
        needed = name in (preferred, client.fallback)
        if automatic and not needed and most is not None and timesteps > most:
            problem = f"not tried above {most} time steps; name it to have it"
        for fold in folds if problem is None and entry.folds else [False]:
            wanted = fold or not fold_embedding
            found.append(Candidate(name, fold, problem=problem, wanted=wanted))
    if options.optimize == LATENCY:
        return found
    # Beside the first what it costs that it is smaller.
    smaller = [replace(one, optimize=options.optimize) for one in found]
    fastest = [one for one in found if one.wanted and one.problem is None][:1]
    return [*smaller, *(replace(one, wanted=False) for one in fastest)]


def _streaming(options: FileOptions) -> Candidate:
    """The one way to write a file whose call takes a few time steps.

    Raises:
        ConfigError: What was asked for beside is another way.
    """
    TARGETS.get(options.target).check_streaming(options.state)
    if options.lowering not in (None, STEP):
        given = [options.lowering] if isinstance(options.lowering, str) else options.lowering
        raise ConfigError(
            f"A file that streams has the lowering '{STEP}', and {listed(given)} "
            f"{'is' if len(given) == 1 else 'are'} for whole sequences. Leave the lowering out, or "
            "streaming."
        )
    if options.fold_embedding:
        raise ConfigError(
            "A file that streams looks one token up a call, which no table of products makes "
            "faster. Leave fold_embedding out."
        )
    return Candidate(STEP, False)


def decides(core: str) -> Core | None:
    """Returns the core that a race is held on; None where it is this machine.

    One that was named is emulated, where the emulator is set up and knows its cycles.
    """
    found = CORES.get(core)
    known = found is not None and found.model is not None
    return found if known and installation.find() is not None else None


def race(
    files: Mapping[Candidate, Path], samples: Arrays, core: Core | None = None
) -> dict[Candidate, float]:
    """Measures files against each other on the same inputs.

    Args:
        files: Candidate -> its file.
        samples: Encoded inputs, name -> `[samples, ...]`.
        core: What they are emulated on; None for this machine, one call of each in turn.

    Returns:
        Candidate -> median latency in milliseconds; of a core, what is modelled.
    """
    if core is not None:
        rows = benchmark_core(list(files.values()), core, samples)
        return {each: row["milliseconds"] for each, row in zip(files, rows, strict=True)}
    models = [open_model(path) for path in files.values()]
    batches = [batch for _, batch in models[0].batches(samples)]
    times = time_calls(models, batches, warmup=3, least=20, most=ROUNDS, seconds=SECONDS)
    medians = (1e3 * float(np.median(own)) for own in times)
    return dict(zip(files, medians, strict=True))


def ranked(measured: Sequence[Candidate], options: FileOptions) -> list[Candidate]:
    """Orders candidates that took part in the race, the best first.

    The best is the smallest of those that take about as long as the fastest. Where folding was
    not asked for, it counts only within the size limit. What does not count comes last, with the
    reason as its problem.
    """
    counting, others = [], []
    for candidate in measured:
        problem = None
        if not candidate.wanted:
            problem = "to compare with"
        elif _too_large(candidate, options):
            problem = f"larger than the limit of {options.size_limit:,} bytes"
        if problem is None:
            counting.append(candidate)
        else:
            others.append(replace(candidate, problem=problem))
    enough = NOISE * min(map(_time, counting), default=0.0)
    close = sorted((c for c in counting if _time(c) <= enough), key=_size)
    return [*close, *sorted((c for c in counting if _time(c) > enough), key=_time), *others]


def _too_large(candidate: Candidate, options: FileOptions) -> bool:
    unasked = candidate.fold_embedding and not options.fold_embedding
    return unasked and _size(candidate) > options.size_limit


def _size(candidate: Candidate) -> int:
    return candidate.bytes or 0


def _time(candidate: Candidate) -> float:
    return candidate.median_ms or 0.0


def explain(chosen: Candidate, considered: Sequence[Candidate], core: str) -> Choice:
    """Puts into words what was chosen and why, of files that were made for a core."""
    on = decides(core)
    here = "here" if on is None else f"on a {on.name}"
    shown = []
    for each in considered:
        text = each.label
        if each.median_ms is not None:
            text += f" {each.median_ms:.3f} ms, {each.bytes:,} bytes"
        shown.append(f"{text} ({each.problem})" if each.problem else text)
    wanted = [each for each in considered if each.median_ms is not None and each.wanted]
    rivals = [each for each in wanted if each.problem is None]
    if len(wanted) < 2:
        left = any(each.problem for each in considered if each.wanted)
        why = "what is left" if left else "as asked"
    elif any(_time(each) < _time(chosen) for each in rivals):
        why = f"as fast as any {here}, and smaller"
    elif any(_time(each) < _time(chosen) for each in wanted):
        why = f"the fastest {here} within the limit"
    else:
        why = f"the fastest {here}"
    return Choice(
        lowering=chosen.lowering,
        fold_embedding=chosen.fold_embedding,
        reason=f"{chosen.label} for {core}, {why}: {'; '.join(shown)}.",
        candidates=tuple(considered),
        machine=machine() if on is None else f"{on.name}, emulated and modelled",
        core=core,
        label=chosen.label,
    )
