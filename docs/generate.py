"""Renew the generated parts of the documentation: ``make docs`` runs this file.

A generated part stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->`` of a page. Everything else on the page
is written by hand.
"""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from wellfield.cli import _parser
from wellfield.config.models import Config
from wellfield.memory.matrix import markdown
from wellfield.processing.function_registry import function_names, get_function, implementations
from wellfield.processing.intensity import intensity_features
from wellfield.processing.shape import shape_features
from wellfield.processing.texture import texture_features
from wellfield.report.statistics import STATISTICS
from wellfield.results.columns import TREATMENTS, Column
from wellfield.results.paths import files_of
from wellfield.workflow.cell_counts import COLUMNS

DOCS = Path(__file__).parent


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; ``|`` in a cell is escaped."""
    head = list(head)
    lines = [head, ["---"] * len(head), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# --- configuration ---------------------------------------------------------------------------------------------------

TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "`true`, `false`",
    "array": "list",
    "object": "mapping",
}

Schema = Mapping[str, Any]


def configuration() -> str:
    """Return the tables of all keys of ``config.yaml``, made from the models."""
    schema = Config.model_json_schema()
    return "\n\n".join(sections("", schema, schema["$defs"]))


def sections(path: str, model: Schema, models: Schema) -> Iterator[str]:
    """Yield the section of a model, then those of the models in it; *path* is ``layouts: defaults``."""
    required = model.get("required", ())
    rows, inner = [], []
    for name, field in model["properties"].items():
        below = f"{path}: {name}" if path else name
        found = [models[block] for block in blocks(field, models)]
        inner += [(below, block) for block in found]
        meaning = field.get("description") or " ".join(block["description"] for block in found)
        given = "required" if name in required else default(field)
        rows.append((f"`{name}`", values(field, models, below), given, meaning))
    title, words = (f"`{path}`", f"{model['description']}\n\n") if path else ("Top level", "")
    yield f"### {title}\n\n{words}{table(['key', 'value', 'default', 'meaning'], rows)}"
    for below, block in inner:
        yield from sections(below, block, models)


def blocks(field: Any, models: Schema) -> list[str]:
    """Return the names of the models with keys of their own that a field refers to."""
    if isinstance(field, list):
        return [name for one in field for name in blocks(one, models)]
    if not isinstance(field, dict):
        return []
    name = field.get("$ref", "").rpartition("/")[2]
    found = [name] if "properties" in models.get(name, {}) else []
    return found + [name for key, one in field.items() if key != "default" for name in blocks(one, models)]


def values(field: Schema, models: Schema, path: str) -> str:
    """Return what a field takes."""
    if "$ref" in field:
        target = models[field["$ref"].rpartition("/")[2]]
        return f"[mapping](#{anchor(path)})" if "properties" in target else values(target, models, path)
    if "anyOf" in field:
        kinds = [values(one, models, path) for one in field["anyOf"] if one.get("type") != "null"]
        return ", or ".join(dict.fromkeys(", or ".join(kinds).split(", or ")))
    if "const" in field or "enum" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if field["type"] == "array":
        items = field.get("items", {})
        return f"list of {values(items, models, path)}" if items and "anyOf" not in items else "list"
    if field["type"] == "object" and blocks(field, models):
        return f"name → [mapping](#{anchor(path)})"
    limits = [f"≥ {field['minimum']}"] if "minimum" in field else []
    limits += [f"≤ {field['maximum']}"] if "maximum" in field else []
    limits += [f"> {field['exclusiveMinimum']}"] if "exclusiveMinimum" in field else []
    return " ".join([TYPES[field["type"]], ", ".join(limits)]).strip()


def default(field: Mapping[str, Any]) -> str:
    """Return the default of a field, as YAML writes it."""
    value = field.get("default")
    if value is None or value == {} or isinstance(value, dict):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def anchor(heading: str) -> str:
    """Return the anchor that a heading gets, on GitHub and on the site."""
    return re.sub(r"[^\w -]", "", heading).replace(" ", "-").lower()


# --- functions -------------------------------------------------------------------------------------------------------


def functions() -> str:
    """Return all registered functions: an overview, then each with its parameters."""
    names = function_names()
    rows = [(f"[`{name}`](#{name})", summary(name), kind(name), ", ".join(implementations(name))) for name in names]
    overview = table(["function", "what it does", "returns", "array libraries"], rows)
    return "\n\n".join([overview, *(function(name) for name in names)])


def summary(name: str) -> str:
    """Return the first sentence about a function."""
    return (inspect.getdoc(get_function(name).function) or "").splitlines()[0]


def kind(name: str) -> str:
    """Return what kind of image a function returns."""
    return str(get_function(name).returns or "as its input")


def function(name: str) -> str:
    """Return the section of one function."""
    info = get_function(name)
    parameters = []
    for parameter in list(inspect.signature(info.function).parameters.values())[1:]:
        given = "" if parameter.default is inspect.Parameter.empty else f"={parameter.default!r}"
        parameters.append(f"{parameter.name}{given}")
    head = f"{name}({', '.join(parameters)})"
    return f"### {name}\n\n```text\n{head}\n```\n\n{prose(inspect.getdoc(info.function) or '')}"


def prose(docstring: str) -> str:
    """Return a NumPy docstring as Markdown: each section a line in bold, its entries a list."""
    text = re.sub(r":\w+:`~?([^`]*)`", lambda found: f"`{found[1].rpartition('.')[2]}`", docstring)
    text = re.sub(r"``([^`]+)``", r"`\1`", text)
    first, *rest = re.split(r"\n\n(\w+)\n-{3,}\n", text)
    parts = [definitions(first)]
    for title, body in zip(rest[::2], rest[1::2], strict=True):
        parts.append(f"**{title}**")
        parts.append(entries(body) if title in ("Parameters", "Raises") else definitions(body))
    return "\n\n".join(parts)


def entries(body: str) -> str:
    """Return the entries of a docstring's section as a list: a name, then its text indented below it."""
    lines: list[str] = []
    for line in body.splitlines():
        if line.startswith(" "):
            lines[-1] += f" {line.strip()}"
        elif line.strip():
            lines.append(f"* `{line.strip().rstrip(':')}`:")
    return "\n".join(lines)


def definitions(body: str) -> str:
    """Return text of a docstring in which a line with an indented text below it becomes an entry of a list."""
    lines: list[str] = []
    for line in body.splitlines():
        if not line.startswith(" ") or not lines:
            lines.append(line)
        elif lines[-1].startswith("* "):
            lines[-1] += f" {line.strip()}"
        else:
            lines[-1] = f"* {lines[-1].rstrip(':')}: {line.strip()}"
    return "\n".join(lines)


# --- the other parts -------------------------------------------------------------------------------------------------


def command_line() -> str:
    """Return the subcommands of ``wellfield`` with their arguments."""
    parser = _parser()
    (subcommands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    explained = {action.dest: action.help for action in subcommands._choices_actions}
    sections = []
    for name, command in subcommands.choices.items():
        positional = [
            str(one.metavar or one.dest).upper().join(("[", " …]") if one.nargs == "*" else ("", ""))
            for one in command._actions
            if not one.option_strings
        ]
        usage = " ".join(["wellfield", name, *positional])
        options = [
            (
                " ".join([f"`{one.option_strings[-1]}", *[one.metavar or one.dest.upper()] * (one.nargs != 0)]) + "`",
                one.help,
            )
            for one in command._actions
            if one.option_strings and one.dest != "help"
        ]
        words = explained[name]
        parts = [f"### `{usage}`", f"{words[0].upper()}{words[1:]}."]
        sections.append("\n\n".join(parts + ([table(["option", "meaning"], options)] if options else [])))
    return "\n\n".join(sections)


STAGES = {"wells": "**all wells**", "its well": "**its well**"}


def reruns() -> str:
    """Return the tables of what runs again after what."""
    groups = yaml.safe_load((DOCS / "reference" / "reruns.yml").read_text(encoding="utf-8"))
    return "\n\n".join(
        f"## {group['group']}\n\n{table(['what happened', 'what runs'], map(rerun, group['entries']))}"
        for group in groups
    )


def rerun(entry: Mapping[str, Any]) -> tuple[str, str]:
    """Return one row of that table."""
    runs = ", ".join(STAGES.get(stage, stage) for stage in entry["runs"]) or "nothing"
    return entry["what"], f"{runs} ({entry['note']})" if "note" in entry else runs


# --- files of the report ---------------------------------------------------------------------------------------------


def report_files() -> str:
    """Return the table of what the rule of the report writes."""
    return table(["path", "content"], ([f"`{file}`", file.label] for file in files_of("report_plate")))


# --- columns ---------------------------------------------------------------------------------------------------------


def columns(listed: Iterable[Column]) -> str:
    """Return a table of columns."""
    return table(["column", "holds", "meaning"], ([f"`{c.name}`", c.kind, c.meaning] for c in listed))


def statistics() -> str:
    """Return a table of the statistics of controls."""
    rows = ([f"`{entry.column}`", entry.heading, entry.meaning] for entry in STATISTICS)
    return table(["column", "on the summary page", "meaning"], rows)


def features(measure: Callable[..., Any]) -> str:
    """Return what a function that measures objects says of the columns that it makes."""
    _, _, returns = prose(inspect.getdoc(measure) or "").partition("**Returns**\n\n")
    return returns.partition("\n\n**")[0]


# --- pages -----------------------------------------------------------------------------------------------------------

PARTS: Mapping[str, tuple[str, Callable[[], str]]] = {
    "configuration": ("reference/configuration.md", configuration),
    "functions": ("reference/functions.md", functions),
    "commands": ("reference/command-line.md", command_line),
    "reruns": ("reference/reruns.md", reruns),
    "report files": ("reference/outputs.md", report_files),
    "plate map columns": ("reference/columns.md", lambda: columns(TREATMENTS.values())),
    "cell_counts columns": ("reference/columns.md", lambda: columns(COLUMNS)),
    "shape columns": ("reference/columns.md", lambda: features(shape_features)),
    "intensity columns": ("reference/columns.md", lambda: features(intensity_features)),
    "texture columns": ("reference/columns.md", lambda: features(texture_features)),
    "statistics columns": ("reference/columns.md", statistics),
}


def pages() -> Iterator[tuple[Path, str]]:
    """Yield every generated page with its text."""
    texts: dict[str, str] = {}
    for name, (page, generated) in PARTS.items():
        text = texts.get(page) or (DOCS / page).read_text(encoding="utf-8")
        texts[page] = included(text, name, generated())
    yield from ((DOCS / page, text) for page, text in texts.items())
    yield DOCS / "reference" / "conversions.md", markdown()


def included(page: str, name: str, content: str) -> str:
    """Return a page with *content* between its marks of that name."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    before, found, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"the page has no {begin} … {end}")
    return f"{before}{begin}\n\n{content}\n\n{end}{after}"


if __name__ == "__main__":
    for path, text in pages():
        path.write_text(text, encoding="utf-8")
