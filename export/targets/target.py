"""What every target is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar

from keras_rnn_zoo.errors import ConfigError, TargetError, listed
from keras_rnn_zoo.export.lowering import LOWERINGS
from keras_rnn_zoo.export.lowering.plan import Plan
from keras_rnn_zoo.export.tflite import micro
from keras_rnn_zoo.export.tflite.contents import FileInfo
from keras_rnn_zoo.files import PathLike
from keras_rnn_zoo.registry import Registry, extends

if TYPE_CHECKING:
    from keras_rnn_zoo.export.keras_model.model import KerasModel


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
        arena: It runs a file in an arena of fixed size, which is measured in tflite-micro.
        masks: It has the ops that find out which time steps are padding.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    accepted: ClassVar[tuple[str, ...] | None] = None
    refused_quantizations: ClassVar[Mapping[str, str]] = {}
    one_subgraph: ClassVar[bool] = False
    stateless: ClassVar[bool] = False
    resizes: ClassVar[bool] = False
    arena: ClassVar[bool] = False
    masks: ClassVar[bool] = True

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
        return []

    def finished(self, content: bytes) -> bytes:
        """Returns a file as this client is to get it: what it has no use for is left out."""
        return content

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
    """Registers a `Target` under `name`."""
    return TARGETS.decorator(name)
