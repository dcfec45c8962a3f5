"""``python -m wellfield.example FOLDER``: write the example plate, or remove it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from wellfield.errors import StorageError
from wellfield.example.example_plate import ExamplePlate


def main(arguments: list[str] | None = None) -> int:
    """Write the example plate into the folder named on the command line, and print where it is."""
    parser = argparse.ArgumentParser(prog="python -m wellfield.example", description=main.__doc__)
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="empty or new; the plate's folder comes inside")
    parser.add_argument("--remove", action="store_true", help="remove the example plate that is there")
    given = parser.parse_args(arguments)
    try:
        if given.remove:
            ExamplePlate().remove(given.folder)
            return 0
        found = ExamplePlate().write(given.folder)
    except StorageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, path in found._asdict().items():
        print(f"{name.replace('_', ' ')}: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
