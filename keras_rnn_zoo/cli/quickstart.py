"""`keras-rnn-zoo quickstart`: the whole way once, in about a minute."""

from __future__ import annotations

from pathlib import Path

import click

from keras_rnn_zoo.cli import _output as out
from keras_rnn_zoo.cli import export
from keras_rnn_zoo.cli._options import json_option, seed_option
from keras_rnn_zoo.errors import VerificationError


@click.command("quickstart", short_help="Search, export and verify on digits: about a minute.")
@seed_option
@json_option
@click.option(
    "-o", "--output", default="quickstart", metavar="DIR", help="Directory to write to: a new one."
)
@click.pass_obj
def command(line: str | None, /, seed: int, as_json: bool, output: str) -> None:
    """Search two models on handwritten digits, export the winner, verify it, show the report.

    It needs no network and no data of your own. After a stop, the same command goes on.
    """
    with out.working():
        from keras_rnn_zoo.quickstart import quickstart

        result = quickstart(output, seed=seed, command=line)
    report, checked = result.bundle.report, result.verification
    if as_json:
        out.emit(
            {
                "path": output,
                "search": {"best": result.search.best.info, "trials": result.search.trials},
                "report": report,
                "verification": checked,
            }
        )
    else:
        best = result.search.best
        click.echo(
            f"\nWinner of {_trials(len(result.search.trials))}: {best.model_name}, "
            f"{best.metrics['parameters']:,} parameters\n"
        )
        out.metrics_table(best.metrics)
        click.echo()
        export.show(report)
        click.echo()
        out.facts(
            [
                ("Verified:", checked["text"]),
                ("Bundle:", str(Path(output) / "bundle")),
                ("Search:", str(Path(output) / "search")),
            ]
        )
        out.next_command("train", "MODEL", "--data", "FILE", "-o", "RUN")
        click.echo("\nTwo pages to open in a browser:")
        pages = {"search": "what was tried, and what won", "bundle": "the files, and their cost"}
        out.facts(
            [
                (str((Path(output) / name / "report.html").resolve()), text)
                for name, text in pages.items()
            ]
        )
    if not checked["passed"]:
        raise VerificationError(checked["text"])


def _trials(count: int) -> str:
    return f"{count} trial{'s' if count != 1 else ''}"
