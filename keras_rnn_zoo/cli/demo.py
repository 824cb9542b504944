"""`keras-rnn-zoo demo`: a bundle answers in a browser."""

from __future__ import annotations

import contextlib
import threading

import click

from keras_rnn_zoo.cli import _output as out
from keras_rnn_zoo.cli._options import json_option


@click.command("demo", short_help="Open a page on which a bundle answers in the browser.")
@click.argument("bundle")
@click.option(
    "--port",
    type=int,
    default=0,
    metavar="N",
    help="Port on 127.0.0.1.  [default: any that is free]",
)
@json_option
def command(bundle: str, port: int, as_json: bool) -> None:
    """Serve a page on this machine alone, on which BUNDLE answers what is typed or dropped in.

    LiteRT.js, or MediaPipe where the bundle is for it, answers in the browser, with its time beside
    that of `predict`. It comes from a package of npm, and the page asks no other machine for
    anything. Ctrl-C ends it.

    \b
    npm install --prefix ~/.keras-rnn-zoo/clients/litert_js @litertjs/core@2.5.3
    keras-rnn-zoo demo bundle
    """
    with out.working():
        from keras_rnn_zoo.export.demo.server import open_demo

        page = open_demo(bundle, port)
    with page:
        if as_json:
            out.emit({"url": page.url})
        else:
            click.echo(f"{page.url}  (Ctrl-C ends it)")
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
