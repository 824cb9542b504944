"""The model of the cores against published latencies: MobileNets, as XNNPACK's authors timed them.

    python benchmarks/arm/check.py -o benchmarks/arm/check.json

Their weights are random here as there: they cost the same. Needs the emulator; see README.md.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from contenders import stock

from keras_rnn_zoo import files
from keras_rnn_zoo.export.cores.measure import benchmark_core
from keras_rnn_zoo.provenance import provenance

CORES = ("cortex-a53", "cortex-a55", "cortex-a76")
# One thread, float32, milliseconds: the README of XNNPACK (github.com/google/XNNPACK), measured in
# March 2020. The large cores are those of the SoC; Kryo 280 is made after the Cortex-A73, Kryo 360
# after the A75. GHz.
PHONES = {"Pixel 2 (Kryo 280)": 2.35, "Pixel 3a (Kryo 360)": 2.0}
PUBLISHED = {
    "MobileNet v1": (86, 88),
    "MobileNet v2": (53, 55),
    "MobileNet v3 Large": (42, 44),
    "MobileNet v3 Small": (14, 14),
}


def models() -> dict[str, Callable[[], Any]]:
    from keras import applications

    shape = {"input_shape": (224, 224, 3), "weights": None}
    third = {**shape, "include_preprocessing": False}
    return {
        "MobileNet v1": lambda: applications.MobileNet(**shape),
        "MobileNet v2": lambda: applications.MobileNetV2(**shape),
        "MobileNet v3 Large": lambda: applications.MobileNetV3Large(**third),
        "MobileNet v3 Small": lambda: applications.MobileNetV3Small(**third),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        paths = {}
        for name, make in models().items():
            paths[name] = Path(scratch) / f"{name.replace(' ', '_')}.tflite"
            stock(make(), paths[name], dynamic=False)
        for core in CORES:
            found = benchmark_core(list(paths.values()), core, calls=1)
            rows += [{"model": name, **row} for name, row in zip(paths, found, strict=True)]
    published = [
        {"model": model, "phone": phone, "milliseconds": ms, "megacycles": ms * clock}
        for model, times in PUBLISHED.items()
        for (phone, clock), ms in zip(PHONES.items(), times, strict=True)
    ]
    files.write_json(
        options.output,
        {
            "modelled": rows,
            "published": published,
            "provenance": provenance(seed=None, command=shlex.join(["python", *sys.argv])),
        },
    )
    print(f"| millions of cycles | {' | '.join((*PHONES, *CORES))} |")
    print("|" + " --- |" * (1 + len(PHONES) + len(CORES)))
    for model in PUBLISHED:
        cells = [one["megacycles"] for one in published if one["model"] == model]
        cells += [row["cycles"] / 1e6 for row in rows if row["model"] == model]
        print(f"| {model} | {' | '.join(f'{cell:.0f}' for cell in cells)} |")


if __name__ == "__main__":
    main()
