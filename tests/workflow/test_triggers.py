"""What runs again after what: each entry of docs/reference/reruns.yml in the real workflow."""

import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from tests.workflow.project import REPOSITORY, SMALL, Project
from tests.workflow.promises import entries, promised
from wellfield.plate.index import read_index
from wellfield.results.well_jobs import read_jobs
from wellfield.workflow.compile_plan import compile_plan
from wellfield.workflow.validate import check_results

pytestmark = pytest.mark.workflow

# What the workflow is made of.
PROGRAM = ("Snakefile", "rules", "scripts", "lib", "envs", "report", "config", "profiles")


@dataclass(frozen=True)
class Case:
    """An entry, and how it comes about.

    ``edit`` changes a finished project and may return arguments of the command; ``after`` looks at the results. A dry
    run shows the jobs of most entries. The run is a real one where what runs is decided only by ingest or the plan, and
    once for each kind of change.
    """

    key: str
    edit: Callable[[Project], Sequence[str] | None]
    real: bool = False
    wells: tuple[str, ...] = SMALL.wells
    its: tuple[str, ...] = ()
    plate: str = "P1"
    after: Callable[[Project], object] = lambda _: None


def configured(block, key, value):
    def edit(project):
        project.config[block][key] = value

    return edit


def config(**values):
    return lambda project: project.config.update(values)


def parameter(project):
    project.config["steps"][1]["params"]["sigma"] = 1.5


def step(project):
    project.config["steps"].insert(1, {"name": "even", "func": "median_filter"})
    project.config["steps"][2]["input"] = "projected"


def same_words(project):
    project.config = dict(reversed(project.config.items()))
    project.config["steps"][1]["input"] = "previous"


def resources(project):
    project.config["memory_margin_mb"] = 700
    return (
        *("--cores", "1", "--set-threads", "process_well=2"),
        *("--set-resources", "process_well:mem_mb=9000", "materialize_well:runtime=500"),
        *("--default-resources", "slurm_partition=long", "mem_mb=4000"),
    )


def code(path=None, change=lambda text: f"{text}\nCHANGED = True\n"):
    """Change a file of the program, in a copy of the repository elsewhere."""

    def edit(project):
        project.repository = project.root / "repository"
        project.repository.mkdir()
        for name in PROGRAM:
            source, target = REPOSITORY / name, project.repository / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, target)
        if path:
            rewrite(project.repository / path, change)

    return edit


def rewrite(path, change):
    text = path.read_text()
    assert change(text) != text
    path.write_text(change(text))


def comments(project):
    """Comments in modules of each stage, and other docstrings in every script, which is newer than its results then."""
    code()(project)
    for module in ("microscopes/imagexpress", "pipeline/compile", "processing/otsu", "storage/zarr/pyramid"):
        rewrite(project.repository / f"lib/wellfield/{module}.py", lambda text: f"# A comment.\n{text}\n")
    for script in (project.repository / "scripts").iterdir():
        rewrite(script, lambda text: text.replace('"""', '"""More: ', 1))


def more_scratch(text):
    return text.replace("SCRATCH_BYTES_PER_PIXEL = 64", "SCRATCH_BYTES_PER_PIXEL = 6400")


def plane_of(project, name="*_C04_s1_w1.TIF"):
    return next((project.root / "raw").rglob(name))


def later(path):
    time = path.stat().st_mtime_ns + 1_000_000_000
    os.utime(path, ns=(time, time))


def plane_mended(project):
    later(plane_of(project))


def missing_planes(project):
    return json.loads(project.results("P1", "wells", "C04.json").read_text())["planes"]["missing"]


def plane_deleted_and_added(project):
    plane = plane_of(project)
    plane.rename(project.root / "elsewhere.tif")
    assert project.run().jobs == promised("planes added or deleted", SMALL.wells, ("C04",), jobs_of(project))
    assert len(missing_planes(project)) == 1
    (project.root / "elsewhere.tif").rename(plane)


def no_plane_is_missing(project):
    assert missing_planes(project) == []


def exported_anew(project):
    for plane in (project.root / "raw").rglob("*.TIF"):
        plane.write_bytes(plane.read_bytes().replace(b'value="0.65"', b'value="0.32"'))


def pixels_are_smaller(project):
    assert read_index(project.results("P1", "index.parquet"))[0].pixel_size_um == 0.32
    assert json.loads(project.results("P1", "plan.json").read_text())["pixel_size_um"] == 0.32


def metadata(project):
    for file in (project.root / "raw").rglob("*.HTD"):
        later(file)


def strange_file(project):
    (project.root / "raw" / "Plate_1" / "strange file.tif").write_bytes(b"?")


def strange_file_reported(project):
    assert "name is not of the vendor" in project.results("P1", "report", "summary.html").read_text()


def plate_moved(project):
    (project.root / "raw" / "Plate_1").rename(project.root / "raw" / "Plate_2")
    project.plates[0][1] = "raw/Plate_2"


def microscope_named(project):
    project.plates[0][2] = "imagexpress"


def plate_map(project):
    path = project.root / "raw" / "plate_map.csv"
    path.write_text(path.read_text().replace("compound A", "compound B"))


def compound_renamed(project):
    assert "compound B" in set(pd.read_csv(project.results("P1", "cell_counts.csv"))["Metadata_Treatment"])


def well_taken_out(project):
    project.plates[0][-1] = "B02,C04"


def nothing_left_of_the_well(project):
    assert [path for path in project.results("P1").rglob("*") if re.search(r"B03(?!-)|B/03", str(path))] == []
    assert set(pd.read_csv(project.results("P1", "cell_counts.csv"))["Metadata_Well"]) == {"B02", "C04"}


def well_added(project):
    well_taken_out(project)
    project.run()
    project.plates[0][-1] = ""


def plate_added(project):
    project.add("P2", "raw/Plate_1", wells="B02")


def deleted(*names):
    def edit(project):
        for name in names:
            project.results("P1", name).unlink()

    return edit


def folder_deleted(name):
    return lambda project: shutil.rmtree(project.results("P1", name))


def altered(*names):
    def edit(project):
        for name in names:
            path = project.results("P1", name)
            content = bytearray(path.read_bytes())
            content[-2] ^= 1
            path.write_bytes(content)

    return edit


def found_by_validate(project):
    text = "\n".join(check_results(project.results("P1")))
    assert "tables/B03/objects.csv was altered after it was written" in text
    assert "plate.zarr/B/03/ was altered after it was written" in text


def failed_well_mended(project):
    plane = plane_of(project)
    whole = plane.read_bytes()
    plane.write_bytes(whole[: len(whole) // 2])
    project.run(succeeds=False)
    assert project.run(succeeds=False).jobs == promised("failed well", SMALL.wells, of=jobs_of(project))
    plane.write_bytes(whole)


def jobs_of(project, plate="P1"):
    return read_jobs(project.results(plate))


def well_forced(project):
    return ["--forcerun", f"results/P1/wells/{jobs_of(project).of('B03')}.json"]


def well_forced_alone(project):
    forced = well_forced(project)
    return [forced[-1], *forced]


def mistake_taken_back(project):
    parameters = project.config["steps"][1]["params"]
    parameters["sigmaa"] = 1
    project.run(succeeds=False)
    del parameters["sigmaa"]


CASES = {
    "parameter": Case("steps", parameter, real=True),
    "step": Case("steps", step),
    "TIFF": Case("stored", configured("vfs", "materialization_backend", "disk")),
    "layout": Case("stored", configured("zarr", "chunk_strategy", "well")),
    "codec": Case("stored", configured("zarr", "compressor", "lz4")),
    "codec of TIFFs": Case("stored", configured("tiff", "compression", "zstd")),
    "on_missing": Case("policy", config(on_missing="skip_field")),
    "on_unreadable": Case("policy", config(on_unreadable="blank")),
    "source": Case("placement", config(source="planes")),
    "memory_type": Case("placement", config(memory_type="torch")),
    "device": Case("placement", config(device="gpu_or_cpu")),
    "same plan": Case("same plan", config(illumination="microscope"), real=True),
    "words": Case("same configuration", same_words),
    "resources": Case("resources", resources),
    "jobs of wells": Case("jobs of wells", config(wells_per_job=3, jobs_per_plate=2)),
    "keep_staged": Case("keep staged", config(keep_staged=True)),
    "comments": Case("comment", comments),
    "estimate": Case("estimate", code("lib/wellfield/pipeline/estimate.py", more_scratch), real=True),
    "mapping": Case("ingest code", code("scripts/ingest_plate.py"), real=True),
    "microscopes": Case("microscope code", code("lib/wellfield/microscopes/imagexpress.py"), real=True),
    "processing": Case("pipeline code", code("lib/wellfield/processing/otsu.py"), real=True),
    "writing": Case("writer code", code("lib/wellfield/storage/zarr/pyramid.py")),
    "writing script": Case("writer code", code("scripts/materialize_well.py")),
    "report": Case("report code", code("lib/wellfield/report/heatmap.py")),
    "report script": Case("report code", code("scripts/report_plate.py")),
    "check": Case("check code", code("lib/wellfield/workflow/check_plate.py")),
    "check script": Case("check code", code("scripts/check_plate.py")),
    "moved": Case("repository moved", code()),
    "plane mended": Case("plane changed", plane_mended, real=True, its=("C04",)),
    "plane deleted and added": Case(
        "planes added or deleted", plane_deleted_and_added, real=True, its=("C04",), after=no_plane_is_missing
    ),
    "exported anew": Case("plate exported again", exported_anew, real=True, after=pixels_are_smaller),
    "metadata": Case("metadata file", metadata, real=True),
    "strange file": Case("unknown file", strange_file, real=True, after=strange_file_reported),
    "plate moved": Case("plate moved", plate_moved, real=True),
    "microscope named": Case("microscope named", microscope_named, real=True),
    "plate map": Case("plate map", plate_map, real=True, after=compound_renamed),
    "well taken out": Case("well removed", well_taken_out, real=True, after=nothing_left_of_the_well),
    "well added": Case("well added", well_added, its=("B03",)),
    "plate added": Case("plate added", plate_added, real=True, wells=("B02",), plate="P2"),
    "well forced": Case("well forced", well_forced, its=("B03",)),
    "well forced alone": Case("well forced alone", well_forced_alone, its=("B03",)),
    "table deleted": Case("plate table", deleted("objects.parquet")),
    "CSV deleted": Case("plate table", deleted("cell_counts.csv")),
    "picture deleted": Case("report file", deleted("report/heatmap.png")),
    "index deleted": Case("index", deleted("index.parquet"), real=True),
    "check deleted": Case("check file", deleted("check_plate.json")),
    "plan deleted": Case("plan file", deleted("plan.json"), real=True),
    "mistake taken back": Case("mistake taken back", mistake_taken_back, real=True),
    "file of a well": Case("file of a well", deleted("tables/B03/objects.csv"), its=("B03",)),
    "manifest of a well": Case("file of a well", deleted("wells/B03.json"), its=("B03",)),
    "folder of a well": Case("file of a well", folder_deleted("plate.zarr/B/03"), its=("B03",)),
    "altered": Case(
        "file of a well, same size",
        altered("tables/B03/objects.csv", "plate.zarr/B/03/zarr.json"),
        after=found_by_validate,
    ),
    "file in the store": Case("file of a well, same size", deleted("plate.zarr/B/03/1/0/zarr.json")),
    "records of Snakemake removed": Case("records of Snakemake", folder_deleted("../../.snakemake")),
    "failed well mended": Case("failed well repaired", failed_well_mended, real=True, its=("C04",)),
}

# These are shown by `make test` too.
QUICK = {"resources", "plane mended"}

# Entries that other tests of real runs show.
ELSEWHERE = {
    "illumination": "test_illumination.py",
    "stored, staged wells kept": "test_keep_staged.py",
    "own function": "test_own_functions.py",
    "acquisition ended": "test_acquisition.py",
    "acquisition ended, illumination": "test_illumination.py",
    "layout": "test_pattern_layout.py",
    "killed": "test_kills.py",
}


def test_each_entry_of_the_page_has_its_test_and_no_test_is_without_its_entry():
    assert {case.key for case in CASES.values()} | {"failed well"} | set(ELSEWHERE) == set(entries())
    for key, file in ELSEWHERE.items():
        assert f'"{key}"' in Path(__file__).with_name(file).read_text(encoding="utf-8")


def plan_differs(project):
    """Whether the pipeline compiles to something else than the plan of the results."""
    results = project.results("P1")
    compiled = compile_plan(results / "index.parquet", project.config).to_json()
    return json.loads(json.dumps(compiled)) != json.loads((results / "plan.json").read_text())


@pytest.fixture(params=["copy", "copy_together"], ids=["single", "together"])
def plate(request):
    """A finished plate with one well a job, and one where B03 and C04 share a job."""
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=name, marks=[pytest.mark.quick] * (name in QUICK)) for name, case in CASES.items()],
)
def test_what_the_page_says_runs_and_nothing_else(plate, case):
    arguments = case.edit(plate) or []
    if not case.real:
        expected = promised(case.key, case.wells, case.its, jobs_of(plate, case.plate))
        assert plate.run(*arguments, "--dry-run").jobs == expected
        assert plan_differs(plate) is (("compile_plan", "") in expected)
        case.after(plate)
        return
    run = plate.run(*arguments)
    assert run.jobs == promised(case.key, case.wells, case.its, jobs_of(plate, case.plate))
    assert run.plates == {case.plate}
    case.after(plate)
    assert plate.run("--dry-run").jobs == []
