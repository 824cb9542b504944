"""The Arm cores that files can be measured for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from keras_rnn_zoo.errors import ConfigError, UnknownNameError, listed, nearest

T = TypeVar("T")

# What an absolute time may be wrong by: see benchmarks/arm/README.md.
UNCERTAINTY = 1.5

_ARMV8 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
_ARMV82 = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop "
    "asimddp"
)


@dataclass(frozen=True)
class Core:
    """A core, as software sees it. XNNPACK and onnxruntime choose their kernels by that.

    Attributes:
        name: Arm's.
        description: What it is, in one line.
        part: Its number in MIDR_EL1.
        variant: Likewise.
        features: What Linux says of it in /proc/cpuinfo.
        emulated: The name of a CPU of QEMU that has these features.
        megahertz: The clock that times are said for: a common one of phones.
        model: The plug-in's name of the model of its cycles; None where there is none, and
            instructions are counted only.
    """

    name: str
    description: str
    part: int
    variant: int
    features: str
    emulated: str
    megahertz: int
    model: str | None


CORES = {
    core.name: core
    for core in (
        Core(
            "cortex-a53",
            "in order, two instructions a cycle, no dot products: phones of 2014 to 2019",
            0xD03, 0, _ARMV8, "cortex-a53", 1800, "a53",
        ),
        Core(
            "cortex-a55",
            "in order, two instructions a cycle, int8 dot products: the small cores of phones",
            0xD05, 2, _ARMV82, "cortex-a76", 2000, "a55",
        ),
        Core(
            "cortex-a76",
            "out of order, four instructions a cycle: the large cores of phones of 2019",
            0xD0B, 4, _ARMV82, "cortex-a76", 2400, "a76",
        ),
        Core(
            "cortex-a78",
            "the large cores of phones of 2021: instructions are counted, cycles are not modelled",
            0xD41, 1, _ARMV82, "cortex-a76", 2600, None,
        ),
    )
}  # fmt: skip


def of_core(name: object, found: Mapping[str, T]) -> T:
    """Returns what there is for a core by its name, `cortex-a55`, or its short one, `a55`.

    Args:
        name: As somebody typed it.
        found: Name -> what there is.

    Raises:
        UnknownNameError: There is none; the message lists all and the nearest.
    """
    text = str(name).strip().lower()
    for known in (text, f"cortex-{text}"):
        if known in found:
            return found[known]
    names = [*found, *(one.removeprefix("cortex-") for one in found)]
    raise UnknownNameError(
        f"Unknown core: {str(name)!r}.{nearest(text, names)} Known: {listed(found)}."
    )


def find_core(name: object) -> Core:
    """Returns a core by its name, `cortex-a55`, or its short one, `a55`.

    Raises:
        UnknownNameError: There is none; the message lists all and the nearest.
    """
    return of_core(name, CORES)


def modelled(core: str | Core) -> Core:
    """Returns a core whose cycles are modelled.

    Raises:
        UnknownNameError: There is no such core.
        ConfigError: Its cycles are not modelled.
    """
    core = find_core(core) if isinstance(core, str) else core
    if core.model is None:
        raise ConfigError(
            f"Of the {core.name} instructions are counted, but its cycles are not modelled, so "
            "there is no time. Take cortex-a76."
        )
    return core
