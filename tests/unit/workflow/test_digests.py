"""Digests: no code that decides a stage's results is left out of the stage's digest."""

import ast
import importlib
from pathlib import Path

import pytest

import wellfield
from wellfield.microscopes.scan import ScannedFile
from wellfield.plate.keys import PlaneKey
from wellfield.workflow.digests import (
    NOT_DECIDING,
    STAGES,
    function_digest,
    planes_digest,
    present_state,
    stage_files,
)

PACKAGE = Path(wellfield.__file__).parent


def imported(file):
    """The modules of the package that a file imports, found another way than the digest finds them."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("wellfield"):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def source_of(module):
    path = PACKAGE.joinpath(*module.split(".")[1:])
    found = [file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()]
    return found[:1]


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_every_module_that_a_stage_imports_is_in_its_digest_but_for_those_that_decide_nothing(stage):
    files = set(stage_files(stage))
    needed = {
        source for file in files if file.suffix == ".py" for module in imported(file) for source in source_of(module)
    }
    assert needed - files <= set(NOT_DECIDING)
    assert files.isdisjoint(NOT_DECIDING)


def test_modules_that_are_imported_by_name_are_in_the_digests():
    tables = {
        "ingest": importlib.import_module("wellfield.microscopes.handler_registry")._BUILT_IN,
        "process": set(importlib.import_module("wellfield.processing.function_registry")._MODULES.values()),
        "materialize": importlib.import_module("wellfield.storage.backend_registry")._BUILT_IN,
        "aggregate": {entry[0] for entry in importlib.import_module("wellfield.formats").FORMATS.values()},
    }
    for stage, modules in tables.items():
        assert {source for module in modules for source in source_of(module)} <= set(stage_files(stage))


def test_a_stage_does_not_depend_on_code_that_it_does_not_use():
    names = {stage: {file.name for file in stage_files(stage)} for stage in STAGES}
    assert "heatmap.py" not in names["process"]
    assert "segmentation.py" not in names["ingest"]
    assert "imagexpress.py" not in names["materialize"]
    # A well is written whatever becomes of the plate's tables, report and check.
    assert (
        not {"check_plate.py", "render.py", "unfinished.py", "failures.py", "aggregate_plate.py"} & names["materialize"]
    )


def test_how_wells_are_written_is_no_part_of_how_they_are_processed_though_the_space_is_told_by_it():
    assert all(file.is_file() for file in NOT_DECIDING)
    names = {stage: {file.name for file in stage_files(stage)} for stage in STAGES}
    assert names["process"].isdisjoint({"pyramid.py", "manifest.py", "space.py"})
    # Another estimate makes another plan, and no well follows it.
    assert "estimate.py" in names["plan"]
    assert all({"estimate.py", "resources.py"}.isdisjoint(names[stage]) for stage in STAGES if stage != "plan")
    assert names["ingest"].isdisjoint({"pyramid.py", "manifest.py", "space.py", "plan.py"})
    assert {"pyramid.py", "manifest.py"} <= names["materialize"]


def test_running_a_pipeline_depends_on_the_handlers_which_read_stage_positions():
    assert {"imagexpress.py", "metaseries.py"} <= {file.name for file in stage_files("process")}


def test_the_report_depends_on_the_templates_of_its_pages():
    assert {"page.html", "summary.html"} <= {file.name for file in stage_files("aggregate")}


PLANE = (PlaneKey("A01", 1, 1, 1, 1), "a.tif")


def test_the_digest_of_a_well_follows_size_time_and_presence_of_its_files():
    base = planes_digest([PLANE], {"a.tif": (10, 100)})
    assert planes_digest([PLANE], {"a.tif": (10, 100), "other.tif": (1, 1)}) == base
    others = [{"a.tif": (11, 100)}, {"a.tif": (10, 101)}, {}]
    assert len({base, *(planes_digest([PLANE], now) for now in others)}) == 4


def test_the_digest_of_user_functions_follows_their_source(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "my_functions_for_a_test.py"
    module.write_text("def f(image): return image\n")
    before = function_digest(["my_functions_for_a_test:f", "max_projection"])
    module.write_text('# Mine.\ndef f(image):\n    """Return it."""\n    return image\n')
    assert function_digest(["my_functions_for_a_test:f", "max_projection"]) == before
    module.write_text("def f(image): return image + 1\n")
    assert function_digest(["my_functions_for_a_test:f", "max_projection"]) != before


def test_the_state_of_a_plane_in_an_array_is_that_of_the_arrays_files():
    files = [ScannedFile(f"p/{w}/0", ".zarray", 10, 100) for w in "AB"]
    files += [ScannedFile(f"p/{w}/0/{c}/0", "0", 7, 200) for w in "AB" for c in range(3)]
    files += [ScannedFile("p", ".zattrs", 1, 1), ScannedFile("", "x.tif", 3, 4)]
    before = present_state(files)
    assert before["p/A/0"] == before["p/B/0"]
    assert before["x.tif"] == (3, 4)
    files[2] = files[2]._replace(mtime_ns=201)
    after = present_state(files)
    planes = {w: [(PlaneKey(f"{w}01", 1, c + 1, 1, 1), f"p/{w}/0#[{c}]") for c in (0, 1)] for w in "AB"}
    assert planes_digest(planes["A"], before) != planes_digest(planes["A"], after)
    assert planes_digest(planes["B"], before) == planes_digest(planes["B"], after)
    older = present_state([files[0], files[1], files[2]._replace(mtime_ns=150), *files[3:]])  # as a restore leaves it
    assert planes_digest(planes["A"], older) not in (planes_digest(planes["A"], s) for s in (before, after))
    gone = present_state([file for file in files if not file.folder.startswith("p/A")])
    assert planes_digest(planes["A"], gone) not in (
        planes_digest(planes["A"], before),
        planes_digest(planes["A"], after),
    )
