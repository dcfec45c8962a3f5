"""The frame of a page: one HTML file, needing no other."""

from __future__ import annotations

import os
from collections.abc import Iterable

from wellfield.formats.text import write_text
from wellfield.report.markup import html_text

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, sans-serif; color: #1f2328; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
.facts, .note { color: #59636e; margin: .2rem 0; }
.good { background: #e9f7ee; border-left: 4px solid #1a7f37; padding: .6rem 1rem; margin: 1.2rem 0; }
.wrong { background: #fdf1f0; border-left: 4px solid #b42318; padding: .1rem 1rem 1rem; margin: 1.2rem 0; }
.wrong h2 { margin-top: .8rem; color: #b42318; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: left; vertical-align: top; border-bottom: 1px solid #d8dee4; }
th { font-weight: 600; border-bottom: 2px solid #afb8c1; }
td { overflow-wrap: anywhere; }
td.number, th.number { text-align: right; white-space: nowrap; }
tr.failed td { background: #fdf1f0; }
tr.attention td { background: #fff8e5; }
details { margin: .3rem 0; }
summary { cursor: pointer; }
code { font-size: .92em; overflow-wrap: anywhere; }
pre { font-size: .85em; background: #f6f8fa; padding: .5rem .8rem; margin: .3rem 0; white-space: pre-wrap;
  overflow-wrap: anywhere; }
"""


def write_page(path: str | os.PathLike[str], title: str, parts: Iterable[str]) -> None:
    """Write a page of these parts, which are HTML; empty ones are left out."""
    write_text(
        path,
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{html_text(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{STYLE}</style>\n</head>\n<body>\n'
        + "\n".join(part for part in parts if part)
        + "\n</body>\n</html>\n",
    )
