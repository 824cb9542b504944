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
            ["file", "", "outputs differ by", "on average", "logits differ by"],
            [_row(item, item["parity"] or {}) for item in result["files"]],
            left=2,
        )
        click.echo("\nLargest absolute differences from Keras / what is allowed.")
    if not result["passed"]:
        raise VerificationError(result["text"])
    if not as_json:
        click.echo(f"\n{result['text']}")


def _row(item: dict[str, Any], parity: dict[str, Any]) -> list[str]:
    tolerance = parity.get("tolerance") or {}
    # Without a limit of its own, the largest is judged by the logits and the average.
    limit = parity.get("allowed_output") if tolerance.get("output") is not None else None
    return [
        item["file"],
        "ok" if item["passed"] else "FAILED",
        _of(parity.get("max_abs_output"), limit),
        _of(parity.get("mean_abs_output"), tolerance.get("average")),
        _of(parity.get("max_abs_logit"), parity.get("allowed_logit")),
    ]


def _of(value: float | None, allowed: float | None) -> str:
    return out.small(value) + ("" if allowed is None else f" / {out.small(allowed)}")
