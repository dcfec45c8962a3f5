"""The shipped pipeline on every array library: on a real plate the same nuclei, and the same bytes when run again."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from tests.libraries import ON_CPU, need
from tests.workflow.project import REPOSITORY
from wellfield.cli import main
from wellfield.errors import MemoryConversionError, PipelineError
from wellfield.formats.json_files import write_json
from wellfield.memory import MemoryType
from wellfield.plate.index import read_info
from wellfield.workflow.compile_plan import compile_plan
from wellfield.workflow.ingest_plate import ingest_plate
from wellfield.workflow.process_well import process_well

pytestmark = [pytest.mark.workflow]

SHIPPED = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())


class Plate:
    """The real plate, ingested; runs of it are made when they are asked for."""

    def __init__(self, folder, root):
        self.root = root
        ingest_plate(str(folder), plate="9987", microscope="auto", results=root)
        self.index = root / "index.parquet"
        self.wells = read_info(self.index).wells
        self.staged = {}

    def run(self, library, number=1):
        """The folder with the staged wells of a run on *library*."""
        need(library)
        folder = self.root / f"{library}_{number}"
        if folder not in self.staged:
            plan = compile_plan(self.index, SHIPPED | {"memory_type": library})
            write_json(folder / "plan.json", plan.to_json())
            for well in self.wells:
                staged = process_well(self.index, folder / "plan.json", well, folder / well)
                assert staged.status == "done", staged.error
            self.staged[folder] = plan
        return folder


@pytest.fixture(scope="module")
def plate(real_plates, tmp_path_factory):
    return Plate(real_plates / "imagexpress" / "9987_Plate_3434", tmp_path_factory.mktemp("libraries"))


def counts(folder, wells):
    tables = [pq.read_table(folder / well / "outputs" / "cell_counts_0.parquet").to_pylist() for well in wells]
    return {(row["Metadata_Well"], row["Metadata_Site"]): row["Count"] for rows in tables for row in rows}


@pytest.mark.realdata
@pytest.mark.parametrize("library", ON_CPU)
def test_the_nuclei_are_those_of_numpy(plate, library):
    expected, found = counts(plate.run("numpy"), plate.wells), counts(plate.run(library), plate.wells)
    assert len(expected) == 4
    assert min(expected.values()) > 10
    assert found.keys() == expected.keys()
    for field, count in expected.items():
        assert abs(found[field] - count) <= max(1, 0.01 * count), (field, found, expected)


@pytest.mark.realdata
@pytest.mark.parametrize("library", ON_CPU)
def test_projections_are_equal_and_labels_nearly(plate, library):
    reference = plate.run("numpy")
    for path in sorted(reference.rglob("*.npy")):
        expected, found = np.load(path), np.load(plate.run(library) / path.relative_to(reference))
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        if "projected" in path.parts:
            np.testing.assert_array_equal(found, expected)
        else:
            assert np.mean((found > 0) != (expected > 0)) < 1e-3


@pytest.mark.realdata
@pytest.mark.parametrize("library", ON_CPU)
def test_a_second_run_gives_the_same_bytes(plate, library):
    first, second = (plate.run(library, number) for number in (1, 2))
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert len(files) > 2 * 5
    assert files == sorted(path.relative_to(second) for path in second.rglob("*") if path.is_file())
    assert [(first / file).read_bytes() for file in files] == [(second / file).read_bytes() for file in files]


@pytest.mark.realdata
def test_the_plan_keeps_steps_on_the_library_that_have_it_and_shows_the_conversions(plate):
    plan = compile_plan(plate.index, SHIPPED | {"memory_type": "torch"})
    assert [call.memory_type for step in plan.steps for call in step.calls] == [
        "torch",
        "torch",
        "torch",
        "numpy",
        "numpy",
    ]
    assert [step.conversions for step in plan.steps] == [
        (
            "start: planes stacked, then numpy → torch by same buffer, shared",
            "written: torch → numpy by same buffer, shared",
        ),
        (),
        (),
        ("mask: torch → numpy by same buffer, shared",),
        ("projected: torch → numpy by same buffer, shared",),
    ]
    assert plan.libraries == ("numpy", "torch")


@pytest.mark.realdata
def test_cupy_without_a_gpu_is_a_mistake_of_the_configuration(plate):
    with pytest.raises(PipelineError, match=r"max_projection runs on cupy, which needs a GPU; say 'device: gpu'"):
        compile_plan(plate.index, SHIPPED | {"memory_type": "cupy"})


@pytest.mark.realdata
def test_a_gpu_that_is_not_there_fails_the_job_before_an_image_is_read(plate, tmp_path):
    need("torch")
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    write_json(
        tmp_path / "plan.json", compile_plan(plate.index, SHIPPED | {"memory_type": "torch", "device": "gpu"}).to_json()
    )
    with pytest.raises(MemoryConversionError, match="torch sees no CUDA device"):
        process_well(plate.index, tmp_path / "plan.json", "B02", tmp_path / "B02")
    assert not (tmp_path / "B02").exists()


@pytest.mark.realdata
def test_where_the_cpu_will_do_a_gpu_that_is_not_there_changes_nothing(plate, tmp_path, caplog):
    need("torch")
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    plan = compile_plan(plate.index, SHIPPED | {"memory_type": "torch", "device": "gpu_or_cpu"})
    write_json(tmp_path / "plan.json", plan.to_json())
    process_well(plate.index, tmp_path / "plan.json", "B02", tmp_path / "B02")
    assert "torch sees no CUDA device: its steps run on the CPU" in caplog.text
    reference = plate.run("torch") / "B02"
    files = sorted(path.relative_to(reference) for path in reference.rglob("*") if path.is_file())
    for file in files:
        found, expected = (tmp_path / "B02" / file).read_bytes(), (reference / file).read_bytes()
        if file.name == "staged.json":  # it names the plan, which is another one
            found, expected = (json.loads(content) | {"processing": ""} for content in (found, expected))
        assert found == expected


def test_opencl_and_tensorflow_work_in_one_pipeline_of_the_real_workflow(project, small_plate, capsys):
    need("pyclesperanto", "tensorflow", "torch")
    project.config["steps"][0]["memory_type"] = "tensorflow"
    project.config["steps"][1]["memory_type"] = "pyclesperanto"
    project.add("P1", small_plate / "Plate_1", wells="B02").run()
    rows = (project.results("P1", "cell_counts.csv")).read_text().splitlines()[1:]
    assert len(rows) == 2
    (log,) = project.results("P1", "logs", "process_well").glob("B02.log")
    assert re.search(r"conversions numpy → tensorflow by same buffer", log.read_text())
    assert re.search(r"conversions tensorflow → pyclesperanto by host copy", log.read_text())
    plan = json.loads(project.results("P1", "plan.json").read_text())
    # The mask has no library of its own and stays with that of its input.
    calls = [call for step in plan["steps"] for branch in step["branches"] for call in branch["calls"]]
    assert [call["memory_type"] for call in calls] == [
        MemoryType.TENSORFLOW,
        MemoryType.PYCLESPERANTO,
        MemoryType.PYCLESPERANTO,
        MemoryType.NUMPY,
        MemoryType.NUMPY,
    ]
    config = Path(project.root, "config", "config.yaml")
    project.config |= {"results": str(project.results()), "plates": str(project.root / "config" / "plates.tsv")}
    project.write()
    assert main(["plan", str(config)]) == 0
    printed = capsys.readouterr().out
    assert "libraries: pyclesperanto, numpy, tensorflow" in printed
    assert "converts: projected: tensorflow → pyclesperanto by host copy, copied" in printed
