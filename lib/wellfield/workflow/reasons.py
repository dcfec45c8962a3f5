"""Why a well failed, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def reason_text(error: Mapping[str, Any] | None) -> str:
    """Return where and why a well failed, from its manifest."""
    if error is None:
        return "its manifest gives no reason"
    where = [f"{name} {error[name]}" for name in ("field", "timepoint", "channel", "step", "file") if error.get(name)]
    return f"{', '.join(where)}: {error['message']}" if where else str(error["message"])
