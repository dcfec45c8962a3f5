"""Checking results: against their own manifests, and against other results."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wellfield.errors import ValidationError
from wellfield.formats.roi import read_rois
from wellfield.formats.tiff import read_calibration, read_tiff
from wellfield.materialization.manifest import file_entry, folder_entry, read_manifest
from wellfield.materialization.well import STORE_NAME

PLATE_TABLES = ("cell_counts.parquet", "objects.parquet")
STATISTICS = "report/plate_statistics.csv"
PLATE_FILES = (
    "openhcs_metadata.json",
    "index.parquet",
    "ingest_report.json",
    "plan.json",
    "cell_counts.csv",
    STATISTICS,
)


def check_results(results: str | os.PathLike[str]) -> list[str]:
    """Return what is wrong with the results of a plate: files that are missing or differ from their manifest.

    Raises
    ------
    ValidationError
        The folder holds no manifest.
    """
    folder = Path(results)
    problems = []
    for well, manifest in _manifests(folder).items():
        for entry in manifest["files"]:
            path = folder / entry["path"]
            if not path.exists():
                problems.append(f"well {well}: {entry['path']} is missing")
                continue
            found = folder_entry(folder, path) if path.is_dir() else file_entry(folder, path)
            if found["sha256"] != entry["sha256"]:
                problems.append(f"well {well}: {entry['path']} is not what was written ({found['size']} bytes)")
    problems += [f"{name} is missing" for name in (*PLATE_FILES, *PLATE_TABLES) if not (folder / name).exists()]
    problems += _check_wells(folder)
    problems += _check_store(folder)
    return problems


def _check_wells(folder: Path) -> list[str]:
    """Compare the wells of the plate's table with those that have a manifest."""
    if not (folder / "cell_counts.parquet").exists():
        return []
    import pandas as pd

    counted = set(pd.read_parquet(folder / "cell_counts.parquet", columns=["Metadata_Well"])["Metadata_Well"])
    found = set(_manifests(folder))
    problems = [f"well {well}: in cell_counts.parquet, but without a manifest" for well in sorted(counted - found)]
    return problems + [f"well {well}: not in cell_counts.parquet" for well in sorted(found - counted)]


def _check_store(folder: Path) -> list[str]:
    """Open every well and field of the plate's store with zarr and compare it with the store's own listing."""
    if not (folder / STORE_NAME).exists():
        return []
    import zarr

    try:
        plate = zarr.open_group(folder / STORE_NAME, mode="r")
        wells = [well["path"] for well in _ngff(plate)["plate"]["wells"]]
        return [f"{STORE_NAME}/{path}: well without image" for path in wells if not _images(plate, path)]
    except (KeyError, ValueError, OSError) as error:
        return [f"{STORE_NAME}: cannot be opened as an OME-Zarr plate: {error!r}"]


def _images(plate: Any, well: str) -> list[str]:
    images = [image["path"] for image in _ngff(plate[well])["well"]["images"]]
    for image in images:
        for dataset in _ngff(plate[f"{well}/{image}"])["multiscales"][0]["datasets"]:
            plate[f"{well}/{image}/{dataset['path']}"]
    return images


def _ngff(group: Any) -> Any:
    """Return the OME-Zarr metadata of a group: below ``ome`` since version 0.5, at the top before."""
    return group.attrs.get("ome", group.attrs)


def compare_results(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> list[str]:
    """Return where the results of two runs differ: wells, status, decoded pixels, calibration and tables.

    Bytes of compressed files and the ``run`` block of manifests are not compared.

    Raises
    ------
    ValidationError
        One of the folders holds no manifest.
    """
    one, two = Path(first), Path(second)
    manifests = _manifests(one), _manifests(two)
    differences = [f"well {well} is only in one of them" for well in sorted(set(manifests[0]) ^ set(manifests[1]))]
    for well in sorted(set(manifests[0]) & set(manifests[1])):
        a, b = manifests[0][well], manifests[1][well]
        differences += [f"well {well}: {key} differs" for key in ("status", "error", "planes") if a[key] != b[key]]
        paths = [{entry["path"] for entry in manifest["files"]} for manifest in (a, b)]
        differences += [f"{path} is only in one of them" for path in sorted(paths[0] ^ paths[1])]
        for path in sorted(paths[0] & paths[1]):
            differences += _compare(one / path, two / path, path)
    others = {f"plate_tables/{path.name}" for folder in (one, two) for path in folder.glob("plate_tables/*.parquet")}
    for name in (*PLATE_TABLES, *sorted(others), STATISTICS):
        differences += _compare(one / name, two / name, name)
    return differences


def _manifests(folder: Path) -> dict[str, dict[str, Any]]:
    files = sorted((folder / "wells").glob("*.json")) if (folder / "wells").is_dir() else []
    if not files:
        raise ValidationError(f"{folder} holds no results: no manifest in {folder / 'wells'}")
    return {file.stem: read_manifest(file) for file in files}


def _compare(one: Path, two: Path, name: str) -> list[str]:
    if not (one.exists() and two.exists()):
        return [] if one.exists() == two.exists() else [f"{name} is only in one of them"]
    if one.is_dir():
        return list(_compare_groups(one, two, name))
    if one.suffix == ".parquet":
        import pandas as pd  # whose comparison takes an empty value as equal to an empty one

        return [] if pd.read_parquet(one).equals(pd.read_parquet(two)) else [f"{name}: the tables differ"]
    if one.suffix in (".tif", ".tiff"):
        same = _equal(read_tiff(one), read_tiff(two)) and read_calibration(one) == read_calibration(two)
        return [] if same else [f"{name}: pixels or calibration differ"]
    if one.name.endswith(".roi.zip"):
        regions = [[roi.tobytes() for roi in read_rois(path)] for path in (one, two)]
        return [] if regions[0] == regions[1] else [f"{name}: the regions differ"]
    return [] if one.read_bytes() == two.read_bytes() else [f"{name}: the files differ"]


def _equal(a: Any, b: Any) -> bool:
    import numpy as np

    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def _compare_groups(one: Path, two: Path, name: str) -> Iterator[str]:
    import zarr

    first, second = zarr.open_group(one, mode="r"), zarr.open_group(two, mode="r")
    members: list[dict[str, Any]] = [dict(group.members(max_depth=None)) for group in (first, second)]
    if dict(first.attrs) != dict(second.attrs):
        yield f"{name}: metadata differ"
    for path in sorted(set(members[0]) ^ set(members[1])):
        yield f"{name}{path} is only in one of them"
    for path in sorted(set(members[0]) & set(members[1])):
        a, b = members[0][path], members[1][path]
        if dict(a.attrs) != dict(b.attrs):
            yield f"{name}{path}: metadata differ"
        if isinstance(a, zarr.Array) and not _equal(a[...], b[...]):
            yield f"{name}{path}: pixels differ"
