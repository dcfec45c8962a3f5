"""Pages of a plate, from the templates beside this module: each is one HTML file that needs no other."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from wellfield.formats.text import write_text
from wellfield.formatting import counted
from wellfield.report.redact import PathCleaner

# Longer lists of files are cut; the complete ones are in the manifests and in ingest_report.json.
LISTED_FILES = 200


@dataclass(frozen=True)
class FileList:
    """Names of files on a page.

    Parameters
    ----------
    about:
        What the files have in common.
    total:
        How many files there are.
    names:
        Their names, all or the first ones.
    complete:
        File of the results that has all names.
    """

    about: str
    total: int
    names: Sequence[str]
    complete: str

    @property
    def shown(self) -> Sequence[str]:
        """The names that the page lists."""
        return self.names[:LISTED_FILES]

    @property
    def more(self) -> int:
        """How many names the page leaves out."""
        return max(0, len(self.names) - LISTED_FILES)


def write_page(path: str | os.PathLike[str], template: str, *, title: str, clean: PathCleaner, **values: Any) -> None:
    """Write a page from a template, ``"summary.html"`` or ``"unfinished.html"``.

    Every value is escaped. Characters that no HTML file can hold (controls, halves of surrogate pairs) become U+FFFD,
    ``None`` a dash. Templates call ``clean(text)`` where a text may hold absolute paths.
    """
    page = _templates().get_template(template).render(title=title, clean=lambda text: clean(str(text)), **values)
    write_text(path, page)


def number_text(value: int | None) -> str:
    """Return a whole number, a dash where there is none."""
    return "–" if value is None else f"{value:,}"


def measured(value: float, digits: int) -> str:
    """Return a number with so many significant digits, a dash for nan."""
    return "–" if math.isnan(value) else f"{value:.{digits}g}".replace("-", "−")


def wells_of(part: int, whole: int) -> str:
    """Return ``"2 of 3 wells"``, or ``"3 wells"`` for all of them."""
    return counted(whole, "well") if part == whole else f"{part:,} of {counted(whole, 'well')}"


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        finalize=_shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"counted": counted, "number": number_text, "of": wells_of}
    return environment


def _shown(value: Any) -> Any:
    """Return a value as the page shows it."""
    if value is None:
        return "–"
    if hasattr(value, "__html__"):
        return value
    return "".join(
        character if character.isprintable() or character in " \n\t\xa0" else "\ufffd" for character in str(value)
    )
