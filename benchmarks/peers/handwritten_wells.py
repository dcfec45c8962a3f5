"""What a laboratory would write instead of a workflow: ``python handwritten_wells.py PLATE OUTPUT PROCESSES``.

The same libraries, functions and outputs, on all cores by multiprocessing: an OME-Zarr plate with the projections and
the labels of the nuclei, each with a pyramid, and tables per well and of the plate. It lacks what one lacks then:
nothing is checked, nothing can be resumed, a plane that cannot be read ends the run, and it knows only the names that
the plate of this benchmark has. Prints the number of objects of each well as JSON.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import counting
import numpy as np
import pandas as pd
import tensorstore
import tifffile

PLANE = re.compile(r"ZStep_(?P<z>\d+)/.*_(?P<well>[A-P]\d\d)_s(?P<field>\d+)_w(?P<channel>\d+)\.TIF$")
CHUNK, SMALLEST = 1024, 256
# As Wellfield and OpenHCS: it does not wait until a file is on the disk.
CONTEXT = tensorstore.Context({"file_io_sync": False})
CODECS = [
    {"name": "bytes", "configuration": {"endian": "little"}},
    {"name": "blosc", "configuration": {"cname": "zstd", "clevel": 1, "shuffle": "bitshuffle", "blocksize": 0}},
]


def find_planes(plate: Path) -> dict[str, dict[int, dict[int, list[Path]]]]:
    """Return the files of each well, field and channel by rising z."""
    found: dict[str, dict[int, dict[int, dict[int, Path]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(dict))
    )
    for path in plate.rglob("*.TIF"):
        if match := PLANE.search(path.as_posix()):
            found[match["well"]][int(match["field"])][int(match["channel"])][int(match["z"])] = path
    return {
        well: {
            field: {channel: [of_z[z] for z in sorted(of_z)] for channel, of_z in sorted(channels.items())}
            for field, channels in sorted(fields.items())
        }
        for well, fields in sorted(found.items())
    }


def write_group(folder: Path, attributes: dict[str, Any]) -> None:
    """Write a Zarr group with the metadata of OME-Zarr 0.5."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"version": "0.5", **attributes}}}
    (folder / "zarr.json").write_text(json.dumps(content))


def write_image(folder: Path, pixels: np.ndarray, attributes: dict[str, Any] | None = None) -> None:
    """Write an image ``[C, Z, Y, X]`` with its pyramid; labels, which have *attributes*, are not averaged."""
    levels = [pixels]
    while max(levels[-1].shape[-2:]) > SMALLEST:
        last = levels[-1]
        if attributes is None:
            blocks = last.reshape(*last.shape[:-2], last.shape[-2] // 2, 2, last.shape[-1] // 2, 2)
            levels.append(blocks.mean(axis=(-3, -1)).round().astype(pixels.dtype))
        else:
            levels.append(last[..., 1::2, 1::2])
    axes = [{"name": name, "type": "space" if name in "zyx" else "channel"} for name in "czyx"]
    scales = [[1.0, 1.0, 2.0**level, 2.0**level] for level in range(len(levels))]
    datasets = [
        {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
        for level, scale in enumerate(scales)
    ]
    write_group(folder, {"multiscales": [{"axes": axes, "datasets": datasets}], **(attributes or {})})
    for level, array in enumerate(levels):
        chunks = [1, 1, *(min(CHUNK, side) for side in array.shape[-2:])]
        shard = [-(-side // chunk) * chunk for side, chunk in zip(array.shape, chunks, strict=True)]
        grid = {"name": "regular", "configuration": {"chunk_shape": shard}}
        sharding = {"name": "sharding_indexed", "configuration": {"chunk_shape": chunks, "codecs": CODECS}}
        metadata = {
            "shape": array.shape,
            "data_type": str(array.dtype),
            "dimension_names": list("czyx"),
            "chunk_grid": grid,
            "codecs": [sharding],
        }
        kvstore = {"driver": "file", "path": str(folder / str(level))}
        spec = {"driver": "zarr3", "kvstore": kvstore, "metadata": metadata}
        tensorstore.open(spec, create=True, context=CONTEXT).result().write(array).result()


def process_well(well: str, fields: dict[int, dict[int, list[Path]]], output: Path) -> pd.DataFrame:
    """Do all the work on one well, and return the table of its objects."""
    folder = output / "plate.zarr" / well[0] / well[1:]
    write_group(folder, {"well": {"images": [{"path": str(number)} for number in range(len(fields))]}})
    tables = []
    for number, (field, channels) in enumerate(fields.items()):
        projections = []
        for paths in channels.values():
            projections.append(counting.project(np.stack([tifffile.imread(path) for path in paths])))
        labels = counting.segment(projections[0])
        images = np.stack(projections)
        image = folder / str(number)
        write_image(image, images)
        write_group(image / "labels", {"labels": ["nuclei"]})
        write_image(image / "labels" / "nuclei", labels[np.newaxis], {"image-label": {"source": {"image": "../.."}}})
        table = pd.DataFrame(counting.measure(labels, images[:, 0]))
        table.insert(0, "well", well)
        table.insert(1, "field", field)
        tables.append(table)
    objects = pd.concat(tables)
    (output / "tables").mkdir(exist_ok=True)
    objects.to_csv(output / "tables" / f"{well}.csv", index=False)
    return objects


def main(plate: str, output: str, processes: str) -> dict[str, int]:
    """Process all wells; return the number of objects of each."""
    wells = find_planes(Path(plate))
    out = Path(output)
    write_group(out / "plate.zarr", {"plate": {"wells": [{"path": f"{well[0]}/{well[1:]}"} for well in wells]}})
    with Pool(int(processes)) as pool:
        tables = pool.starmap(process_well, [(well, fields, out) for well, fields in wells.items()], chunksize=1)
    objects = pd.concat(tables)
    objects.to_csv(out / "objects.csv", index=False)
    objects.to_parquet(out / "objects.parquet")
    return {str(well): int(count) for well, count in objects.groupby("well").size().items()}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
