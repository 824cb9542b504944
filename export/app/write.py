"""The folder `app/` of a bundle: code that runs its files, a folder a language."""

from __future__ import annotations

from pathlib import Path

from keras_rnn_zoo.export.app.app import SPELLINGS_FILE, App
from keras_rnn_zoo.export.app.language import LANGUAGES, code_files, rendered
from keras_rnn_zoo.files import write_text

APP = "app"


def code_of(app: App, name: str) -> dict[str, str] | None:
    """Returns an app's code in a language: path -> text; None where it is refused.

    Args:
        app: The app.
        name: A name of `LANGUAGES`.

    Raises:
        UnknownNameError: There is no such language.
    """
    language = LANGUAGES.get(name)
    if language.refuses(app) is not None:
        return None
    return code_files(language, app)


def write_app(directory: Path, app: App) -> None:
    """Writes `app/` into a directory: a folder for each language, and what is in it."""
    place = directory / APP
    written, left_out = [], []
    for name in LANGUAGES.names():
        language = LANGUAGES.get(name)
        code = code_of(app, name)
        if code is None:
            if reason := language.refuses(app):
                left_out.append({"name": name, "reason": reason})
            continue
        runs = language.classifies(app) or language
        written.append(
            {
                "name": name,
                "description": runs.description,
                "usage": runs.usage,
                "files": [file.name for file in language.usable(app)],
                "classifies": runs is not language,
            }
        )
        for path, text in code.items():
            target = place / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            write_text(target, text)
    if not written:
        return
    if app.spelled and not all(one["classifies"] for one in written):
        write_text(place / SPELLINGS_FILE, app.spellings)
    encodes = {
        "text": "cuts a text into tokens and looks up their ids",
        "tokens": "pads token ids",
        "features": "scales and pads features",
        "arrays": "fills its inputs",
    }[app.kind]
    page = rendered("README.md.jinja", app, written=written, left_out=left_out, encodes=encodes)
    write_text(place / "README.md", page)
