"""Tags of hand-made TIFF files: tifffile cannot write the vendors' layouts, and takes about a millisecond per file."""

from __future__ import annotations

import struct

BYTE, ASCII, SHORT, LONG, RATIONAL = 1, 2, 3, 4, 5
"""Types of values."""

Entry = tuple[int, int, list[int] | bytes]
"""A tag: code, type and value. Bytes and text are bytes (text with its final NUL), a rational is two numbers."""

_SIZES = {SHORT: 2, LONG: 4, RATIONAL: 8}


def pack_directory(entries: list[Entry], at: int) -> bytes:
    """Pack a little-endian image file directory, followed by the values that do not fit into four bytes.

    Parameters
    ----------
    entries:
        The tags, by ascending code.
    at:
        Where in the file the directory comes to lie.
    """
    behind = at + 2 + 12 * len(entries) + 4
    packed_entries, values = [struct.pack("<H", len(entries))], b""
    for code, kind, value in entries:
        if isinstance(value, bytes):
            packed, count = value, len(value)
        else:
            packed = struct.pack(f"<{len(value)}{'H' if kind == SHORT else 'I'}", *value)
            count = len(packed) // _SIZES[kind]
        if len(packed) > 4:
            packed_entries.append(struct.pack("<HHII", code, kind, count, behind + len(values)))
            values += packed + b"\0" * (len(packed) % 2)
        else:
            packed_entries.append(struct.pack("<HHI4s", code, kind, count, packed))
    return b"".join(packed_entries) + bytes(4) + values
