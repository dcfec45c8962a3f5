"""OME-Zarr of other versions, or that contradicts itself, is an error that says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.microscopes.ngff_plates import VERSIONS, Image, group, write_image, write_plate
from wellfield.errors import MetadataError
from wellfield.microscopes import get_microscope_handler
from wellfield.microscopes.parsed_plate import ParsedPlate

Read = Callable[[Path], ParsedPlate]
READ = r"Wellfield reads 0.4 \(in Zarr v2\) and 0.5 \(in Zarr v3\)"


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the NGFF attributes of a group."""
    file = folder / ".zattrs"
    file = file if file.exists() else folder / "zarr.json"
    content = json.loads(file.read_text())
    change(content if file.name == ".zattrs" else content["attributes"]["ome"])
    file.write_text(json.dumps(content))


def versioned(version: str, kind: str, attributes: dict[str, Any]) -> dict[str, Any]:
    """Return the object that states the version."""
    found = attributes if version == "0.5" else attributes[kind]
    return found[0] if isinstance(found, list) else found


GROUPS = [("", "plate"), ("A/1", "well"), ("A/1/0", "multiscales")]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("path", "kind"), GROUPS)
@pytest.mark.parametrize("found", ["99.0", "0.3", "0.6-dev1", 5])
def test_another_version_is_an_error_that_names_it(
    tmp_path: Path, read: Read, *, version: str, path: str, kind: str, found: Any
) -> None:
    write_plate(tmp_path / "p", {"A/1": {"0": Image("yx")}}, version)
    edit(tmp_path / "p" / path, lambda content: versioned(version, kind, content).update(version=found))
    with pytest.raises(MetadataError, match=rf"^{path}.*version is {found!r}, in Zarr v[23]; {READ}"):
        read(tmp_path / "p")


def test_the_version_of_the_other_zarr_is_an_error(tmp_path: Path, read: Read) -> None:
    write_plate(tmp_path / "p", {"A/1": {"0": Image("yx")}}, "0.4")
    edit(tmp_path / "p" / "A/1/0", lambda content: content["multiscales"][0].update(version="0.5"))
    with pytest.raises(MetadataError, match=r"A/1/0/.zattrs: multiscales\[0\].version is '0.5', in Zarr v2"):
        read(tmp_path / "p")


@pytest.mark.parametrize(("path", "kind"), [GROUPS[0], GROUPS[2]])
def test_0_4_without_a_version_is_read_with_a_note(tmp_path: Path, read: Read, path: str, kind: str) -> None:
    write_plate(tmp_path / "p", {"A/1": {"0": Image("yx")}}, "0.4")
    edit(tmp_path / "p" / path, lambda content: versioned("0.4", kind, content).pop("version"))
    contents = read(tmp_path / "p")
    assert len(contents.planes) == 1
    (note,) = contents.notes
    assert note.endswith("no version of OME-Zarr is stated; taken as 0.4, the version that Zarr v2 holds")


def test_0_5_without_a_version_is_an_error(tmp_path: Path, read: Read) -> None:
    write_plate(tmp_path / "p", {"A/1": {"0": Image("yx")}}, "0.5")
    edit(tmp_path / "p", lambda content: content.pop("version"))
    with pytest.raises(MetadataError, match=rf"zarr.json: attributes.ome states no version of OME-Zarr; {READ}"):
        read(tmp_path / "p")
    write_image(tmp_path / "q", Image("yx"), "0.5")
    edit(tmp_path / "q", lambda content: content.pop("version"))
    with pytest.raises(MetadataError, match=r"zarr.json: attributes.ome states no version"):
        read(tmp_path / "q")


@pytest.mark.parametrize("axes", [None, ["y", "x"]])
def test_versions_before_axes_had_types_are_an_error_that_says_why(tmp_path: Path, read: Read, axes: Any) -> None:
    write_plate(tmp_path / "p", {"A/1": {"0": Image("yx")}}, "0.4")

    def older(content: dict[str, Any]) -> None:
        content["multiscales"][0].pop("version")
        content["multiscales"][0]["axes"] = axes

    edit(tmp_path / "p" / "A/1/0", older)
    with pytest.raises(MetadataError, match=rf"A/1/0/.zattrs: multiscales\[0\] states no version of OME-Zarr; {READ}"):
        read(tmp_path / "p")


def test_metadata_in_the_place_of_another_version_is_an_error(tmp_path: Path) -> None:
    write_plate(tmp_path / "p", {"A/1": {"0": Image("yx")}}, "0.4")
    content = json.loads((tmp_path / "p/.zattrs").read_text())
    (tmp_path / "p/.zattrs").write_text(json.dumps({"ome": {"version": "0.5", **content}}))
    with pytest.raises(MetadataError, match=r"in Zarr v2 the metadata of OME-Zarr 0.4 is not below 'ome'"):
        get_microscope_handler(tmp_path / "p")[0].read_plate()
    write_plate(tmp_path / "q", {"A/1": {"0": Image("yx")}}, "0.5")
    content = json.loads((tmp_path / "q/zarr.json").read_text())
    content["attributes"] = content["attributes"]["ome"]
    (tmp_path / "q/zarr.json").write_text(json.dumps(content))
    with pytest.raises(MetadataError, match=r"in Zarr v3 the metadata of OME-Zarr 0.5 is below 'ome'"):
        get_microscope_handler(tmp_path / "q")[0].read_plate()


# --- names of dimensions ------------------------------------------------------------------------------------------


def name_dimensions(array: Path, names: list[str | None]) -> None:
    content = json.loads((array / "zarr.json").read_text())
    content["dimension_names"] = names
    (array / "zarr.json").write_text(json.dumps(content))


@pytest.mark.parametrize("names", [["t", "c", "y", "x"], ["y", "c", "x", "t"], ["c", None, "y", "x"], ["c", "t", "y"]])
def test_dimension_names_that_contradict_the_axes_are_an_error_that_names_both(
    tmp_path: Path, read: Read, names: list[str | None]
) -> None:
    write_plate(tmp_path / "p", {"A/1": {"0": Image("ctyx")}}, "0.5")
    name_dimensions(tmp_path / "p/A/1/0/0", names)
    if names[:2] == ["c", None]:
        assert len(read(tmp_path / "p").planes) == 4
        return
    said = ", ".join(map(str, names))
    with pytest.raises(
        MetadataError, match=rf"A/1/0/0: dimension_names are {said}, but the axes of its image are c, t, y, x"
    ):
        read(tmp_path / "p")


@pytest.mark.parametrize("names", [["c", "t", "y", "x"], ["channel", "time", "y", "x"], ["C", "T", "Y", "X"], []])
def test_dimension_names_that_mean_the_axes_are_read(tmp_path: Path, read: Read, names: list[str | None]) -> None:
    write_plate(tmp_path / "p", {"A/1": {"0": Image("ctyx")}}, "0.5")
    name_dimensions(tmp_path / "p/A/1/0/0", names or [None] * 4)
    assert len(read(tmp_path / "p").planes) == 4


def test_dimension_names_of_labels_are_checked_too(tmp_path: Path, read: Read) -> None:
    write_plate(tmp_path / "p", {"A/1": {"0": Image("yx", {"y": 6, "x": 6})}}, "0.5")
    group(tmp_path / "p/A/1/0/labels", {"labels": ["nuclei"]}, "0.5")
    write_image(tmp_path / "p/A/1/0/labels/nuclei", Image("yx", {"y": 6, "x": 6}, dtype="u4"), "0.5")
    name_dimensions(tmp_path / "p/A/1/0/labels/nuclei/0", ["x", "y"])
    with pytest.raises(MetadataError, match=r"labels/nuclei/0: dimension_names are x, y, but the axes .* are y, x"):
        read(tmp_path / "p")


# --- axes and levels ----------------------------------------------------------------------------------------------


def test_axes_of_space_in_another_order_are_an_error(tmp_path: Path, read: Read) -> None:
    write_plate(tmp_path / "p", {"A/1": {"0": Image("yx")}}, "0.4")
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "xy"]
    edit(tmp_path / "p" / "A/1/0", lambda content: content["multiscales"][0].update(axes=axes))
    with pytest.raises(MetadataError, match=r"A/1/0/.zattrs: multiscales\[0\].axes .* in the order \(z,\) y, x"):
        read(tmp_path / "p")


def test_levels_that_do_not_begin_with_the_highest_resolution_are_an_error(tmp_path: Path, read: Read) -> None:
    write_plate(tmp_path / "p", {"A/1": {"0": Image("yx")}}, "0.4")
    levels = [
        {"path": path, "coordinateTransformations": [{"type": "scale", "scale": [size, size]}]}
        for path, size in (("1", 2), ("0", 1))
    ]
    edit(tmp_path / "p" / "A/1/0", lambda content: content["multiscales"][0].update(datasets=levels))
    with pytest.raises(MetadataError, match="levels from the highest resolution down"):
        read(tmp_path / "p")
