"""Small generated plates for the tests of the microscopes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.generators.imagexpress_writer import ImageFile, ImageXpressPlate, Wave, write_imagexpress
from wellfield.microscopes import get_microscope_handler
from wellfield.microscopes.parsed_plate import ParsedPlate

WriteFile = Callable[..., Path]
WritePlate = Callable[[ImageXpressPlate], tuple[Path, list[ImageFile]]]


@pytest.fixture
def write_file(tmp_path: Path) -> WriteFile:
    """Write one plane of a vendor's plate under any path below ``tmp_path``; ``tagged=False`` leaves its tags out."""

    def write(path: str, *, z: int = 1, projection: str | None = None, steps: int = 3, tagged: bool = True) -> Path:
        wave = Wave(z=0 if projection else None, projection=projection)
        plate = ImageXpressPlate(name="p", wells=("A01",), site_mask=("x",), waves=(wave,), z_steps=steps, size=(4, 4))
        folder = tmp_path / "made"
        files = write_imagexpress(folder, plate, lambda key: np.full((4, 4), key.z, "u2"))
        content = next(f.path for f in files if not f.filler and (projection or f.key.z == z)).read_bytes()
        if not tagged:
            content = content.replace(b"Z Step", b"Q Step").replace(b"Z Projection", b"Q Projection")
        target = tmp_path / "plate" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        return target

    return write


@pytest.fixture
def write_plate(tmp_path: Path) -> WritePlate:
    """Write a generated plate; gives its folder and its files."""

    def write(plate: ImageXpressPlate) -> tuple[Path, list[ImageFile]]:
        files = write_imagexpress(tmp_path, plate, lambda key: np.full(plate.size, key.channel * 100 + key.z, "u2"))
        return tmp_path / plate.name, files

    return write


@pytest.fixture
def read() -> Callable[[Path], ParsedPlate]:
    """Read a plate folder whose microscope is found by its content."""
    return lambda folder: get_microscope_handler(folder)[0].read_plate()
