"""`keras-rnn-zoo clients`: the programs that files can be proven in."""

from __future__ import annotations

from typing import Any

import click

from keras_rnn_zoo.cli import _output as out
from keras_rnn_zoo.cli._options import json_option


@click.command("clients", short_help="List the programs that `verify --clients` runs files in.")
@json_option
def command(as_json: bool) -> None:
    """List the programs that run .tflite files: which there are, and how to install the others.

    They are looked for in this environment, and in folders of their own: those that the printed
    lines make, or within the folder that KERAS_RNN_ZOO_CLIENTS names.

    \b
    keras-rnn-zoo clients
    keras-rnn-zoo verify bundle --clients all
    keras-rnn-zoo verify bundle --clients litert_js,tflite_runtime
    """
    from keras_rnn_zoo.export.clients.client import CLIENTS, installed

    rows: list[dict[str, Any]] = []
    for name in CLIENTS.names():
        client = CLIENTS.get(name)
        rows.append(
            {
                "name": name,
                "description": client.description,
                "target": client.target,
                "installed": [
                    {"label": one.label, "version": one.version, "place": str(one.place)}
                    for one in installed(client)
                ],
                "install": client.install_line(),
            }
        )
    if as_json:
        out.emit(rows)
        return
    there = [
        [row["name"] if one is row["installed"][0] else "", one["label"], one["version"]]
        for row in rows
        for one in row["installed"]
    ]
    if there:
        out.table(["client", "name for --clients", "version"], there, left=3)
    missing = [row for row in rows if not row["installed"]]
    if missing:
        click.echo(f"{chr(10) if there else ''}Not installed:")
    for row in missing:
        click.echo(f"  {row['name']}: {row['description']}\n    {row['install']}")
