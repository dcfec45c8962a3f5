"""The job of a well, with the backends that the settings name."""

import numpy as np
import pytest

from wellfield.cli import main
from wellfield.example import ExamplePlate
from wellfield.formats.json_files import write_json
from wellfield.storage import MemoryStorageBackend, VirtualWorkspaceBackend
from wellfield.workflow.compile_plan import compile_plan
from wellfield.workflow.ingest_plate import ingest_plate
from wellfield.workflow.process_well import process_well

STEPS = [
    {"name": "projected", "func": "max_projection", "materialize": True},
    {"name": "mask", "func": "threshold_otsu", "channels": [1]},
    {"name": "nuclei", "func": "label", "materialize": ["tiff"]},
]


@pytest.fixture(scope="module")
def ingested(tmp_path_factory):
    root = tmp_path_factory.mktemp("plate")
    ExamplePlate(wells=("B02",), fields=2, channels=2, z=2, size=64).write(root)
    ingest_plate(str(root / "Plate_1"), plate="P", microscope="auto", results=root / "results" / "P")
    return root


def run(root, target, **vfs):
    index = root / "results" / "P" / "index.parquet"
    write_json(target / "plan.json", compile_plan(index, {"steps": STEPS, "vfs": vfs}).to_json())
    staged = process_well(index, target / "plan.json", "B02", target / "B02")
    assert (staged.status, staged.planes.used) == ("done", 8)
    return {path.relative_to(target): np.load(path) for path in sorted((target / "B02").rglob("*.npy"))}


@pytest.mark.parametrize(
    ("vfs", "unused"),
    [
        ({"read_backend": "disk"}, (VirtualWorkspaceBackend, "load")),
        ({"intermediate_backend": "disk"}, (MemoryStorageBackend, "save")),
    ],
)
def test_backends_change_where_data_lives_and_nothing_else(ingested, tmp_path, monkeypatch, vfs, unused):
    expected = run(ingested, tmp_path / "default")
    monkeypatch.setattr(*unused, None)
    found = run(ingested, tmp_path / "other", **vfs)
    assert list(found) == list(expected)
    assert len(found) == 2 * (2 + 1)  # fields × (channels projected, one labelled): nothing is left of work between
    for path, array in expected.items():
        np.testing.assert_array_equal(found[path], array)


def test_the_plan_prints_every_setting_with_its_origin(ingested, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where no other configuration is
    (tmp_path / "plates.tsv").write_text(f"plate\tfolder\nP\t{ingested / 'Plate_1'}\n")
    config = tmp_path / "config.yaml"
    config.write_text(
        f"plates: {tmp_path / 'plates.tsv'}\nresults: {ingested / 'results'}\non_missing: fail\n"
        "steps: [{func: max_projection, materialize: true}]\nzarr: {compressor: lz4}\n"
    )
    assert main(["plan", str(config)]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert f"on_missing: fail ({config})" in lines
    assert f"zarr.compressor: lz4 ({config})" in lines
    assert "vfs.materialization_backend: zarr (default)" in lines
    assert "zarr.chunk_strategy: field (default)" in lines
    assert "written to: zarr" in lines
