"""Which subdirectory of a plate's metadata counts, and which backend the plate is read through."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wellfield.errors import MetadataError
from wellfield.microscopes import MicroscopeHandler
from wellfield.storage import Backend
from wellfield.storage.workspace_metadata import METADATA_NAME, main_subdirectory, primary_backend

RAW = {
    "workspace_mapping": {"images/a.tif": "TimePoint_1/a.tif"},
    "available_backends": {"disk": True, "virtual_workspace": True},
}
CONVERTED = {"image_files": ["b.tif"], "available_backends": {"zarr": True}}


def write(folder: Path, **subdirectories: dict[str, Any]) -> Path:
    (folder / METADATA_NAME).write_text(json.dumps({"subdirectories": subdirectories}))
    return folder


@pytest.mark.parametrize(
    ("main", "backend", "images"),
    [("zarr", Backend.ZARR, ["b.tif"]), ("raw", Backend.VIRTUAL_WORKSPACE, ["images/a.tif"])],
)
def test_the_main_subdirectory_decides_backend_and_images(
    tmp_path: Path, main: str, backend: Backend, images: list[str]
) -> None:
    folder = write(tmp_path, raw={**RAW, "main": main == "raw"}, zarr={**CONVERTED, "main": main == "zarr"})
    assert MicroscopeHandler.get_primary_backend(folder) is backend
    assert MicroscopeHandler.get_image_files(folder) == images
    assert backend in MicroscopeHandler.get_available_backends(str(folder))


@pytest.mark.parametrize("main", [(False, False), (True, True), ("true", False), (1, False), (None, None)])
def test_without_exactly_one_main_subdirectory_nothing_is_chosen(tmp_path: Path, main: tuple[Any, Any]) -> None:
    folder = write(tmp_path, raw={**RAW, "main": main[0]}, zarr={**CONVERTED, "main": main[1]})
    for choose in (MicroscopeHandler.get_primary_backend, MicroscopeHandler.get_image_files):
        with pytest.raises(MetadataError, match=r"\['raw', 'zarr'\] have \"main\": true; expected one"):
            choose(folder)


@pytest.mark.parametrize("mark", [{}, {"main": True}, {"main": False}])
def test_where_there_is_one_subdirectory_nothing_is_to_be_chosen(tmp_path: Path, mark: dict[str, Any]) -> None:
    folder = write(tmp_path, raw={**RAW, **mark})
    assert MicroscopeHandler.get_primary_backend(folder) is Backend.VIRTUAL_WORKSPACE
    assert main_subdirectory({"subdirectories": {"raw": mark}}, source="x") is mark


@pytest.mark.parametrize("available", [["disk"], "disk", {"disk": "false"}, {"disk": 1}, None])
def test_available_backends_of_another_form_are_an_error(available: Any) -> None:
    with pytest.raises(MetadataError, match=r"plate P: available_backends is .*; expected one such as"):
        primary_backend({"available_backends": available}, source="plate P")


def test_a_backend_of_another_program_is_passed_over() -> None:
    assert primary_backend({"available_backends": {"cloud": True, "disk": True}}, source="") is Backend.DISK
