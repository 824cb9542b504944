"""The cores that a file can be made for: what a lowering has to know of each."""

from __future__ import annotations

from dataclasses import dataclass

from keras_rnn_zoo.export.cores.cores import of_core

KB = 1024
DEFAULT = "phone"


@dataclass(frozen=True)
class Profile:
    """A core, or several at once.

    Attributes:
        name: Its name on the command line and in `export_tflite(core=...)`.
        description: What it is, in one line.
        copies: Bytes of weights that the steps of an iteration may read one after the other and
            still find in a cache near by in the next one.
        steps: The most steps of an iteration: what an iteration costs by itself is small by then.
        starts: What each step of an iteration costs once, when a loop starts and sets up its ops,
            in parts of what an iteration costs by itself.
        joins: Two directions whose inputs are projected apart are taken in the same steps, however
            much is projected. It is put together before, and on other cores a copy that leaves the
            cache takes longer than what it saves.
    """

    name: str
    description: str
    copies: int
    steps: int = 4
    starts: float = 6
    joins: bool = False


# Measured with `benchmarks/arm`, `x86-64` with `benchmarks/latency.py`: see docs/lowering.md.
PROFILES = {
    profile.name: profile
    for profile in (
        Profile("phone", "none of cortex-a53, a55, a76 and a78 at a disadvantage", 128 * KB),
        Profile("cortex-a53", "512 KB of L2, and no cache behind it", 256 * KB),
        Profile("cortex-a55", "128 KB of L2, and a cache behind it that is as fast", 256 * KB),
        Profile("cortex-a76", "256 KB of L2", 128 * KB),
        Profile("cortex-a78", "256 KB of L2; its cycles are not modelled", 128 * KB),
        Profile(
            "x86-64", "a server or a desktop, 1 MB of L2 or more", 768 * KB, starts=2, joins=True
        ),
    )
}


def find_profile(name: object) -> Profile:
    """Returns the profile of a core by its name, `cortex-a55`, or its short one, `a55`.

    Raises:
        UnknownNameError: There is none; the message lists all and the nearest.
    """
    return of_core(name, PROFILES)
