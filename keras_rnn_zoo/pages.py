"""What the HTML pages have in common: one style, tables of facts, and how an amount is said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from keras_rnn_zoo.files import PathLike, write_bytes

TEMPLATES = Path(__file__).with_name("templates")
"""What templates of all pages include: how models answer, and pictures."""

STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #5b6570; --line: #d9dee3;
  --paper: #fff; --tint: #f4f6f8; --good: #0b7a43; --bad: #b3261e; --warn: #b86e00; --bar: #2f6fb0;
  --pale: #a9b4bf; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #9aa5b1; --line: #343b43;
  --paper: #15191d; --tint: #1e2429; --good: #4cc38a; --bad: #ff8a80; --warn: #f0b45a;
  --bar: #6ea3d8; --pale: #55606b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 76rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.35rem; line-height: 1.35; margin: 0 0 .4rem; overflow-wrap: anywhere; }
h1 .mark { color: var(--good); margin-right: .4rem; }
h1.failed .mark, .bad { color: var(--bad); }
.good { color: var(--good); }
h2 { font-size: 1.15rem; margin: 2.4rem 0 .4rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .3rem; }
p { margin: .3rem 0; max-width: 60rem; overflow-wrap: anywhere; }
.soft { color: var(--soft); }
.verdict { font-weight: 600; margin: .6rem 0; }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .45rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: baseline; white-space: nowrap; }
th { font-weight: 600; color: var(--soft); font-size: .85rem; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
td:first-child small { white-space: normal; max-width: 17rem; }
td small { display: block; color: var(--soft); font-size: .8rem; }
table.plan { margin: .4rem 0; }
table.plan td, table.plan th { text-align: left; }
table.labels { width: auto; min-width: min(100%, 34rem); }
table.labels td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 8rem;
  max-width: 26rem; }
table.facts { width: auto; }
table.facts td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
table.facts td:first-child { color: var(--soft); white-space: nowrap; padding-right: 1.5rem; }
.size { display: inline-block; width: 5rem; height: .35rem; background: var(--tint); }
.size i { display: block; height: 100%; background: var(--bar); }
details { border-top: 1px solid var(--line); padding: .5rem 0; }
details:last-of-type { border-bottom: 1px solid var(--line); }
h2 + details, .scroll + details { margin-top: .8rem; }
summary { cursor: pointer; font-weight: 600; }
summary span { font-weight: 400; color: var(--soft); }
code, pre { font: 13px/1.45 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
code { overflow-wrap: anywhere; }
pre { background: var(--tint); padding: .7rem .9rem; overflow-x: auto; white-space: pre-wrap;
  overflow-wrap: anywhere; margin: .4rem 0; }
table.bars { max-width: 56rem; }
table.bars th, table.bars td { border: 0; padding: .3rem .6rem; vertical-align: middle; }
table.bars th { text-align: left; padding-left: 0; color: var(--ink); font-size: inherit;
  font-weight: 400; white-space: normal; overflow-wrap: anywhere; min-width: min(11rem, 24vw);
  max-width: 16rem; width: 1%; }
table.bars tr.best th, table.bars tr.best .figure { font-weight: 600; }
table.bars td.track { min-width: 7rem; width: 60%; }
table.bars .figure { text-align: left; white-space: normal; min-width: 7rem; width: 18rem; }
table.bars .figure small { font-weight: 400; }
span.track { display: block; position: relative; text-align: left; white-space: nowrap;
  font-size: 0; line-height: 0; height: 1.15rem; background: var(--tint); }
span.track i { display: inline-block; height: 100%; background: var(--bar); vertical-align: top; }
tr.model span.track i { opacity: .6; }
tr.baseline span.track i { background: var(--pale); }
span.track b { position: absolute; top: 50%; height: 0; border-top: 2px solid var(--ink); }
span.track u { position: absolute; top: -.3rem; bottom: -.3rem;
  border-left: 2px dashed var(--bad); }
.hits span.track i.found, .key .found::before { background: var(--bar); }
.hits span.track i.missed, .key .missed::before { background:
  repeating-linear-gradient(45deg, var(--warn) 0 3px, transparent 3px 6px); }
.hits span.track i.false, .key .false::before { background: var(--bad); }
.key span { margin-right: 1.2rem; white-space: nowrap; }
.key span::before { content: ""; display: inline-block; width: 1.4rem; height: .7rem;
  margin-right: .4rem; vertical-align: baseline; }
.key .true::before, .key .predicted::before, .key .naive::before, .key .seen::before,
.key .checked::before { height: 0; border-top: 2px solid; vertical-align: middle; }
.key .true::before { border-color: var(--ink); }
.key .predicted::before { border-color: var(--bar); border-top-width: 3px; }
.key .naive::before { border-color: var(--soft); border-top-style: dashed; }
.key .seen::before { border-color: var(--soft); border-top-style: dashed; }
.key .checked::before { border-color: var(--bar); border-top-width: 3px; }
table.heat { width: auto; border-collapse: separate; border-spacing: 2px; }
table.heat th, table.heat td { border: 0; padding: .3rem .4rem; text-align: center;
  min-width: 2.6rem; vertical-align: middle; }
table.heat th { white-space: normal; max-width: 11rem; overflow-wrap: anywhere; }
table.heat thead th { vertical-align: bottom; }
table.heat .across { font-weight: 400; text-align: left; }
table.heat th:first-child { text-align: left; position: sticky; left: 0; z-index: 1;
  background: var(--paper); padding-right: .6rem; max-width: min(14rem, 36vw); }
table.heat tbody th { color: var(--ink); font-weight: 400; }
table.heat tbody th bdi { display: -webkit-box; -webkit-box-orient: vertical;
  -webkit-line-clamp: 2; overflow: hidden; }
table.heat td { background: var(--tint); }
table.heat td.none { color: var(--pale); }
table.heat td.right:not(.none) {
  background: color-mix(in srgb, var(--bar) var(--share), var(--tint)); }
table.heat td.wrong:not(.none) {
  background: color-mix(in srgb, var(--bad) var(--share), var(--tint)); }
table.heat td.strong, table.heat td.strong small { color: var(--paper); }
table.heat th.corner { white-space: nowrap; }
table.heat.dense th, table.heat.dense td { min-width: 1.75rem; padding: .2rem; font-size: .8rem; }
table.heat.tall thead tr + tr th:not(:first-child) span { writing-mode: vertical-rl;
  transform: rotate(180deg); max-height: 9rem; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; display: inline-block; }
.beside { display: flex; flex-wrap: wrap; gap: .6rem 3rem; align-items: start; }
.beside > * { max-width: 100%; }
.beside > .whole { width: 100%; }
.plots { display: grid; gap: .6rem 1.6rem; margin-top: .8rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); }
figure.plot { margin: 0; min-width: 0; }
figcaption { font-weight: 600; font-size: .9rem; overflow-wrap: anywhere; }
figcaption small { display: block; font-weight: 400; color: var(--soft); }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
svg .grid { stroke: var(--line); }
svg .since { stroke: var(--soft); stroke-dasharray: 2 3; }
svg path { fill: none; stroke: var(--ink); stroke-width: 1.5; stroke-linejoin: round; }
svg path.naive, svg path.seen { stroke: var(--soft); stroke-dasharray: 5 4; }
svg path.predicted, svg path.checked { stroke: var(--bar); stroke-width: 2.5; }
svg circle.true { fill: var(--ink); }
svg circle.predicted, svg circle.checked { fill: var(--bar); }
svg circle.naive, svg circle.seen { fill: var(--soft); }
svg circle.dot { fill: var(--bar); fill-opacity: .5; }
"""


def plain(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns JSON-able values as facts; what is None or empty is left out."""
    return [
        (name.replace("_", " "), text_of(value))
        for name, value in values.items()
        if value is not None and value not in ({}, [], ())
    ]


def text_of(value: Any) -> str:
    """Returns a JSON-able value as a person would write it, cut where it is very long."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        pairs = [(name, item) for name, item in value.items() if item not in ({}, [], ())]
        several = any(isinstance(item, list | tuple | Mapping) for _, item in pairs)
        said = [f"{str(name).replace('_', ' ')} {text_of(item)}" for name, item in pairs]
        text = ("; " if several else ", ").join(said) or "none"
    elif isinstance(value, list | tuple):
        text = ", ".join(map(text_of, value)) or "none"
    else:
        return str(value)
    return text if len(text) <= 600 else text[:600] + " …"


def environment(folder: Path) -> Any:
    """Returns what renders HTML: templates of a folder, and those of all pages; all is escaped."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def render(template: Path, **values: Any) -> str:
    """Returns a page: a Jinja2 template filled in, everything escaped but the style.

    Args:
        template: A file; those that it includes lie beside it, or among the `TEMPLATES`.
        **values: What it is filled with, as text or plain data.
    """
    from markupsafe import Markup

    page: str = (
        environment(template.parent)
        .get_template(template.name)
        .render(style=Markup(STYLE), **values)
    )
    return page + "\n"


def write_page(path: PathLike, page: str) -> None:
    """Writes a page; a command line in it may hold bytes that are no UTF-8.

    Raises:
        OutputError: The place cannot be written.
    """
    write_bytes(path, page.encode("utf-8", "backslashreplace"))


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
