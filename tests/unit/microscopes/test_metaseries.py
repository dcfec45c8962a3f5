from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from wellfield.microscopes.metaseries import PlaneTags, read_tags
from wellfield.plate.keys import Projection

WriteFile = Callable[..., Path]


def write(path: Path, properties: str) -> PlaneTags | None:
    tifffile.imwrite(path, np.zeros((4, 5), "u2"), description=f"<MetaData>{properties}</MetaData>", metadata=None)
    return read_tags(path)


def prop(name: str, value: str) -> str:
    return f'<custom-prop id="{name}" type="string" value="{value}"/>'


@pytest.mark.parametrize(
    ("method", "projection"),
    [
        ("Maximum", Projection.MAX),
        ("maximum", Projection.MAX),
        ("Best Focus", Projection.BEST_FOCUS),
        ("Sum", "unknown"),
    ],
)
def test_a_projection_is_told_by_its_method(tmp_path: Path, method: str, projection: str) -> None:
    tags = write(tmp_path / "a.tif", prop("Z Projection Method", method))
    assert tags is not None
    assert (tags.projection, tags.z) == (projection, None)


@pytest.mark.parametrize(
    ("text", "z"), [("3", 3), ("3.0", 3), ("0", None), ("x", None), ("2.5", None), ("nan", None), ("inf", None)]
)
def test_a_z_step_counts_from_one(tmp_path: Path, text: str, z: int | None) -> None:
    tags = write(tmp_path / "a.tif", prop("Z Step", text))
    assert tags is not None
    assert (tags.projection, tags.z) == (Projection.NONE, z)


@pytest.mark.parametrize(
    ("state", "unit", "size", "expected"),
    [
        ("on", "um", "0.65", 0.65),
        ("on", "&#181;m", "0.65", 0.65),
        ("on", "nm", "650", 0.65),
        ("off", "um", "0.65", None),
        ("on", "pixel", "1", None),
        ("on", "", "1", None),
        ("on", "um", "0", None),
        ("on", "um", "-1", None),
        ("on", "um", "nan", None),
        ("on", "um", "wide", None),
    ],
)
def test_only_a_calibration_with_a_unit_of_length_that_is_on_counts(
    tmp_path: Path, state: str, unit: str, size: str, expected: float | None
) -> None:
    names = {"state": state, "units": unit, "x": size}
    tags = write(tmp_path / "a.tif", "".join(prop(f"spatial-calibration-{name}", v) for name, v in names.items()))
    assert tags is not None
    assert tags.pixel_size_um == expected


def test_names_are_unescaped_and_entities_never_expanded(tmp_path: Path) -> None:
    entity = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    tags = write(tmp_path / "a.tif", entity + prop("_IllumSetting_", "A &amp; B &e;"))
    assert tags is not None
    assert tags.illumination == "A & B &e;"


def test_a_tiff_without_such_tags_says_only_its_size(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 5), ">u2"))
    tags = read_tags(tmp_path / "a.tif")
    assert repr(tags) == repr(PlaneTags((4, 5), "uint16"))


@pytest.mark.parametrize("content", [b"", b"II*\0", b"garbage", bytes(1000)], ids=repr)
def test_what_is_no_tiff_has_no_tags(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    assert read_tags(tmp_path / "a.tif") is None
    assert read_tags(tmp_path / "none.tif") is None


def test_colour_images_are_no_planes(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 5, 3), "u1"), photometric="rgb")
    assert read_tags(tmp_path / "a.tif") is None


def test_a_header_with_a_wrong_byte_never_stops_the_plate(write_file: WriteFile) -> None:
    path = write_file("x_A01_s1_w1.TIF")
    content = path.read_bytes()
    assert read_tags(path) is not None
    start = int.from_bytes(content[4:8], "little")
    for position in [*range(8), *range(start, min(len(content), start + 200))]:
        for value in (0, 1, 2, 17, 255):
            path.write_bytes(content[:position] + bytes([value]) + content[position + 1 :])
            tags = read_tags(path)
            assert tags is None or len(tags.shape) == 2
