"""The presets in the real workflow."""

import pandas as pd
import yaml

from tests.workflow.project import REPOSITORY
from wellfield.workflow.validate import check_results


def test_the_preset_for_cells_measures_nuclei_cells_and_cytoplasm(project, small_plate):
    project.config |= yaml.safe_load((REPOSITORY / "config" / "presets" / "cells.yaml").read_text())
    project.add("P1", small_plate / "Plate_1").run()
    objects = pd.read_parquet(project.results("P1", "objects.parquet"))
    counts = pd.read_csv(project.results("P1", "cell_counts.csv"))
    per_class = counts.groupby("Object")["Count"].sum()
    assert per_class.to_dict() == dict.fromkeys(("Nuclei", "Cells", "Cytoplasm"), len(objects))
    assert len(objects) > 10
    for part in ("Nuclei", "Cells", "Cytoplasm"):
        assert f"{part}_AreaShape_Area" in objects
        assert any(name.startswith(f"{part}_Intensity_MeanIntensity_") for name in objects)
        assert any(name.startswith(f"{part}_Texture_") for name in objects)
    nuclei, cells, cytoplasm = (
        objects[f"{part}_AreaShape_Area"].fillna(0) for part in ("Nuclei", "Cells", "Cytoplasm")
    )
    assert (cells == nuclei + cytoplasm).all()
    quality = pd.read_parquet(project.results("P1", "plate_tables", "field_quality.parquet"))
    assert len(quality) == len(counts) / 3
    assert check_results(project.results("P1")) == []
