"""Stage positions mean the same to stitching whatever way a microscope's y points."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from tests.generators.harmony_plate import HarmonyPlate
from tests.generators.harmony_writer import write_harmony
from tests.generators.imagexpress_plate import ImageXpressPlate
from tests.generators.imagexpress_writer import write_imagexpress
from wellfield.config.load import load_config
from wellfield.formats.json_files import write_json
from wellfield.workflow.compile_plan import compile_plan
from wellfield.workflow.ingest_plate import ingest_plate
from wellfield.workflow.process_well import process_well

SIZE, OVERLAP, GRID = 128, 0.25, (2, 2)


def scene():
    """A textured well of which fields are cut out, row by row from the top left."""
    step = round(SIZE * (1 - OVERLAP))
    noise = np.random.default_rng(0).normal(size=(SIZE + step, SIZE + step))
    image = gaussian_filter(noise, 3)
    image = (1000 + 4000 * (image - image.min())).astype(np.uint16)

    def field(key):
        row, column = divmod(key.field - 1, GRID[1])
        return image[row * step :, column * step :][:SIZE, :SIZE].copy()

    return field


PLATES = {
    "opera_phenix": (
        HarmonyPlate(wells=("B02",), field_mask=("xx", "xx"), size=(SIZE, SIZE), overlap=OVERLAP),
        write_harmony,
    ),
    "imagexpress": (
        ImageXpressPlate(wells=("B02",), site_mask=("xx", "xx"), size=(SIZE, SIZE), overlap=OVERLAP, z_steps=0),
        write_imagexpress,
    ),
}


@pytest.mark.parametrize("microscope", PLATES)
def test_positions_that_the_stage_tells_agree_with_what_the_fields_show(microscope, tmp_path):
    plate, write = PLATES[microscope]
    write(tmp_path, plate, scene())
    ingest_plate(str(tmp_path / plate.name), plate="P", microscope=microscope, results=tmp_path / "results")
    config = load_config({"steps": [{"func": "generate_positions", "stack": "field", "channels": [1]}]})
    plan = compile_plan(tmp_path / "results" / "index.parquet", config)
    assert plan.steps[0].calls[0].params["flip_y"] is (microscope == "opera_phenix")
    write_json(tmp_path / "plan.json", json.dumps(plan.to_json()))
    staged = process_well(tmp_path / "results" / "index.parquet", tmp_path / "plan.json", "B02", tmp_path / "staging")
    edges = pd.read_parquet(next((tmp_path / "staging").rglob("*position_edges*")))
    assert staged
    assert len(edges) >= 4  # and the diagonals, where a rounding decides
    assert edges["used"].all()
    for axis in "xy":
        assert (edges[f"measured_{axis}_px"] - edges[f"predicted_{axis}_px"]).abs().max() < 1
