"""Profiles a table of objects with pycytominer: a JSON path in, a JSON description out; runs where pycytominer is."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

import pandas as pd
from pycytominer import aggregate, feature_select, normalize

CONTROLS = "Metadata_Control == 'negative'"
STRATA = ["Metadata_Plate", "Metadata_Well", "Metadata_Control"]


def profile(path: str) -> dict[str, Any]:
    objects = pd.read_parquet(path)
    normalized = normalize(objects, samples=CONTROLS)
    wells = aggregate(objects, strata=STRATA, compute_object_count=True)
    profiles = normalize(wells, samples=CONTROLS)
    selected = feature_select(profiles, operation=["variance_threshold", "correlation_threshold", "drop_na_columns"])
    return {
        "columns": list(objects.columns),
        "normalized_objects": list(normalized.columns),
        "ids": normalized["Metadata_ObjectNumber"].tolist(),
        "wells": list(wells.columns),
        "counts": dict(zip(wells["Metadata_Well"], map(int, wells["Metadata_Object_Count"]), strict=True)),
        "profiles": list(profiles.columns),
        "selected": list(selected.columns),
        "medians": wells.set_index("Metadata_Well")["Nuclei_AreaShape_Area"].to_dict(),
    }


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        found = profile(json.load(sys.stdin))
    json.dump(found, sys.stdout)
