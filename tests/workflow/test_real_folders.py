"""Real plates of which no count is known: they run, and every plane that was found is used."""

import pandas as pd
import pytest

from tests.workflow.project import Project
from wellfield.cli import main
from wellfield.plate.index import read_index

pytestmark = [pytest.mark.workflow, pytest.mark.realdata]


@pytest.mark.parametrize(
    ("folder", "well", "rows"),
    [("Projection-Mix", "E07", 2), ("1well-3C-2S-Zmix-T", "C07", 4)],  # two fields, at two times in the second
)
def test_database_style_imagexpress_plates_run(tmp_path, real_plates, folder, well, rows):
    project = Project(tmp_path / "project").add("P", real_plates / "imagexpress" / folder)
    project.run()
    counts = pd.read_csv(project.results("P", "cell_counts.csv"))
    assert counts["Metadata_Well"].unique().tolist() == [well]
    assert len(counts) == rows
    assert (counts["Status"] == "ok").all()
    assert main(["validate", str(project.results("P"))]) == 0
    info, _ = read_index(project.results("P", "index.parquet"))
    assert info.wells == (well,)
