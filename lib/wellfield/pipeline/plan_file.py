"""The file ``plan.json`` for those that need a few of its values; imports little. All of it is a :class:`Plan`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
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


def plan_digest(plan: Mapping[str, Any]) -> str:
    """Return a digest of a plan's content, given as JSON values: of a plan, or of the file that it is stored in."""
    return hashlib.sha256(json.dumps(plan, sort_keys=True, default=str).encode()).hexdigest()[:16]
