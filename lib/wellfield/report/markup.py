"""Pieces of an HTML page: text, tables, lists of files, numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from wellfield.report.redact import PathCleaner

# Longer lists of files are cut; the complete ones are in the manifests and in ingest_report.json.
LISTED_FILES = 200


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def html_text(value: Any) -> str:
    """Return a value as HTML text; what no HTML file can hold (controls, halves of surrogate pairs) is replaced."""
    visible = (
        character if character.isprintable() or character in " \n\t\xa0" else "\ufffd" for character in str(value)
    )
    return escape("".join(visible))


def html_table(
    head: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    numbers: Iterable[int] = (),
    kinds: Sequence[str] = (),
    clean: PathCleaner | None = None,
) -> str:
    """Return a table; *numbers* are the columns to align right, *kinds* the CSS class of each row."""
    right = set(numbers)
    css = [' class="number"' if column in right else "" for column in range(len(head))]
    lines = ["<tr>" + "".join(f"<th{css[n]}>{html_text(name)}</th>" for n, name in enumerate(head)) + "</tr>"]
    for number, row in enumerate(rows):
        cells = []
        for n, value in enumerate(row):
            shown = "–" if value is None else clean(value) if clean and type(value) is str else value
            cells.append(f"<td{css[n]}>{shown if isinstance(shown, Html) else html_text(shown)}</td>")
        kind = kinds[number] if kinds else ""
        lines.append((f'<tr class="{kind}">' if kind else "<tr>") + "".join(cells) + "</tr>")
    return '<div class="scroll"><table>\n' + "\n".join(lines) + "\n</table></div>"


def html_files(names: Sequence[Any], clean: PathCleaner, complete: str) -> Html:
    """Return a list of names; a long one is folded away, one that is very long is cut and names the *complete* one."""
    shown = ", ".join(f"<code>{html_text(clean(str(name)))}</code>" for name in names[:LISTED_FILES])
    if len(names) > LISTED_FILES:
        shown += f" and {len(names) - LISTED_FILES:,} more, see <code>{html_text(complete)}</code>"
    return Html(shown if len(names) <= 3 else f"<details><summary>show</summary>{shown}</details>")


def number_text(value: int | None) -> str:
    """Return a whole number, a dash where there is none."""
    return "–" if value is None else f"{value:,}"


def measured(value: float, digits: int) -> str:
    """Return a number with so many significant digits, a dash for nan."""
    return "–" if math.isnan(value) else f"{value:.{digits}g}".replace("-", "−")
