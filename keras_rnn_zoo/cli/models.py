"""`keras-rnn-zoo models`: what the zoo holds."""

from __future__ import annotations

import click

from keras_rnn_zoo.cli._options import json_option
from keras_rnn_zoo.cli._output import emit, table
from keras_rnn_zoo.errors import UnknownNameError, listed, nearest


@click.command("models", short_help="List the models of the zoo.")
@click.argument("pattern", default="*")
@json_option
def command(pattern: str, as_json: bool) -> None:
    """List the models whose name matches PATTERN, such as "*lstm*".

    With --json, each with its settings: their types, their defaults, what they are for.
    """
    from keras_rnn_zoo.builder import MODELS, list_models

    names = list_models(pattern)
    if not names:
        known = list_models()
        raise UnknownNameError(
            f"No model matches {pattern!r}.{nearest(pattern.strip('*?'), known)} "
            f"Known: {listed(known)}."
        )
    models = {name: MODELS.get(name) for name in names}
    if as_json:
        emit(
            [
                {
                    "name": name,
                    "description": model.description,
                    "fields": [
                        {
                            "name": field.name,
                            "type": field.kind.__name__,
                            "default": field.default,
                            "allowed": field.allowed,
                            "description": field.description,
                        }
                        for field in model.fields
                    ],
                }
                for name, model in models.items()
            ]
        )
        return
    table(["MODEL", "DESCRIPTION"], [[name, m.description] for name, m in models.items()], left=2)
