"""What every target is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from keras_rnn_zoo.errors import ConfigError, TargetError, listed
from keras_rnn_zoo.export.lowering import LOWERINGS
from keras_rnn_zoo.export.lowering.plan import Plan
from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.export.tflite import micro
from keras_rnn_zoo.export.tflite.contents import FileInfo
from keras_rnn_zoo.export.tflite.file import INITIAL_STATE, RESET_STATE, STEP
from keras_rnn_zoo.export.tflite.slim import slim
from keras_rnn_zoo.files import PathLike
from keras_rnn_zoo.preprocessing.demands import DEMANDS, NOTHING, Demands
from keras_rnn_zoo.registry import Registry, extends

if TYPE_CHECKING:
    from keras_rnn_zoo.export.keras_model.model import KerasModel
    from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor


@dataclass(frozen=True)
class About:
    """What there is to say of a model, for whoever gets its file alone.

    Attributes:
        name: Of the model.
        description: A sentence or two.
        license: Of the model; None where nobody said.
        provenance: Versions, seed and commands that made it; JSON-able.
    """

    name: str
    description: str
    license: str | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)


class Target:
    """A family of clients and what it accepts.

    Attributes:
        name: The name on the command line and in `export_tflite(target=...)`.
        description: One line for a person.
        accepted: Names of the lowerings that it runs, the one to prefer first; None for all.
        refused_quantizations: Quantization mode -> one clause that says why it is of no use here.
        one_subgraph: It takes no control flow: a WHILE or an IF has its branches in subgraphs.
        stateless: It takes no tensors that keep state from one call to the next.
        resizes: An app can give the inputs of a file other sizes.
        fallback: Name of the lowering that takes what another one refuses; None for that which the
            lowering names.
        demands: What it asks of the data that a model is trained on.
        encodes: It takes raw inputs and answers labels, and so needs metadata in the file, and an
            output for each label: see `finished`.
        arena: It runs a file in an arena of fixed size, which is measured in tflite-micro.
        masks: It has the ops that find out which time steps are padding.
        states: Where it lets the states of a file be that takes some time steps a call, what to
            prefer first (see `FileOptions.state`); none where it runs no such files.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    accepted: ClassVar[tuple[str, ...] | None] = None
    refused_quantizations: ClassVar[Mapping[str, str]] = {}
    one_subgraph: ClassVar[bool] = False
    stateless: ClassVar[bool] = False
    resizes: ClassVar[bool] = False
    fallback: ClassVar[str | None] = None
    demands: ClassVar[Demands] = NOTHING
    encodes: ClassVar[bool] = False
    arena: ClassVar[bool] = False
    masks: ClassVar[bool] = True
    states: ClassVar[tuple[str, ...]] = ("external", "internal")

    @property
    def lowerings(self) -> list[str]:
        """Names of the lowerings that it runs, the one to prefer first."""
        if self.accepted is not None:
            return list(self.accepted)
        entries = {name: LOWERINGS.get(name) for name in LOWERINGS.names()}
        names = [
            name
            for name, entry in entries.items()
            if not entry.by_client and (self.resizes or not entry.open_sizes)
        ]
        return ["loop", *(name for name in names if name != "loop")]

    def quantizations(self, names: Iterable[str] | None = None) -> list[str]:
        """Returns the quantization modes that it runs, among `names` or all."""
        from keras_rnn_zoo.export.quantization import QUANTIZATIONS

        known = QUANTIZATIONS.names() if names is None else names
        return [name for name in known if self._refusal(name) is None]

    def _refusal(self, name: str) -> str | None:
        """Says why a quantization mode is of no use here; None where it is."""
        from keras_rnn_zoo.export.quantization import QUANTIZATIONS

        if name in self.refused_quantizations:
            return self.refused_quantizations[name]
        targets = QUANTIZATIONS.get(name).targets
        if targets is not None and self.name not in targets:
            return f"it is for {listed(targets)} alone"
        return None

    def preferred(self, model: KerasModel | None) -> str:
        """Returns the lowering that a model gets where none is named."""
        return self.lowerings[0]

    def check_quantization(self, name: str) -> None:
        """Refuses a quantization mode that it does not run, or that cannot be proven here.

        Raises:
            ConfigError: The message says why, and what to choose.
            RunError: What it is proven in is not installed.
        """
        from keras_rnn_zoo.export.quantization import QUANTIZATIONS

        reason = self._refusal(name)
        if reason is not None:
            raise ConfigError(
                f"The target '{self.name}' does not take the quantization '{name}': {reason}. "
                f"Choose among: {listed(self.quantizations())}."
            )
        QUANTIZATIONS.get(name).check_available()

    def check_lowerings(self, names: Iterable[str]) -> None:
        """Refuses lowerings that it does not run.

        Raises:
            ConfigError: The message says which it does.
        """
        for name in names:
            if name not in self.lowerings:
                raise ConfigError(
                    f"The target '{self.name}' does not take the lowering '{name}': "
                    f"{self.description}. Choose among: {listed(self.lowerings)}, or leave the "
                    "lowering out."
                )

    def check_streaming(self, state: str | None) -> str:
        """Returns where the states of a file are that takes some time steps a call.

        Args:
            state: What was asked for; None for what this client prefers.

        Raises:
            ConfigError: It runs no such files, or wants the states elsewhere.
        """
        if not self.states:
            able = [name for name in TARGETS.names() if TARGETS.get(name).states]
            raise ConfigError(
                f"The target '{self.name}' answers whole inputs, and keeps no states between calls "
                f"({self.description}). Choose the target {listed(able)}, or leave streaming out."
            )
        if state is not None and state not in self.states:
            raise ConfigError(
                f"The target '{self.name}' takes files whose state is {listed(self.states)}. "
                f"Received: state='{state}'. Leave state out."
            )
        return state or self.states[0]

    def check_options(self, **options: Any) -> None:
        """Refuses options of an export that do not go with this client, before any work.

        Args:
            **options: `inference_type` and `batch_size`; see `FileOptions`.

        Raises:
            ConfigError: The message says what to leave out.
        """

    def check_preprocessor(self, preprocessor: Preprocessor | None) -> None:
        """Refuses a model whose inputs are not encoded as this client does it, before any work.

        Args:
            preprocessor: Of the model; None where it came without.

        Raises:
            ConfigError: The message says what is in the way, and what to do.
        """
        if preprocessor is None:
            if self.encodes:
                raise ConfigError(
                    f"The target '{self.name}' takes raw inputs, and a bare Keras model brings no "
                    "vocabulary and no labels. Export the run that 'train --target "
                    f"{self.name}' leaves, or choose another target."
                )
            return
        vocabulary = preprocessor.vocabulary
        settings = {"padding": preprocessor.padding, "truncating": preprocessor.truncating}
        if vocabulary is not None:
            settings["tokenizer"] = vocabulary.tokenizer_name
        self.demands.check(
            self.name,
            f"Train again with --target {self.name}, or export for another target",
            kind=preprocessor.kind,
            task=preprocessor.task,
            **settings,
        )

    def finished(self, content: bytes, preprocessor: Preprocessor, about: About) -> bytes:
        """Returns a file with what this client wants to find in it beside the graph.

        Args:
            content: The file, as any interpreter runs it.
            preprocessor: Of its inputs and answers.
            about: What else there is to say of it.
        """
        return content

    def attached(self, preprocessor: Preprocessor) -> int:
        """Returns how many bytes `finished` adds, about, before there is a file."""
        return 0

    def found(self, content: bytes) -> dict[str, Any] | None:
        """Returns what it finds in a file that is `finished`, JSON-able; None for nothing.

        Raises:
            RunError: That is damaged.
        """
        return None

    def check_arena(self, most: int | None) -> None:
        """Refuses a limit of the arena where there is none, or where it cannot be measured.

        Raises:
            ConfigError: This client has no arena.
            RunError: What measures it is not installed.
        """
        if most is None:
            return
        if not self.arena:
            able = [name for name in TARGETS.names() if TARGETS.get(name).arena]
            raise ConfigError(
                f"max_arena limits the RAM of a microcontroller. Received: target '{self.name}', "
                f"which has no arena. Choose the target {listed(able)}, or leave max_arena out."
            )
        micro.needed("max_arena")

    def arena_of(self, path: PathLike) -> int | None:
        """Returns the least arena that a file needs, in bytes; None where that is not known."""
        return micro.least_arena(path) if self.arena and micro.find() is not None else None

    def check_plan(self, plan: Plan) -> None:
        """Refuses what shows before anything is converted.

        Raises:
            TargetError: The message says which layer is in the way, and what to do.
        """
        for one in plan.recurrences:
            if one.masked and not self.masks:
                raise TargetError(
                    f"Layer '{one.path}' skips padded time steps, and the target '{self.name}' "
                    "cannot tell which they are: build and train the model with mask=False (of "
                    "your own, without Masking and mask_zero) on sequences of full length."
                )

    def notes(self, info: FileInfo) -> list[str]:
        """Says what whoever calls a file has to do, a sentence each."""
        if STEP not in info.signatures:
            return []
        if RESET_STATE in info.signatures:
            return [
                "A call takes the next time steps, and the file keeps its states: call the "
                f"signature '{RESET_STATE}' before each sequence. One interpreter runs one stream."
            ]
        return [
            "A call takes the next time steps: hand the states that came out in again, by name; "
            f"the signature '{INITIAL_STATE}' has those to start with."
        ]

    def slimmed(self, content: bytes) -> bytes:
        """Returns a file as this client is to get it: what it has no use for is left out."""
        model = fb.unpack(content)
        slim(model)
        return fb.pack(model)

    def refuses(self, info: FileInfo) -> str | None:
        """Says what a file holds that this client does not run; None where it runs it.

        Returns:
            What a sentence that begins with the file's name goes on with: "has 3 subgraphs, ...".
        """
        if self.one_subgraph and info.subgraphs != 1:
            return f"has {info.subgraphs} subgraphs (control flow such as WHILE), and it takes one"
        if self.stateless and info.variables:
            return f"has {info.variables} tensors that keep state, and it takes none"
        return None

    def check_file(self, info: FileInfo, fallbacks: Mapping[str, str]) -> None:
        """Refuses a file that this client does not run.

        Args:
            info: What the file holds.
            fallbacks: Path of a layer that the chosen lowering refused -> why.

        Raises:
            TargetError: The message says what is in the way, which layers caused it, what to do.
        """
        problem = self.refuses(info)
        if problem is None:
            return
        causes = "".join(
            f" Layer '{layer}' fell back to another lowering: {reason}."
            for layer, reason in fallbacks.items()
        )
        raise TargetError(
            f"The file is not for the target '{self.name}': it {problem}.{causes} "
            f"{self.advice(fallbacks)}"
        )

    def advice(self, fallbacks: Mapping[str, str]) -> str:
        """Says what to do about a file that this client does not run."""
        if fallbacks:
            return f"Leave the lowering out: '{self.lowerings[0]}' takes every layer."
        return "Replace the layers that cause it, or choose another target."


TARGETS: Registry[Target] = Registry(
    "target", "keras_rnn_zoo.export.targets", "keras_rnn_zoo.targets", extends("target", Target)
)


def register_target(name: str) -> Callable[[type[Target]], type[Target]]:
    """Registers a `Target` under `name`, and what it asks of data where the zoo looks for that."""
    register = TARGETS.decorator(name)

    def decorate(cls: type[Target]) -> type[Target]:
        registered = register(cls)
        DEMANDS.register(name, cls.demands)
        return registered

    return decorate
