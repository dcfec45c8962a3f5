"""Counts on real images that others counted, through the public pipeline, by parameters alone."""

from pathlib import Path

import pytest
import tifffile

from wellfield.pipeline import load_steps, run_pipeline

CONFIGURATIONS = Path(__file__).resolve().parents[3] / "config" / "counted"

pytestmark = pytest.mark.realdata


@pytest.mark.parametrize(
    ("image", "config", "expected", "tolerance"),
    [
        ("ExampleHuman/AS_09125_050116030001_D03f00d0.tif", "example_human.yaml", 289, 15),
        ("stardist_sample/img2d.tif", "stardist_2d.yaml", 125, 13),
    ],
)
def test_the_number_of_nuclei_is_that_of_the_reference(real_plates, image, config, expected, tolerance):
    stack = tifffile.imread(real_plates / "counted" / image)[None]
    result = run_pipeline(load_steps(CONFIGURATIONS / config), stack)
    assert abs(result.outputs["cell_counts"]["Count"][0] - expected) <= tolerance
