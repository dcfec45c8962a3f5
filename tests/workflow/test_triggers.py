"""What runs again after what: each line of the README's table in the real workflow."""

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
from tests.workflow.promises import promised, table
from wellfield.plate.index import read_index
from wellfield.workflow.compile_plan import compile_plan
from wellfield.workflow.validate import check_results

pytestmark = pytest.mark.workflow

MANIFEST = "results/P1/wells/B03.json"

# What the workflow is made of.
PROGRAM = ("Snakefile", "rules", "scripts", "lib", "envs", "report", "config", "profiles")


@dataclass(frozen=True)
class Case:
    """A line of the table, and how it comes about.

    ``edit`` changes a finished project and may return arguments of the command; ``after`` looks at the results. A dry
    run shows the jobs of most lines. Where what runs is decided only when the plate is mapped or the pipeline compiled,
    and once for each kind of change, the run is a real one.
    """

    line: str
    edit: Callable[[Project], Sequence[str] | None]
    real: bool = False
    wells: tuple[str, ...] = SMALL.wells
    its: tuple[str, ...] = ()
    plate: str = "P1"
    succeeds: bool = True
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


def code(path=None):
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
            with (project.repository / path).open("a") as file:
                file.write("# changed\n")

    return edit


def plane_of(project, name="*_C04_s1_w1.TIF"):
    return next((project.root / "raw").rglob(name))


def later(path):
    time = path.stat().st_mtime_ns + 1_000_000_000
    os.utime(path, ns=(time, time))


def plane_mended(project):
    later(plane_of(project))


def plane_deleted(project):
    plane_of(project).rename(project.root / "elsewhere.tif")


def plane_added(project):
    plane = plane_of(project)
    plane_deleted(project)
    project.run()
    (project.root / "elsewhere.tif").rename(plane)


def plane_counted_as_missing(project):
    manifest = json.loads(project.results("P1", "wells", "C04.json").read_text())
    assert len(manifest["planes"]["missing"]) == 1


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
    assert [path for path in project.results("P1").rglob("*") if re.search(r"B03|B/03", str(path))] == []
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


def well_fails(project):
    plane = plane_of(project)
    data = plane.read_bytes()
    plane.write_bytes(data[: len(data) // 2])
    project.run(succeeds=False)


def failed_well_mended(project):
    whole = plane_of(project).read_bytes()
    well_fails(project)
    plane_of(project).write_bytes(whole)


def mistake_taken_back(project):
    parameters = project.config["steps"][1]["params"]
    parameters["sigmaa"] = 1
    project.run(succeeds=False)
    del parameters["sigmaa"]


STEPS = "a parameter of a step; a step added, changed or taken out"
STORED = "where and how images are stored: `vfs`, `zarr`, `tiff`"
POLICY = "`on_missing`, `on_unreadable`"
HOW = "`source`, `memory_type`, `device`"
MOVED = "the folder of a plate moved, files as old as before, and `folder` in `plates.tsv` with it"
NAMED = "`microscope` in `plates.tsv` changed from `auto` to the one that was found"
SAME_PLAN = "a setting that leaves the plan as it was, such as `illumination` where no step corrects it"
MAPPING = "code that maps plates, but for the microscopes (`workflow/ingest.py`, `scripts/ingest_plate.py`)"
WRITING = "code that writes wells"
REPORT = "code of the tables and the report"
CHECK = "code of the check"
TABLE = "`cell_counts.csv` or `.parquet`, `objects.parquet` or a file of `plate_tables` deleted or of another size"
FILE_OF_REPORT = "a file of `report` deleted, other than a thumbnail"
PLAN = "`plan.json` deleted; a mistake in the pipeline, at which a run stopped, taken back"
MAPPED = "`index.parquet`, `openhcs_metadata.json` or `ingest_report.json` deleted"
FILE = (
    "a file of a well deleted or of another size: manifest, thumbnail, in `images`, `rois`, `tables`; its folder in "
    "`plate.zarr` deleted"
)
SAME_SIZE = "a file of a well altered to the same size; a file in a well's folder in `plate.zarr`"
FORGOTTEN = "the folder `.snakemake` removed, or the project moved with its plates and results"
RESOURCES = "`memory_margin_mb`; threads, cores, memory, time, partition on the command line or in a profile"

CASES = {
    "parameter": Case(STEPS, parameter, real=True),
    "step": Case(STEPS, step),
    "TIFF": Case(STORED, configured("vfs", "materialization_backend", "disk")),
    "layout": Case(STORED, configured("zarr", "chunk_strategy", "well")),
    "codec": Case(STORED, configured("zarr", "compressor", "lz4")),
    "codec of TIFFs": Case(STORED, configured("tiff", "compression", "zstd")),
    "on_missing": Case(POLICY, config(on_missing="skip_field")),
    "on_unreadable": Case(POLICY, config(on_unreadable="blank")),
    "source": Case(HOW, config(source="planes")),
    "memory_type": Case(HOW, config(memory_type="torch")),
    "device": Case(HOW, config(device="gpu_or_cpu")),
    "same plan": Case(SAME_PLAN, config(illumination="microscope"), real=True),
    "words": Case("order and comments in `config.yaml`; a default written out", same_words),
    "resources": Case(RESOURCES, resources),
    "mapping": Case(MAPPING, code("scripts/ingest_plate.py"), real=True),
    "microscopes": Case(
        "code of the microscopes, which wells use too", code("lib/wellfield/microscopes/imagexpress.py"), real=True
    ),
    "processing": Case("code of the pipeline and its functions", code("lib/wellfield/processing/otsu.py"), real=True),
    "writing": Case(WRITING, code("lib/wellfield/storage/zarr/pyramid.py")),
    "writing script": Case(WRITING, code("scripts/materialize_well.py")),
    "report": Case(REPORT, code("lib/wellfield/report/heatmap.py"), real=True),
    "report script": Case(REPORT, code("scripts/report_plate.py")),
    "check": Case(CHECK, code("lib/wellfield/workflow/check_plate.py")),
    "check script": Case(CHECK, code("scripts/check_plate.py")),
    "moved": Case("the repository moved elsewhere", code()),
    "plane mended": Case("a plane mended: another size or time", plane_mended, real=True, its=("C04",)),
    "plane deleted": Case(
        "a plane deleted or added", plane_deleted, real=True, its=("C04",), after=plane_counted_as_missing
    ),
    "plane added": Case("a plane deleted or added", plane_added, real=True, its=("C04",)),
    "exported anew": Case(
        "all planes exported anew, with other metadata", exported_anew, real=True, after=pixels_are_smaller
    ),
    "metadata": Case("a metadata file of the plate changed", metadata, real=True),
    "strange file": Case("a strange file added to the plate", strange_file, real=True, after=strange_file_reported),
    "plate moved": Case(MOVED, plate_moved, real=True),
    "microscope named": Case(NAMED, microscope_named, real=True),
    "plate map": Case("the plate map edited", plate_map, real=True, after=compound_renamed),
    "well taken out": Case(
        "a well taken out of `wells` in `plates.tsv`", well_taken_out, real=True, after=nothing_left_of_the_well
    ),
    "well added": Case("a well added to `wells` in `plates.tsv`", well_added, its=("B03",)),
    "plate added": Case("a plate added to `plates.tsv`", plate_added, real=True, wells=("B02",), plate="P2"),
    "well forced": Case(
        "`--forcerun` with a well's manifest, as above", lambda _: ["--forcerun", MANIFEST], its=("B03",)
    ),
    "well forced alone": Case(
        "the same with the manifest as the target",
        lambda _: [MANIFEST, "--forcerun", MANIFEST],
        real=True,
        its=("B03",),
    ),
    "table deleted": Case(TABLE, deleted("objects.parquet")),
    "CSV deleted": Case(TABLE, deleted("cell_counts.csv")),
    "picture deleted": Case(FILE_OF_REPORT, deleted("report/heatmap.png")),
    "index deleted": Case(MAPPED, deleted("index.parquet"), real=True),
    "ingest report deleted": Case(MAPPED, deleted("ingest_report.json"), real=True),
    "check deleted": Case("`check_plate.json` deleted", deleted("check_plate.json")),
    "plan deleted": Case(PLAN, deleted("plan.json"), real=True),
    "mistake taken back": Case(PLAN, mistake_taken_back, real=True),
    "file of a well": Case(FILE, deleted("tables/B03/objects.csv"), its=("B03",)),
    "manifest of a well": Case(FILE, deleted("wells/B03.json"), its=("B03",)),
    "folder of a well": Case(FILE, folder_deleted("plate.zarr/B/03"), its=("B03",)),
    "altered": Case(SAME_SIZE, altered("tables/B03/objects.csv", "plate.zarr/B/03/zarr.json"), after=found_by_validate),
    "file in the store": Case(SAME_SIZE, deleted("plate.zarr/B/03/1/0/zarr.json")),
    "records of Snakemake removed": Case(FORGOTTEN, folder_deleted("../../.snakemake")),
    "failed well mended": Case("a failed well's plane mended", failed_well_mended, real=True, its=("C04",)),
    "failed well": Case("nothing mended after a well failed", well_fails, real=True, succeeds=False),
}

# Lines that other tests of real runs show.
ELSEWHERE = {
    "`illumination`, where a step corrects it": "test_illumination.py",
    "a function of your own, or a module of your own that it imports": "test_own_functions.py",
    "a plate that was still being acquired, as its report notes, has come to rest": "test_acquisition.py",
    "the same where a step corrects the illumination": "test_illumination.py",
    "the plate's layout edited": "test_pattern_layout.py",
    "the run killed": "test_kills.py",
}


def test_each_line_of_the_readmes_table_has_its_test_and_no_test_is_without_its_line():
    assert {case.line for case in CASES.values()} | set(ELSEWHERE) == set(table())
    for line, file in ELSEWHERE.items():
        assert f'"{line}"' in Path(__file__).with_name(file).read_text(encoding="utf-8")


def plan_differs(project):
    """Whether the pipeline compiles to something else than the plan of the results."""
    results = project.results("P1")
    compiled = compile_plan(results / "index.parquet", project.config).to_json()
    return json.loads(json.dumps(compiled)) != json.loads((results / "plan.json").read_text())


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_the_readme_says_runs_and_nothing_else(copy, case):
    arguments = case.edit(copy) or []
    expected = promised(case.line, case.wells, case.its)
    if not case.real:
        assert copy.run(*arguments, "--dry-run").jobs == expected
        assert plan_differs(copy) is (("compile_plan", "") in expected)
        case.after(copy)
        return
    run = copy.run(*arguments, succeeds=case.succeeds)
    assert run.jobs == expected
    assert run.plates == {case.plate}
    case.after(copy)
    if case.succeeds:
        assert copy.run("--dry-run").jobs == []
