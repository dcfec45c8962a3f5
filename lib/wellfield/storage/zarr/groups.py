"""Groups of a Zarr hierarchy: folders with a small JSON file, or two on Zarr v2.

Sources: https://zarr-specs.readthedocs.io/en/latest/v3/core/#group-metadata and
https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html#groups. A writer of wells needs no more of Zarr than this and
its arrays, and zarr-python takes longer to import than a small well takes to write.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# The files that hold the metadata of a group, by the version of Zarr. Of two the attributes come first: a group of ours
# has them at every moment.
GROUP_FILES = {3: ("zarr.json",), 2: (".zattrs", ".zgroup")}


def group_files(zarr_format: int, attributes: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files of a group by their names, in the order of :data:`GROUP_FILES`."""
    contents: list[Mapping[str, Any]]
    if zarr_format == 3:
        contents = [{"zarr_format": 3, "node_type": "group", "attributes": attributes}]
    else:
        contents = [attributes, {"zarr_format": 2}]
    return {
        name: json.dumps(content, indent=2, allow_nan=False).encode()
        for name, content in zip(GROUP_FILES[zarr_format], contents, strict=True)
    }


def write_group(folder: Path, zarr_format: int, attributes: Mapping[str, Any]) -> None:
    """Write a group in a folder that is not yet at its place; the folder is made if needed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in group_files(zarr_format, attributes).items():
        (folder / name).write_bytes(content)
