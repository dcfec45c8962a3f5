"""The file ``plan.json`` for those that need a few of its values; imports little. All of it is a :class:`Plan`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from wellfield.formats.checked_json import OwnJson

PLAN_SCHEMA_VERSION = 4

PLAN = OwnJson(
    "plan",
    PLAN_SCHEMA_VERSION,
    {
        "memory_mb": float,
        "work_megapixels": float,
        "settings": {str: (str, int, None)},
        "steps": [{"branches": [{"calls": [{"memory_type": str, "output_type": str}]}]}],
    },
    "Delete it, and the next run compiles the pipeline again",
)


# Estimates of what a job needs. No result depends on them.
_ESTIMATES = ("memory_mb", "work_megapixels")
# Beginnings of the settings that decide how results are written and not how they are computed.
_WRITING = ("vfs.materialization_backend", "zarr.", "tiff.", "step_materialization.")


def plan_digest(plan: Mapping[str, Any]) -> str:
    """Return a digest of a plan's content, given as JSON values: of a plan, or of the file that it is stored in.

    Another estimate of memory or work gives the same digest.
    """
    return _digest(_without(plan, _ESTIMATES) | {"steps": [_without(step, _ESTIMATES) for step in plan["steps"]]})


def processing_digest(plan: Mapping[str, Any]) -> str:
    """Return a digest of the part of a plan that ``process_well`` depends on, given as :func:`plan_digest` takes it.

    Example: another TIFF compression gives the same digest, another ``sigma`` or one more step with ``materialize``
    gives another one.
    """
    steps = [
        _without(step, (*_ESTIMATES, "sub_dir")) | {"materialize": bool(step["materialize"])} for step in plan["steps"]
    ]
    settings = {name: value for name, value in plan["settings"].items() if not name.startswith(_WRITING)}
    return _digest(_without(plan, _ESTIMATES) | {"steps": steps, "settings": settings})


def _without(values: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]
