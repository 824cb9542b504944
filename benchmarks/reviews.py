"""The textbook's BiLSTM on real movie reviews: trained, exported, and scored on every test review.

    python benchmarks/reviews.py --data imdb_train.csv.gz --test-data imdb_test.csv.gz -o DIR

Leaves the run, the bundle and `reviews.json` in DIR, and prints the table of the README: the
accuracy of the Keras model and of each file on the whole test half, how many answers changed,
bytes, and the latency on this machine. Takes about a quarter of an hour on two cores.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from keras_rnn_zoo import files, train
from keras_rnn_zoo.export.bundle.bundle import benchmark_bundle
from keras_rnn_zoo.export.bundle.write import export_bundle
from keras_rnn_zoo.provenance import provenance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="training reviews: CSV with text and label")
    parser.add_argument("--test-data", required=True, help="test reviews")
    parser.add_argument("--model", default="bilstm")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    command = shlex.join(["python", *sys.argv])
    files.check_new_directory(options.output)

    run = train(
        options.model,
        options.data,
        test_data=options.test_data,
        epochs=options.epochs,
        seed=options.seed,
        output=options.output / "run",
        command=command,
    )
    bundle = export_bundle(
        options.output / "run",
        options.output / "bundle",
        test_data=options.test_data,
        command=command,
        progress=True,
    )
    latency = {row["file"]: row for row in benchmark_bundle(bundle.path, seconds=3.0)}
    rows = []
    for entry in bundle.report["files"]:
        measured = latency.get(entry["file"], {})
        rows.append(
            {
                "file": entry["file"],
                "bytes": entry["bytes"],
                "accuracy": entry["labelled"]["after"],
                "changed_answers": entry["labelled"]["changed_answers"],
                "max_abs_logit": entry["parity"]["max_abs_logit"],
                "median_ms": measured.get("median_ms"),
                "p90_ms": measured.get("p90_ms"),
            }
        )
    result = {
        "metrics": run.metrics,
        "rows": bundle.report["labelled"]["rows"],
        "files": rows,
        "provenance": provenance(seed=options.seed, command=command),
    }
    files.write_json(options.output / "reviews.json", result)

    accuracy = run.metrics["test_accuracy"]
    print(f"{options.model}, {options.epochs} epochs, best {run.metrics['best_epoch']}")
    print(f"{'file':22} {'kB':>7} {'accuracy':>9} {'changed':>8} {'median ms':>10} {'p90 ms':>7}")
    print(f"{'model.keras':22} {'':7} {accuracy:9.2%}")
    for row in rows:
        times = ["", ""]
        if row["median_ms"] is not None:
            times = [f"{row['median_ms']:.2f}", f"{row['p90_ms']:.2f}"]
        print(
            f"{row['file']:22} {row['bytes'] / 1000:7.0f} {row['accuracy']:9.2%} "
            f"{row['changed_answers']:8d} {times[0]:>10} {times[1]:>7}"
        )


if __name__ == "__main__":
    main()
