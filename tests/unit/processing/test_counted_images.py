"""Real images whose nuclei others have counted, processed with the steps of ``config/counted/*.yaml``."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml

from wellfield.processing.function_registry import get_function

ROOT = Path(__file__).resolve().parents[3]
COUNTED = Path(os.environ.get("WELLFIELD_PLATES", ROOT.parent / "shared" / "plates")) / "counted"

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not COUNTED.is_dir(), reason=f"real plates: none in {COUNTED}; set WELLFIELD_PLATES"),
]

IMAGES = {
    "example_human": "ExampleHuman/AS_09125_050116030001_D03f00d0.tif",
    "stardist_2d": "stardist_sample/img2d.tif",
}
# Reference counts and their windows: 289 from Nuclei.csv, 125 from the labels drawn by hand.
EXPECTED = {"example_human": (289, 15), "stardist_2d": (125, 13)}

# Changes of one parameter, each large enough to be a user's other choice.
CHANGES = [
    ("gaussian_filter", "sigma", 0.75),
    ("gaussian_filter", "sigma", 1.5),
    ("threshold_otsu", "correction", 0.6),
    ("threshold_otsu", "correction", 1.0),
    ("split_touching", "min_distance", 3),
    ("split_touching", "min_distance", 5),
    ("split_touching", "smoothing", 0.75),
    ("split_touching", "smoothing", 1.5),
    ("split_touching", "min_area", 15),
    ("split_touching", "min_area", 50),
    ("split_touching", "max_hole_area", 0),
    ("split_touching", "max_hole_area", 100),
]


def run(name: str, changes: dict[tuple[str, str], Any] | None = None) -> tuple[np.ndarray, dict, dict]:
    """Return the labels and the tables of the config file called *name*, run step by step."""
    steps = yaml.safe_load((ROOT / "config" / "counted" / f"{name}.yaml").read_text(encoding="utf-8"))["steps"]
    start = tifffile.imread(COUNTED / IMAGES[name])[None]
    images = {"start": start}
    previous = "start"
    for step in steps:
        parameters = dict(step.get("params", {}))
        parameters |= {key: value for (func, key), value in (changes or {}).items() if func == step["func"]}
        parameters |= {key: images[source] for key, source in step.get("inputs", {}).items()}
        result = get_function(step["func"]).function(images[step.get("input", previous)], **parameters)
        previous = step["name"]
        images[previous] = result[0] if isinstance(result, tuple) else result
    _, counts, objects = result
    return images["nuclei"][0], counts, objects


def matched_at_half_overlap(labels: np.ndarray, truth: np.ndarray) -> int:
    """Return how many objects of *truth* share more than half of the union with one of *labels*."""
    count = 0
    for number in np.unique(truth[truth > 0]):
        inside = truth == number
        best = np.bincount(labels[inside]).argmax()
        other = labels == best
        count += bool(best) and np.count_nonzero(inside & other) > 0.5 * np.count_nonzero(inside | other)
    return count


@pytest.mark.parametrize("name", IMAGES)
def test_the_count_is_within_the_window(name):
    labels, counts, objects = run(name)
    expected, tolerance = EXPECTED[name]
    assert abs(int(counts["Count"][0]) - expected) <= tolerance
    assert objects["Metadata_ObjectNumber"].tolist() == list(range(1, labels.max() + 1))


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize(("func", "key", "value"), CHANGES)
def test_a_small_change_of_one_parameter_stays_within_the_window(name, func, key, value):
    _, counts, _ = run(name, {(func, key): value})
    expected, tolerance = EXPECTED[name]
    assert abs(int(counts["Count"][0]) - expected) <= tolerance


def test_objects_are_those_drawn_by_hand():
    labels, _, _ = run("stardist_2d")
    truth = tifffile.imread(COUNTED / "stardist_sample" / "mask2d.tif")
    # The shape alone cannot part nuclei that lie on top of each other.
    assert matched_at_half_overlap(labels, truth) >= 100


def test_objects_lie_where_the_reference_has_them():
    _, _, objects = run("example_human")
    with (COUNTED / "ExampleHuman" / "Nuclei.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    reference = np.array([[float(row["AreaShape_Center_Y"]), float(row["AreaShape_Center_X"])] for row in rows])
    found = np.stack([objects["Nuclei_Location_Center_Y"], objects["Nuclei_Location_Center_X"]], axis=1)
    distance = np.linalg.norm(reference[:, None] - found[None], axis=2)
    nearest, back = distance.argmin(axis=1), distance.argmin(axis=0)
    mutual = back[nearest] == np.arange(len(reference))
    close = distance.min(axis=1) < 4
    assert np.count_nonzero(mutual & close) >= 270
    areas = np.array([float(row["AreaShape_Area"]) for row in rows])[mutual & close]
    ours = objects["Nuclei_AreaShape_Area"][nearest[mutual & close]]
    assert np.median(ours / areas) == pytest.approx(1, abs=0.15)
