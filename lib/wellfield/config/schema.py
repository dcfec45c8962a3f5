"""JSON schemas of the configuration, generated from the models; ``make schemas`` writes them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from wellfield.config.models import Config
from wellfield.formats.text import write_text

SCHEMAS = {"config.schema.json": Config}


def schema_text(name: str) -> str:
    """Return the JSON schema of one file of the configuration."""
    schema = SCHEMAS[name].model_json_schema()
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write_schemas(folder: str | os.PathLike[str]) -> list[Path]:
    """Write all schemas to *folder* and return their paths."""
    paths = [Path(folder) / name for name in SCHEMAS]
    for path in paths:
        write_text(path, schema_text(path.name))
    return paths
