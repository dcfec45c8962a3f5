"""Find the source files of the user's own functions: a module and all of the user's modules that it imports.

Imports are read from the source; nothing is executed. An import whose name is computed is not found. Python's own
modules, installed packages and Wellfield are not followed.
"""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

_WELLFIELD = Path(__file__).resolve().parent.parent
_INSTALLED = {"site-packages", "dist-packages"}
_PYTHON = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")}


def source_files(place: str) -> dict[str, Path]:
    """Return name → file of the modules that *place* needs; *place* is ``package.module`` or ``file.py``.

    Imports are followed to modules below the working directory and below the folder that holds the package or file. For
    a module of an installed package, only that module is returned.
    """
    if place.endswith(".py"):
        path = Path(place)
        if not path.is_file():
            return {}
        found, roots = {place: path.resolve()}, (Path.cwd(), path.resolve().parent)
    else:
        found = dict(_modules(place))
        if place not in found:
            return found
        top = found.get(place.partition(".")[0], found[place])
        roots = (Path.cwd(), top.parent.parent if top.stem == "__init__" else top.parent)
    own = list(dict.fromkeys(root.resolve() for root in roots))
    pending = [(name, file) for name, file in found.items() if _is_own(file, own)]
    while pending:
        for name, file in _imported(*pending.pop()):
            if name not in found and _is_own(file, own):
                found[name] = file
                pending.append((name, file))
    return found


def _is_own(file: Path, roots: list[Path]) -> bool:
    if _INSTALLED & set(file.parts) or file.is_relative_to(_WELLFIELD):
        return False
    if any(file.is_relative_to(python) for python in _PYTHON):
        return False
    return any(file.is_relative_to(root) for root in roots)


def _imported(name: str, file: Path) -> Iterator[tuple[str, Path]]:
    """Yield the modules that a module imports, with the packages that contain them."""
    try:
        tree = ast.parse(file.read_bytes()) if file.suffix == ".py" else ast.Module([], [])
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the job that imports the module reports the error
        return
    package = name if file.stem == "__init__" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _modules(alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield from _modules(f"{module}.{alias.name}" if module else alias.name)


def _modules(name: str) -> Iterator[tuple[str, Path]]:
    """Yield the files of a module and of the packages that contain it, as far as they exist.

    The last part of the name need not be a module, as in ``from package import function``.
    """
    places: list[str] | None = None
    parts = name.split(".")
    for number in range(1, len(parts) + 1):
        full = ".".join(parts[:number])
        spec = _spec(full, places)
        if spec is None:
            return
        if spec.origin and spec.has_location and Path(spec.origin).is_file():
            yield full, Path(spec.origin).resolve()
        if spec.submodule_search_locations is None:
            return
        places = list(spec.submodule_search_locations)


def _spec(name: str, places: list[str] | None) -> ModuleSpec | None:
    """Return where a module is, without importing the packages above it (``importlib.util.find_spec`` would)."""
    for finder in sys.meta_path:
        try:
            spec = finder.find_spec(name, places)
        except (ImportError, AttributeError, ValueError, OSError):
            continue
        if spec is not None:
            return spec
    return None
