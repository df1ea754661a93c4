"""One HTML page that holds all it shows: no scripts, nothing fetched, light and dark."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path

_STYLE = """
:root { --ink:#1b1f24; --dim:#5c6670; --paper:#fff; --line:#d8dde2; --real:#5c6670;
  --synthetic:#d9822b; --good:#2e7d4f; --fair:#b7791f; --poor:#b83227; }
@media (prefers-color-scheme: dark) { :root { --ink:#e8eaed; --dim:#a2abb4; --paper:#15181c;
  --line:#343a41; --real:#a2abb4; --synthetic:#f0a04b; --good:#5cbf86; --fair:#e0b050;
  --poor:#ec7063; } }
body { font:15px/1.5 system-ui,sans-serif; color:var(--ink); background:var(--paper);
  max-width:1120px; margin:2rem auto; padding:0 1.2rem; }
h1 { font-size:1.5rem; margin:0 0 .2rem } h2 { font-size:1.1rem; margin:2.2rem 0 .6rem }
p.lead, .dim { color:var(--dim) } p { max-width:70ch; margin:.3rem 0 }
table { border-collapse:collapse; width:100% }
th,td { text-align:left; padding:.35rem .7rem .35rem 0; border-bottom:1px solid var(--line);
  vertical-align:top } th { color:var(--dim); font-weight:600 }
td.number { font-variant-numeric:tabular-nums; white-space:nowrap; font-weight:600 }
.good { color:var(--good) } .fair { color:var(--fair) } .poor { color:var(--poor) }
.grid { display:grid; grid-template-columns:repeat(auto-fill,minmax(260px,1fr)); gap:1.2rem }
figure { margin:0 } figcaption { font-weight:600; overflow-wrap:anywhere }
figcaption span { color:var(--dim); font-weight:400 }
svg { max-width:100%; height:auto } svg text { font-size:11px; fill:var(--dim) }
svg .axis { stroke:var(--line) } rect.cell { stroke:var(--line); stroke-width:.5 }
polyline { fill:none; stroke-width:1.6 } polyline.real { stroke:var(--real) }
polyline.real { fill:var(--real); fill-opacity:.18 } polyline.synthetic { stroke:var(--synthetic) }
rect.real { fill:var(--real) } rect.synthetic { fill:var(--synthetic) }
.dot.real { fill:var(--real); fill-opacity:.45 }
.dot.synthetic { fill:var(--synthetic); fill-opacity:.45 }
svg.plot { width:100%; display:block; margin:.2rem 0 1rem } svg.plot text { font-size:13px }
svg.plot polyline.synthetic { fill:var(--synthetic); fill-opacity:.14 }
svg .line, polyline.line { fill:none; stroke:var(--real); stroke-width:1.1 }
svg .mark { stroke:var(--poor); stroke-width:1.4; stroke-dasharray:5 4 }
svg .beyond { fill:var(--poor); fill-opacity:.1 } svg text.poor { fill:var(--poor) }
svg .flag { fill:var(--poor); stroke:var(--paper); stroke-width:1 }
td.name { white-space:nowrap } img.wide { max-width:100%; background:#fff; border-radius:4px }
h3 { font-size:1rem; margin:1.2rem 0 .2rem } h3 span { color:var(--dim); font-weight:400 }
.key b { display:inline-block; width:.8em; height:.8em; margin:0 .35em 0 1em }
"""


Cell = str | Sequence[tuple[str, str]]
"""Plain, or lines of (text, what is said dimly behind it)."""


class Page:
    """Sections in order; text is escaped, charts are taken as they are."""

    def __init__(self, title: str, lead: str) -> None:
        self._title = title
        self._parts = [f"<h1>{html.escape(title)}</h1>", f'<p class="lead">{html.escape(lead)}</p>']

    def heading(self, text: str, *sentences: str) -> None:
        """A section, and what it is about."""
        self._parts.append(f"<h2>{html.escape(text)}</h2>")
        self.say(*sentences)

    def say(self, *sentences: str) -> None:
        """A paragraph each."""
        self._parts += [f"<p>{html.escape(sentence)}</p>" for sentence in sentences]

    def key(self, first: str = "real rows", second: str = "synthetic rows") -> None:
        """What the two colours mean."""
        colours = (("real", first), ("synthetic", second))
        keys = [f'<b style="background:var(--{n})"></b>{html.escape(text)}' for n, text in colours]
        self._parts.append(f'<p class="key dim">{"".join(keys)}</p>')

    def table(self, head: Sequence[str], rows: Iterable[Sequence[Cell]], *, names: int = 0) -> None:
        """``names``: cells at the beginning of each row that stay in one line."""
        body = "".join(
            f"<tr>{''.join(_cell(cell, place < names) for place, cell in enumerate(row))}</tr>"
            for row in rows
        )
        titles = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
        self._parts.append(f"<table><tr>{titles}</tr>{body}</table>")

    def figures(self, rows: Iterable[tuple[str, str, str, str]]) -> None:
        """(title, number, verdict: good, fair, poor or nothing; sentence) a row."""
        body = "".join(
            f'<tr><td>{html.escape(title)}</td><td class="number {html.escape(verdict)}">'
            f"{html.escape(number)}</td><td>{html.escape(sentence)}</td></tr>"
            for title, number, verdict, sentence in rows
        )
        head = "<tr><th>Measure</th><th>Figure</th><th>What it means</th></tr>"
        self._parts.append(f"<table>{head}{body}</table>")

    def charts(self, charts: Iterable[tuple[str, str, str]]) -> None:
        """(name, note, SVG) side by side."""
        figures = "".join(
            f"<figure><figcaption>{html.escape(name)} <span>{html.escape(note)}</span></figcaption>"
            f"{chart}</figure>"
            for name, note, chart in charts
        )
        self._parts.append(f'<div class="grid">{figures}</div>')

    def chart(self, chart: str, name: str = "", note: str = "") -> None:
        """One, at its full size, under its name."""
        if name:
            told = f"{html.escape(name)} <span>{html.escape(note)}</span>"
            self._parts.append(f"<h3>{told}</h3>")
        self._parts.append(chart)

    def picture(self, content: bytes, text: str) -> None:
        """A PNG or SVG, held by the page. ``text``: for who cannot see it."""
        kind = "png" if content.startswith(b"\x89PNG") else "svg+xml"
        data = base64.b64encode(content).decode("ascii")
        self._parts.append(
            f'<img class="wide" alt="{html.escape(text)}" src="data:image/{kind};base64,{data}">'
        )

    def write(self, path: Path) -> None:
        """The file appears whole or not at all. Raises DataError."""
        from gmkit.artifact.files import write_text_atomic

        write_text_atomic(path, self.text())

    def text(self) -> str:
        """The file."""
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{html.escape(self._title)}</title><style>{_STYLE}</style></head>"
            f"<body>{''.join(self._parts)}</body></html>\n"
        )


def _cell(cell: Cell, name: bool) -> str:
    style = ' class="name"' if name else ""
    if isinstance(cell, str):
        return f"<td{style}>{html.escape(cell)}</td>"
    lines = (
        f'<div>{html.escape(text)} <span class="dim">{html.escape(note)}</span></div>'
        for text, note in cell
    )
    return f"<td{style}>{''.join(lines)}</td>"
