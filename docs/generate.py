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

DOCS = Path(__file__).parent


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; ``|`` in a cell is escaped."""
    head = list(head)
    lines = [head, ["---"] * len(head), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# --- configuration ---------------------------------------------------------------------------------------------------

# Sections of the page after the keys of the top level: name of the model → key.
BLOCKS = {
    "StepConfig": "steps",
    "VFSBlock": "vfs",
    "ZarrBlock": "zarr",
    "TiffBlock": "tiff",
    "StepMaterializationBlock": "step_materialization",
    "LayoutBlock": "layouts",
    "LayoutDefaults": "layouts: defaults",
    "WellNumbersBlock": "layouts: well_numbers",
}
TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "`true`, `false`",
    "array": "list",
    "object": "mapping",
}


def configuration() -> str:
    """Return the tables of all keys of ``config.yaml``, made from the models."""
    schema = Config.model_json_schema()
    models = schema["$defs"]
    if unknown := set(models) - set(BLOCKS):
        raise ValueError(f"docs/generate.py: {', '.join(sorted(unknown))} has no section; add it to BLOCKS")
    sections = [f"### Top level\n\n{keys(schema)}"]
    for model, key in BLOCKS.items():
        sections.append(f"### `{key}`\n\n{models[model]['description']}\n\n{keys(models[model])}")
    return "\n\n".join(sections)


def keys(model: Mapping[str, Any]) -> str:
    """Return the keys of one model as a table."""
    required = model.get("required", ())
    rows = [
        (f"`{name}`", values(field), "required" if name in required else default(field), field.get("description", ""))
        for name, field in model["properties"].items()
    ]
    return table(["key", "value", "default", "meaning"], rows)


def values(field: Mapping[str, Any]) -> str:
    """Return what a field takes."""
    if "$ref" in field:
        key = BLOCKS[field["$ref"].rpartition("/")[2]]
        return f"[mapping](#{anchor(key)})"
    if "anyOf" in field:
        kinds = [values(one) for one in field["anyOf"] if one.get("type") != "null"]
        return ", or ".join(dict.fromkeys(", or ".join(kinds).split(", or ")))
    if "const" in field or "enum" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if field["type"] == "array":
        items = field.get("items", {})
        return f"list of {values(items)}" if items and "anyOf" not in items else "list"
    if field["type"] == "object" and "$ref" in (block := field.get("additionalProperties") or {}):
        return f"name → {values(block)}"
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
    first, *sections = re.split(r"\n\n(\w+)\n-{3,}\n", text)
    parts = [first]
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        parts.append(f"**{title}**")
        parts.append(entries(body) if title in ("Parameters", "Raises") else inspect.cleandoc(body))
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


# --- the other parts -------------------------------------------------------------------------------------------------


def command_line() -> str:
    """Return the subcommands of ``wellfield`` with their arguments."""
    parser = _parser()
    (subcommands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    explained = {action.dest: action.help for action in subcommands._choices_actions}
    sections = []
    for name, command in subcommands.choices.items():
        positional = [str(one.metavar or one.dest).upper() for one in command._actions if not one.option_strings]
        usage = " ".join(["wellfield", name, *positional])
        options = [
            (f"`{one.option_strings[-1]} {one.metavar or one.dest.upper()}`", one.help or "")
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


# --- pages -----------------------------------------------------------------------------------------------------------

PARTS: Mapping[str, tuple[str, Callable[[], str]]] = {
    "configuration": ("reference/configuration.md", configuration),
    "functions": ("reference/functions.md", functions),
    "commands": ("reference/command-line.md", command_line),
    "reruns": ("reference/reruns.md", reruns),
}


def pages() -> Iterator[tuple[Path, str]]:
    """Yield every generated page with its text."""
    for name, (page, generated) in PARTS.items():
        path = DOCS / page
        yield path, included(path.read_text(encoding="utf-8"), name, generated())
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
