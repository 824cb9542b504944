"""What the HTML pages have in common: one style, tables of facts, and how an amount is said."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #5b6570; --line: #d9dee3;
  --paper: #fff; --tint: #f4f6f8; --good: #0b7a43; --bad: #b3261e; --bar: #4a7fb5; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #9aa5b1; --line: #343b43;
  --paper: #15191d; --tint: #1e2429; --good: #4cc38a; --bad: #ff8a80; --bar: #6ea3d8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 76rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.35rem; line-height: 1.35; margin: 0 0 .4rem; }
h1 .mark { color: var(--good); margin-right: .4rem; }
h1.failed .mark, .bad { color: var(--bad); }
h2 { font-size: 1.05rem; margin: 2.2rem 0 .6rem; }
p { margin: .3rem 0; max-width: 60rem; }
.soft { color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .45rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: baseline; white-space: nowrap; }
th { font-weight: 600; color: var(--soft); font-size: .85rem; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
td:first-child small { white-space: normal; max-width: 17rem; }
td small { display: block; color: var(--soft); font-size: .8rem; }
table.plan { margin: .4rem 0; }
table.plan td, table.plan th { text-align: left; }
table.facts { width: auto; }
table.facts td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
table.facts td:first-child { color: var(--soft); white-space: nowrap; padding-right: 1.5rem; }
.size { display: inline-block; width: 5rem; height: .35rem; background: var(--tint); }
.size i { display: block; height: 100%; background: var(--bar); }
details { border-top: 1px solid var(--line); padding: .5rem 0; }
details:last-of-type { border-bottom: 1px solid var(--line); }
summary { cursor: pointer; font-weight: 600; }
summary span { font-weight: 400; color: var(--soft); }
code, pre { font: 13px/1.45 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
pre { background: var(--tint); padding: .7rem .9rem; overflow-x: auto; white-space: pre-wrap;
  overflow-wrap: anywhere; margin: .4rem 0; }
"""


def plain(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns JSON-able values as facts; what is None or an empty object is left out."""
    return [
        (name.replace("_", " "), text_of(value))
        for name, value in values.items()
        if value is not None and value != {}
    ]


def text_of(value: Any) -> str:
    """Returns a JSON-able value as a person would write it, cut where it is very long."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.6g}"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 600 else text[:600] + " …"


def render(template: Path, **values: Any) -> str:
    """Returns a page: a Jinja2 template filled in, everything escaped but the style.

    Args:
        template: A file; those that it includes lie beside it.
        **values: What it is filled with, as text or plain data.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    page: str = environment.get_template(template.name).render(style=STYLE, **values)
    return page + "\n"


def fill(template: Path, filters: Mapping[str, Callable[[Any], str]], **values: Any) -> str:
    """Returns a text that is no HTML: a Jinja2 template filled in; nothing is escaped.

    Args:
        template: A file.
        filters: What the template can send values through: name -> function.
        **values: What it is filled with.
    """
    environment = _texts(template.parent, tuple(filters.items()))
    text: str = environment.get_template(template.name).render(**values)
    return text.rstrip("\n") + "\n"


@cache
def _texts(folder: Path, filters: tuple[tuple[str, Callable[[Any], str]], ...]) -> Any:
    """Templates of a folder, which keep what they are compiled to."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= dict(filters)
    return environment
