"""OME-Zarr stores with known pixels, written by zarr-python as other programs lay them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}
VERSIONS = ("0.4", "0.5")
LENGTHS = {"t": 2, "c": 2, "z": 3, "y": 6, "x": 8}


@dataclass(frozen=True)
class Image:
    """One image: its axes (``tczyx``), and whatever else its arrays and metadata are to have."""

    axes: str = "cyx"
    lengths: Mapping[str, int] = field(default_factory=dict)
    dtype: str = "u2"
    unit: str | None = "micrometer"
    scale: Mapping[str, float] = field(default_factory=dict)
    translation: Mapping[str, float] | None = None
    labels: Sequence[str | None] | None = None
    shards: bool = False
    separator: str = "/"
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple({**LENGTHS, **self.lengths}.get(axis, 1) for axis in self.axes)

    def attributes(self) -> dict[str, Any]:
        axes = [{"name": axis, "type": TYPES.get(axis, "other")} for axis in self.axes]
        for axis in axes:
            if axis["type"] == "space" and self.unit:
                axis["unit"] = self.unit
        steps: list[dict[str, Any]] = [{"type": "scale", "scale": [self.scale.get(axis, 1.0) for axis in self.axes]}]
        if self.translation is not None:
            moved = [self.translation.get(axis, 0.0) for axis in self.axes]
            steps.append({"type": "translation", "translation": moved})
        datasets = [{"path": "0", "coordinateTransformations": steps}, {"path": "1"}]
        content: dict[str, Any] = {"multiscales": [{"axes": axes, "datasets": datasets, "name": "i"}]}
        if self.labels is not None:
            content["omero"] = {"channels": [{} if label is None else {"label": label} for label in self.labels]}
        return {**content, **self.extra}


def group(path: Path, content: Mapping[str, Any], version: str) -> None:
    """Write a group with NGFF attributes, and the version where each version has it."""
    content = dict(content)
    if version == "0.4":
        for kind in ("plate", "well"):
            content |= {kind: {"version": version, **content[kind]}} if kind in content else {}
        if isinstance(scales := content.get("multiscales"), list):
            content["multiscales"] = [{"version": version, **s} if isinstance(s, dict) else s for s in scales]
    made = zarr.open_group(path, mode="a", zarr_format=2 if version == "0.4" else 3)
    made.attrs.update(dict(content) if version == "0.4" else {"ome": {"version": version, **content}})


def pixels(image: Image, seed: int) -> npt.NDArray[Any]:
    return np.random.default_rng(seed).integers(1, 200, image.shape).astype(image.dtype)


def write_image(path: Path, image: Image, version: str, seed: int = 0) -> npt.NDArray[Any]:
    """Write an image whose planes are chunks of their own, halved along y; return its pixels."""
    group(path, image.attributes(), version)
    values = pixels(image, seed)
    chunks = (*(1 for _ in image.shape[:-2]), -(-image.shape[-2] // 2), image.shape[-1])
    shards = (*image.shape[:-2], 2 * chunks[-2], chunks[-1]) if image.shards else None
    for level in ("0", "1"):
        array = zarr.create_array(
            path / level,
            shape=image.shape,
            dtype=image.dtype,
            chunks=chunks,
            shards=shards,
            zarr_format=2 if version == "0.4" else 3,
            chunk_key_encoding={"name": "v2" if version == "0.4" else "default", "separator": image.separator},
        )
        array[...] = values if level == "0" else 0 * values + 255
    return values


def write_plate(
    store: Path,
    wells: Mapping[str, Mapping[str, Image]],
    version: str = "0.4",
    *,
    plate: Mapping[str, Any] | None = None,
    acquisitions: Mapping[str, int] | None = None,
    absent: Sequence[str] = (),
) -> dict[str, npt.NDArray[Any]]:
    """Write a plate; return the pixels of its images by their path. *absent* wells are listed only."""
    rows = sorted({path.split("/")[0] for path in (*wells, *absent)})
    columns = sorted({path.split("/")[1] for path in (*wells, *absent)})
    listed = [
        {"path": path, "rowIndex": rows.index(path.split("/")[0]), "columnIndex": columns.index(path.split("/")[1])}
        for path in (*wells, *absent)
    ]
    content = {"rows": [{"name": n} for n in rows], "columns": [{"name": n} for n in columns], "wells": listed}
    group(store, {"plate": {**content, **(plate or {})}}, version)
    found = {}
    for well, images in wells.items():
        entries: list[dict[str, Any]] = [{"path": path} for path in images]
        for entry in entries:
            if acquisitions:
                entry["acquisition"] = acquisitions[entry["path"]]
        group(store / well.split("/")[0], {}, version)
        group(store / well, {"well": {"images": entries}}, version)
        for path, image in images.items():
            found[f"{well}/{path}"] = write_image(store / well / path, image, version, seed=len(found))
    return found
