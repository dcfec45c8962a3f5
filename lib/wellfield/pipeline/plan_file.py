"""What ``plan.json`` looks like; imports little, for those that need a few of its values alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from wellfield.formats.checked_json import OwnJson

PLAN_SCHEMA_VERSION = 4

_CALL = {
    "func": (str, None),
    "params": {str: object},
    "plate_params": [str],
    "images": {str: str},
    "specials": {str: str},
    "outputs": [[object]],
    "memory_type": str,
    "output_type": str,
    "returns": str,
    "projection": str,
    "planewise": bool,
}
_STEP = {
    "number": int,
    "name": str,
    "input": str,
    "channels": [int],
    "stack": str,
    "branches": [{"channels": [int], "calls": [_CALL]}],
    "per_well": bool,
    "merged": bool,
    "materialize": [str],
    "sub_dir": str,
    "last_use": int,
    "conversions": [str],
    "memory_mb": float,
}
PLAN = OwnJson(
    "plan",
    PLAN_SCHEMA_VERSION,
    {
        "channels": {str: str},
        "sources": {str: {"z": [int], "projection": str, "timepoints": [int]}},
        "pixel_size_um": (float, None),
        "z_spacing_um": (float, None),
        "start_type": str,
        "memory_mb": float,
        "work_megapixels": float,
        "settings": {str: (str, int, None)},
        "steps": [_STEP],
    },
    "Delete it, and the next run compiles the pipeline again",
)


def plan_digest(plan: Mapping[str, Any]) -> str:
    """Return a digest of a plan's content, given as JSON values: of a plan, or of the file that it is stored in."""
    return hashlib.sha256(json.dumps(plan, sort_keys=True, default=str).encode()).hexdigest()[:16]
