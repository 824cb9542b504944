"""`keras-rnn-zoo verify`: is a bundle still what was exported?"""

from __future__ import annotations

import click

from keras_rnn_zoo.cli import _output as out
from keras_rnn_zoo.cli._options import json_option
from keras_rnn_zoo.errors import VerificationError


@click.command("verify", short_help="Check that a bundle is what was exported.")
@click.argument("bundle")
@json_option
def command(bundle: str, as_json: bool) -> None:
    """Check BUNDLE again, from its own files: unchanged, builtin ops only, the same answers.

    The exit code is 0 if every file passes.

    \b
    keras-rnn-zoo verify bundle
    """
    with out.working():
        from keras_rnn_zoo.export.bundle import verify_bundle

        result = verify_bundle(bundle, progress=True)
    if as_json:
        out.emit(result)
    else:
        out.table(
            ["file", "", "outputs differ by", "allowed"],
            [
                [
                    item["file"],
                    "ok" if item["passed"] else "FAILED",
                    out.small((item["parity"] or {}).get("max_abs_output")),
                    out.small((item["parity"] or {}).get("allowed_output")),
                ]
                for item in result["files"]
            ],
            left=2,
        )
    if not result["passed"]:
        raise VerificationError(result["text"])
    if not as_json:
        click.echo(f"\n{result['text']}")
