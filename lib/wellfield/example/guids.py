"""Identifiers that look random and are the same every time."""

from __future__ import annotations

import hashlib
from uuid import UUID


def make_guid(seed: int, name: str) -> UUID:
    """Return the GUID of a name; the same one every time."""
    return UUID(bytes=hashlib.blake2b(f"{seed} {name}".encode(), digest_size=16).digest(), version=4)
