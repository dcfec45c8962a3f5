"""Read what the programs of the end-to-end benchmark wrote: the number of images, and the pixels of one field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Outputs:
    """How many projections and labels of how many fields there are, and one plane of each."""

    projections: int
    labels: int
    projection: npt.NDArray[Any]
    nuclei: npt.NDArray[Any]

    def check(self, name: str, fields: int, channels: int, first: Outputs) -> None:
        """Refuse what is not the work that was asked for.

        Raises
        ------
        RuntimeError
            Images are missing, or their pixels are not those of *first*.
        """
        if (self.projections, self.labels) != (fields * channels, fields):
            raise RuntimeError(
                f"{name} wrote {self.projections} projections and {self.labels} labels; expected {fields * channels} "
                f"and {fields}"
            )
        for ours, theirs in ((self.projection, first.projection), (self.nuclei, first.nuclei)):
            if not (ours.any() and np.array_equal(ours, theirs)):
                raise RuntimeError(f"{name} wrote other pixels than the first")


def in_zarr(plate: Path) -> Outputs:
    """Look at an OME-Zarr plate of layout FIELD with the labels ``nuclei``."""
    import zarr

    images = sorted(plate.glob("*/*/*/0/zarr.json"))
    labels = sorted(plate.glob("*/*/*/labels/nuclei/0/zarr.json"))

    def arrays(found: Sequence[Path]) -> list[Any]:
        return [zarr.open_array(path.parent, mode="r") for path in found]

    projections = sum(int(np.prod(array.shape[:-2])) for array in arrays(images))
    return Outputs(projections, len(labels), _plane(arrays(images[:1])), _plane(arrays(labels[:1])))


def _plane(arrays: Sequence[Any]) -> npt.NDArray[Any]:
    return np.asarray(arrays[0][(*(0 for _ in arrays[0].shape[:-2]), ...)]) if arrays else np.empty(0)


def in_tiffs(folder: Path, projections: str, labels: str) -> Outputs:
    """Look at TIFFs, of which the parent folders are named *projections* and *labels*."""
    import tifffile

    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".tif")
    found = [[path for path in files if path.parent.name == name] for name in (projections, labels)]
    planes = [np.squeeze(tifffile.imread(paths[0])) if paths else np.empty(0) for paths in found]
    return Outputs(len(found[0]), len(found[1]), *planes)
