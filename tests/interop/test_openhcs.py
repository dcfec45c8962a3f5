"""What docs/explanation/openhcs.md says holds, with OpenHCS in an environment of its own."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.generators.imagexpress_writer import ImageXpressPlate, Wave, write_imagexpress
from tests.interop.environments import ROOT
from tests.interop.plates import PlateOf, digest
from wellfield.formats.tiff import read_tiff
from wellfield.microscopes import get_microscope_handler
from wellfield.microscopes.parsed_plate import ParsedPlate
from wellfield.plate.index import read_index
from wellfield.plate.keys import PlaneKey, Projection, plane_name
from wellfield.storage import ZarrChunkStrategy

PLATE = ImageXpressPlate(
    name="raw",
    size=(8, 6),
    wells=("B02", "D11"),
    waves=(Wave(name="DAPI", projection="Maximum"), Wave(name="FITC", z=1)),
)
STORES = [(strategy, version) for strategy in ZarrChunkStrategy for version in ("0.4", "0.5")]
RAW = {
    "imagexpress": ("imagexpress/9987_Plate_3434", "9987.HTD"),
    "opera_phenix": ("opera_phenix/operetta_V5_1well_2fields", "Images/Index.xml"),
}


def pixels(key: PlaneKey) -> np.ndarray[Any, np.dtype[np.uint16]]:
    return np.random.default_rng(list(key[1:5])).integers(0, 65536, PLATE.size, np.uint16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw plate, its results, and what is made of both for OpenHCS."""
    folder = tmp_path_factory.mktemp("openhcs")
    write_imagexpress(folder, PLATE, pixels)
    get_microscope_handler(folder / "raw")[0].initialize_workspace(folder / "results", plate="P")
    shutil.copytree(folder / "raw", folder / "beside")
    shutil.copy(folder / "results/openhcs_metadata.json", folder / "beside")
    # Each is the document's own: what readers type must work.
    written = {'"results/P"': folder / "results", '"openhcs/P"': folder / "rewritten"}
    for snippet in re.findall(r"```python\n(.*?)```", (ROOT / "docs/explanation/openhcs.md").read_text(), re.DOTALL):
        assert '"results/P"' in snippet
        exec(re.sub("|".join(written), lambda name: repr(str(written[name[0]])), snippet), {})
    shutil.copytree(folder / "rewritten", folder / "uncalibrated")
    metadata = json.loads((folder / "uncalibrated/openhcs_metadata.json").read_text())
    metadata["subdirectories"]["."] |= {"pixel_size": None, "grid_dimensions": []}
    (folder / "uncalibrated/openhcs_metadata.json").write_text(json.dumps(metadata))
    shutil.copytree(folder / "raw", folder / "calibrated")
    calibrate(folder / "calibrated" / PLATE.htd_name)
    return folder


def calibrate(htd: Path) -> None:
    """Give an HTD file the line that OpenHCS asks for."""
    with htd.open("ab") as file:
        file.write(b'"PixelSizeUM", 1.25\r\n')


@pytest.fixture(scope="module")
def answers(openhcs: Callable[..., list[Any]], folder: Path, plate_of: PlateOf) -> dict[str, Any]:
    operations = {name: ("open", folder / name) for name in ("raw", "results", "beside", "rewritten", "uncalibrated")}
    operations |= {
        "initialised": ("open", folder / "calibrated"),
        "axes": ("orchestrate", folder / "rewritten"),
        "stored": ("store", folder / "stored/zarr"),
    }
    operations |= {f"{strategy} {version}": ("open", plate_of(strategy, version).store) for strategy, version in STORES}
    found = openhcs([(operation, str(path)) for operation, path in operations.values()])
    return dict(zip(operations, found, strict=True))


# --- plates of Wellfield in OpenHCS -------------------------------------------------------------------------------


def test_a_raw_folder_without_pixel_size_in_its_htd_is_refused(answers: dict[str, Any]) -> None:
    assert answers["raw"]["handler"] == "imagexpress"
    assert "does not declare pixel size" in answers["raw"]["planes"]["refused"]


@pytest.mark.parametrize("name", ["results", "beside"])
def test_metadata_of_wellfield_is_read_but_its_mapping_refused(
    answers: dict[str, Any], folder: Path, name: str
) -> None:
    found, (info, planes) = answers[name], read_index(folder / "results/index.parquet")
    assert found["handler"] == "openhcsdata"
    assert found["parser"] == "ImageXpressFilenameParser"
    assert found["grid"] == list(info.grid_dimensions or ())
    assert found["pixel_size"] == info.pixel_size_um
    assert found["channels"] == {"1": "DAPI", "2": "FITC"}
    assert sorted(found["image_files"]) == sorted(f"images/{plane_name(plane.key)}" for plane in planes)
    assert found["planes"] == {"refused": "TypeError: SourcePixelRef workspace mapping must be structured."}


def test_rewritten_as_the_docs_say_every_plane_is_read(answers: dict[str, Any], folder: Path) -> None:
    _, planes = read_index(folder / "results/index.parquet")
    expected = {}
    for plane in planes:
        image = read_tiff(folder / "raw" / plane.path)
        name = plane_name(plane.key).replace("_max_", "_z000_")
        expected[name] = {"shape": list(PLATE.size), "dtype": "uint16", "sha256": digest(image)}
    assert any(plane.key.projection is Projection.MAX for plane in planes)
    assert answers["rewritten"]["planes"] == expected
    assert answers["axes"] == {
        "well": ["B02", "D11"],
        "site": ["1", "2"],
        "channel": ["1", "2"],
        "z_index": ["0", "1", "2", "3"],
        "timepoint": ["1"],
    }


def test_an_unknown_grid_is_taken_and_an_unknown_pixel_size_refused(answers: dict[str, Any]) -> None:
    assert answers["uncalibrated"]["grid"] == []
    assert "'pixel_size' must be a number" in answers["uncalibrated"]["pixel_size"]["refused"]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_stores_of_wellfield_are_refused(answers: dict[str, Any], version: str) -> None:
    assert "Could not auto-detect microscope type" in answers[f"field {version}"]["refused"]
    for strategy in ("well", "file"):
        assert "Duplicate source plane address" in answers[f"{strategy} {version}"]["refused"]


# --- plates of OpenHCS in Wellfield -------------------------------------------------------------------------------


def test_a_plate_that_openhcs_initialised_is_read(answers: dict[str, Any], folder: Path) -> None:
    contents = read(folder / "calibrated")
    assert (contents.plate.pixel_size_um, contents.plate.grid_dimensions) == (1.25, (1, 2))
    by_name = {plane_name(plane.key).replace("_unknown_", "_z000_"): plane.path for plane in contents.planes}
    found = {
        name.removesuffix(".TIF") + ".tif": plane["sha256"] for name, plane in answers["initialised"]["planes"].items()
    }
    assert found == {name: digest(read_tiff(folder / "calibrated" / path)) for name, path in by_name.items()}


def test_a_store_that_openhcs_wrote_is_mapped(answers: dict[str, Any], folder: Path) -> None:
    import zarr

    assert answers["stored"] is None
    names = [f"zarr/B03_s{f}_w{c}_z{z}_t001.tif" for f in ("001", "002", "003") for c in (1, 2) for z in ("001", "002")]
    entry = {"available_backends": {"zarr": True}, "image_files": names, "main": True}
    (folder / "stored/openhcs_metadata.json").write_text(json.dumps({"subdirectories": {"zarr": entry}}))
    planes = sorted(read(folder / "stored").planes)
    values = []
    for plane in planes:
        array, _, indices = plane.path.partition("#")
        values.append(int(zarr.open_array(folder / "stored" / array, mode="r")[(*json.loads(indices), 0, 0)]))
    assert [plane.key[:4] for plane in planes] == [("B03", f, c, z) for f in (1, 2, 3) for c in (1, 2) for z in (1, 2)]
    assert values == list(range(1, 13))


@pytest.mark.parametrize("microscope", RAW)
def test_real_plates_that_openhcs_initialised_are_read(
    openhcs: Callable[..., list[Any]], real_plates: Path, tmp_path: Path, microscope: str
) -> None:
    source, metadata = RAW[microscope]
    for path in (real_plates / source).rglob("*"):
        target = tmp_path / "plate" / path.relative_to(real_plates / source)
        if path.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    if microscope == "imagexpress":
        calibrate(tmp_path / "plate" / metadata)
    else:  # OpenHCS looks for an index of that name
        (tmp_path / "plate/Images/Index.idx.xml").rename(tmp_path / "plate" / metadata)
    [found] = openhcs([("open", str(tmp_path / "plate"))])
    contents = read(tmp_path / "plate")
    assert sorted(plane["sha256"] for plane in found["planes"].values()) == sorted(
        digest(read_tiff(tmp_path / "plate" / plane.path)) for plane in contents.planes
    )
    assert (list(contents.plate.grid_dimensions or ()), contents.plate.pixel_size_um) == (
        found["grid"],
        found["pixel_size"],
    )
    assert len({plane.key for plane in contents.planes}) == len(found["planes"])


def read(folder: Path) -> ParsedPlate:
    handler, why = get_microscope_handler(folder)
    assert "openhcs_metadata.json" in why
    return handler.read_plate()
