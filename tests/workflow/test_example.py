"""The example plate through the shipped configuration, against the truth that lies beside it."""

from collections import Counter
from pathlib import Path

import pandas as pd

from wellfield.config.load import read_config
from wellfield.formats.json import write_json
from wellfield.formats.table import read_parquet
from wellfield.testing.synthetic import ExamplePlate
from wellfield.workflow.compile import compile_plan
from wellfield.workflow.ingest import ingest_plate
from wellfield.workflow.process import process_well

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_shipped_pipeline_counts_within_five_percent_of_the_truth_in_every_well(tmp_path):
    example = ExamplePlate().write(tmp_path / "example")
    index, plan = tmp_path / "index.parquet", tmp_path / "plan.json"
    info = ingest_plate(str(example.plate), plate="Example", microscope="auto", results=tmp_path)
    write_json(plan, compile_plan(index, read_config(REPOSITORY / "config" / "config.yaml")).to_json())
    counts = Counter()
    for well in info.wells:
        staged = process_well(index, plan, well, tmp_path / well)
        assert staged.status == "done"
        table = next(tmp_path / well / output.path for output in staged.outputs if output.name == "cell_counts")
        counts[well] = sum(read_parquet(table)["Count"].to_pylist())
    truth = pd.read_csv(example.truth).groupby("well")["nuclei"].sum()
    assert set(counts) == set(truth.index)
    errors = {well: counts[well] / truth[well] - 1 for well in counts}
    assert {well: error for well, error in errors.items() if abs(error) > 0.05} == {}
