"""`keras-rnn-zoo verify`: is a bundle still what was exported?"""

from __future__ import annotations

from typing import Any

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
            ["file", "", "outputs differ by", "of their spread", "in 1 %", "decisions"],
            [_row(item, item["parity"] or {}) for item in result["files"]],
            left=2,
        )
        click.echo(
            "\nDifferences from Keras: the largest; the average and the 99 % quantile as shares of "
            "the answers' standard deviation / what is allowed; other decisions / allowed."
        )
    if not result["passed"]:
        raise VerificationError(result["text"])
    if not as_json:
        click.echo(f"\n{result['text']}")


def _row(item: dict[str, Any], parity: dict[str, Any]) -> list[str]:
    each = parity.get("each") or [{}]
    # The output that comes nearest to its limit.
    output = max(each, key=lambda one: one.get("average", 0) / (one.get("allowed_average") or 1))
    changed = output.get("changed")
    return [
        item["file"],
        "ok" if item["passed"] else "FAILED",
        out.small(parity.get("max_abs_output")),
        _of(output.get("average"), output.get("allowed_average")),
        _of(output.get("high"), output.get("allowed_high")),
        out.NOTHING if changed is None else f"{changed} / {output['allowed_changed']}",
    ]


def _of(value: float | None, allowed: float | None) -> str:
    return out.small(value) + ("" if allowed is None else f" / {out.small(allowed)}")
