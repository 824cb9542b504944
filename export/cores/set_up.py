"""Sets up the emulator of Arm cores: `python -m keras_rnn_zoo.export.cores.set_up`.

Into a folder outside of the project (`~/.keras-rnn-zoo/arm`, or the one that `KERAS_RNN_ZOO_ARM`
names) come, whole or not at all:

- `host/`: qemu-user 7.2 of Debian 12 and its libraries, as later Debian packages know no plug-ins;
- `aarch64/`: Debian's Python 3.11 for arm64;
- `site/`: the aarch64 wheels of ai-edge-litert and numpy (and onnxruntime, for comparisons);
- `plugin.so`, made of the C files in `plugin/`.

Nothing is installed on the machine and nobody needs to be root: Debian's packages are downloaded
with a list of packages of their own, checked against Debian's keys, and unpacked.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from keras_rnn_zoo import files
from keras_rnn_zoo.errors import ConfigError, ExportError, MissingClientError, ZooError
from keras_rnn_zoo.export.cores import installation

MIRROR = "http://deb.debian.org/debian"
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
DEBIAN = ("qemu-user", "python3.11:arm64", "libstdc++6:arm64", "libatomic1:arm64")
WHEELS = {"ai-edge-litert": "2.3.0", "numpy": "2.2.6"}
ONNXRUNTIME = {
    "onnxruntime": "1.32.0",
    "flatbuffers": "25.9.23",
    "protobuf": "6.33.0",
}
PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_27_aarch64", "manylinux_2_28_aarch64")
# Program -> where it is found on Debian and Ubuntu.
PROGRAMS = {"apt-get": "apt", "dpkg-deb": "dpkg", "gcc": "gcc libc6-dev"}


def check_machine() -> None:
    """Refuses a machine on which the emulator cannot be set up.

    Raises:
        ConfigError: It is no x86-64 Linux.
        MissingClientError: It lacks a program; the message says how to get it.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise ConfigError(
            "The emulator of Arm cores runs on Linux on x86-64. Received: "
            f"{sys.platform} on {platform.machine()}. Use such a machine, or measure on the Arm "
            "one itself: keras-rnn-zoo benchmark without --core."
        )
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if missing:
        raise MissingClientError(
            "To set up the emulator of Arm cores, Debian or Ubuntu with these packages is needed: "
            f"{' '.join(missing)}. Install them with: apt-get install {' '.join(missing)}"
        )
    if not KEYS.is_file():
        raise MissingClientError(
            f"Debian's keys are not at {KEYS}. Install them with: apt-get install "
            "debian-archive-keyring"
        )


def build_plugin(place: Path) -> None:
    """Compiles the plug-in to `place`.

    Without the host's C library: the emulator brings that of Debian 12, an older one perhaps.

    Raises:
        ExportError: gcc refuses it.
    """
    sources = [str(file) for file in sorted(installation.SOURCES.glob("*.c"))]
    flags = ["-std=c11", "-O2", "-Wall", "-shared", "-fPIC", "-nostdlib"]
    _run(["gcc", *flags, "-o", str(place), *sources])


def set_up(*, mirror: str = MIRROR, onnxruntime: bool = False) -> installation.Installation:
    """Sets the emulator up in `installation.folder()`; replaces what was set up there.

    Args:
        mirror: Where Debian's packages come from.
        onnxruntime: Bring onnxruntime, too: the benchmarks compare with it.

    Raises:
        ConfigError, MissingClientError: See `check_machine`.
        ExportError: A download or gcc failed; the message holds the last words.
        OutputError: The folder cannot be written, or holds something else.
    """
    check_machine()
    target = installation.folder()
    ours = (target / installation.RECORD).is_file()
    with files.new_directory(target, replace=ours) as place:
        _say(f"Setting up {target}: Debian's packages ...")
        version = _unpack_debian(place, mirror)
        wheels = {**WHEELS, **(ONNXRUNTIME if onnxruntime else {})}
        _say("... Python packages ...")
        _unpack_wheels(place, wheels)
        _say("... the plug-in")
        build_plugin(place / "plugin.so")
        record = {
            "layout": installation.LAYOUT,
            "plugin": installation.sources_sha256(),
            "versions": {"qemu-user": version, **wheels},
        }
        files.write_json(place / installation.RECORD, record)
    found = installation.find()
    assert found is not None
    return found


def _unpack_debian(place: Path, mirror: str) -> str:
    """Downloads and unpacks the emulator and the aarch64 system; returns qemu's version."""
    apt = place / "apt"
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True)
    (apt / "status").touch()
    (apt / "sources.list").write_text(f"deb [signed-by={KEYS}] {mirror} bookworm main\n")
    settings = {
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State": apt / "state",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "APT::Architecture": "amd64",
        "APT::Install-Recommends": "false",
        "APT::Update::Error-Mode": "any",
        "APT::Sandbox::User": "",  # where the folder is private, nobody else may write there
    }
    lines = [f'{name} "{value}";' for name, value in settings.items()]
    (apt / "apt.conf").write_text("\n".join([*lines, 'APT::Architectures { "amd64"; "arm64"; };']))
    environment = {"APT_CONFIG": str(apt / "apt.conf")}
    advice = f" See whether {mirror} answers, or name another --mirror."
    _run(["apt-get", "-q", "update"], environment, advice)
    _run(["apt-get", "-q", "-y", "--download-only", "install", *DEBIAN], environment, advice)
    version = ""
    for package in sorted((apt / "cache/archives").glob("*.deb")):
        arm = package.name.endswith("_arm64.deb")
        if package.name.startswith("qemu-user_"):
            version = package.name.split("_")[1].replace("%3a", ":")
        _run(["dpkg-deb", "-x", str(package), str(place / ("aarch64" if arm else "host"))])
    shutil.rmtree(apt)
    for program in (place / "host/usr/bin").glob("qemu-*"):  # of other processors
        if program.name != "qemu-aarch64":
            program.unlink()
    return version


def _unpack_wheels(place: Path, wheels: Mapping[str, str]) -> None:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile"]
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    python = ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"]
    pins = [f"{name}=={version}" for name, version in wheels.items()]
    others = ["--abi", "abi3", "--abi", "none", "--only-binary=:all:"]
    command = [*pip, "--target", str(place / "site"), *platforms, *python, *others, *pins]
    _run(command, advice=f" See whether '{' '.join(pip[1:3])} download numpy' works here.")


def _run(
    command: Sequence[str], environment: Mapping[str, str] | None = None, advice: str = ""
) -> None:
    """Runs a program.

    Raises:
        ExportError: It fails; the message holds its last words, and the advice.
    """
    done = subprocess.run(
        command,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()
        raise ExportError(
            f"'{' '.join(command[:4])} ...' failed: {said[-1][:300].rstrip('.')}.{advice}"
        )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Reads the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=installation.COMMAND,
        description=f"Sets up the emulator of Arm cores in {installation.folder()} (200 MB; "
        f"{installation.VARIABLE} names another folder).",
    )
    parser.add_argument("--mirror", default=MIRROR, help="of Debian 12; default: %(default)s")
    parser.add_argument("--onnxruntime", action="store_true", help="bring onnxruntime, too")
    options = parser.parse_args()
    try:
        done = set_up(mirror=options.mirror, onnxruntime=options.onnxruntime)
    except ZooError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    versions = ", ".join(f"{name} {version}" for name, version in done.versions.items())
    print(f"{done.folder}: {versions}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
