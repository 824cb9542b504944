"""What every target is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

from keras_rnn_zoo.errors import ConfigError, TargetError, listed
from keras_rnn_zoo.export.lowering import LOWERINGS
from keras_rnn_zoo.export.tflite.contents import FileInfo
from keras_rnn_zoo.registry import Registry, extends


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
    """

    name: ClassVar[str]
    description: ClassVar[str]
    accepted: ClassVar[tuple[str, ...] | None] = None
    refused_quantizations: ClassVar[Mapping[str, str]] = {}
    one_subgraph: ClassVar[bool] = False
    stateless: ClassVar[bool] = False
    resizes: ClassVar[bool] = False

    @property
    def lowerings(self) -> list[str]:
        """Names of the lowerings that it runs, the one to prefer first."""
        if self.accepted is not None:
            return list(self.accepted)
        names = [
            name for name in LOWERINGS.names() if self.resizes or not LOWERINGS.get(name).open_sizes
        ]
        return ["loop", *(name for name in names if name != "loop")]

    def quantizations(self, names: Iterable[str]) -> list[str]:
        """Returns the quantization modes among `names` that it runs."""
        return [name for name in names if name not in self.refused_quantizations]

    def check_quantization(self, name: str) -> None:
        """Refuses a quantization mode that it does not run.

        Raises:
            ConfigError: The message says why, and what to choose.
        """
        from keras_rnn_zoo.export.quantization import QUANTIZATIONS

        if name in self.refused_quantizations:
            raise ConfigError(
                f"The target '{self.name}' does not take the quantization '{name}': "
                f"{self.refused_quantizations[name]}. Choose among: "
                f"{listed(self.quantizations(QUANTIZATIONS.names()))}."
            )

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
