"""The two jobs of a well, when a function or its results are odd, or what lies between them is damaged."""

import json
import locale
import logging
import os
import re
import shutil

import numpy as np
import pytest

from wellfield.errors import BrokenStageError, StorageError
from wellfield.example import ExamplePlate
from wellfield.formats.json_files import read_json, write_json
from wellfield.results.manifest import read_manifest
from wellfield.results.staged_well import STAGE_SCHEMA_VERSION
from wellfield.results.well_jobs import write_job
from wellfield.workflow.compile_plan import compile_plan
from wellfield.workflow.ingest_plate import ingest_plate
from wellfield.workflow.jobs import job
from wellfield.workflow.materialize_well import materialize_job
from wellfield.workflow.process_well import process_well
from wellfield.workflow.progress import well_line

HEAD = """
import os, sys
import numpy as np
from wellfield.materialization import *
from wellfield.pipeline import special_outputs
"""


@pytest.fixture(scope="module")
def plate(tmp_path_factory):
    root = tmp_path_factory.mktemp("plate")
    ExamplePlate(wells=("B02",), fields=2, channels=2, z=1, size=64).write(root / "raw")
    ingest_plate(str(root / "raw" / "Plate_1"), plate="P", microscope="auto", results=root / "results")
    return root / "results" / "index.parquet"


class Well:
    """The jobs of one well in a folder of its own."""

    def __init__(self, index, root):
        self.index, self.results = index, root
        self.staging = root / ".staging" / "B02"
        self.listed = root / ".staging" / "B02.json"
        self.manifest = root / "wells" / "B02.json"

    def plan(self, *steps, **config):
        write_json(self.results / "plan.json", compile_plan(self.index, {"steps": list(steps), **config}).to_json())

    def function(self, code, name="odd", channels=(1,), materialize=("tiff",), **config):
        """Make a plan of one function of a user's file."""
        file = self.results / f"{self.results.name}.py"
        file.write_text(HEAD + code)
        step = {"name": name, "func": f"{file}:{name}", "channels": list(channels), "materialize": list(materialize)}
        self.plan(step, **config)
        return file

    def process(self):
        staged = process_well(self.index, self.results / "plan.json", "B02", self.staging)
        write_job(self.listed, ["B02"])
        return staged

    def materialize(self):
        return materialize_job(self.listed, self.results / "plan.json", self.index, self.manifest)[0]

    def run(self):
        self.process()
        self.staged = self.materialize()
        return read_manifest(self.manifest)

    def failed(self):
        """The reason that the manifest gives; nothing else of the well is there."""
        manifest = self.run()
        assert manifest["status"] == "failed"
        assert manifest["files"] == []
        error = manifest["error"]
        assert error.get("step") in ("1 (odd)", "materialize") or "special output 'x'" in error["message"]
        assert ".part" not in error["message"]  # whose name is another one each time
        assert not [
            path for kind in ("images", "tables", "rois", "plate.zarr") for path in self.results.glob(f"{kind}/**/B02*")
        ]
        assert not list(self.results.rglob("*.part"))
        return manifest["error"]["message"]


@pytest.fixture
def well(plate, tmp_path):
    return Well(plate, tmp_path)


# --- functions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise ValueError", r"ValueError, which says nothing \(.*\.py:7, in odd\)"),
        ("raise SystemExit(0)", r"SystemExit: 0"),
        ("sys.exit('no cells')", r"SystemExit: no cells"),
        ("raise BaseException('odd')", r"BaseException: odd"),
        ("raise RuntimeError('\\udcff \\x00 \\x1b[2J')", r"RuntimeError: \\udcff \\x00 \\x1b\[2J"),
        ("raise RuntimeError('x' * 20_000_000)", r"RuntimeError: x+ … \(cut: 20,000,014 characters in all\)"),
        ("return odd(image)", r"RecursionError: maximum recursion depth exceeded"),
        ("return None", r"returned NoneType; it declares numpy"),
        ("return (plane for plane in image)", r"returned generator; it declares numpy"),
        ("return image[0]", r"expected a stack \[Z, Y, X\]"),
        ("import warnings; warnings.simplefilter('error'); warnings.warn('old')", r"UserWarning: old"),
    ],
)
def test_whatever_a_function_raises_or_returns_fails_its_well(well, tmp_path, body, reason):
    well.function(f"def odd(image):\n    {body}\n")
    with job(tmp_path / "log"):
        assert re.search(reason, well.failed())
    assert len((tmp_path / "log").read_bytes()) < 300_000
    assert re.search("failed: .*" + reason, well_line(read_manifest(well.manifest)))
    assert len(well_line(read_manifest(well.manifest))) < 3_000


@pytest.mark.parametrize("raised", [KeyboardInterrupt, MemoryError])
def test_ctrl_c_and_a_full_memory_are_not_the_wells(well, raised):
    well.function(f"def odd(image):\n    raise {raised.__name__}\n")
    with pytest.raises(raised):
        well.process()
    assert not well.staging.exists()


def test_a_function_that_changes_its_process_changes_nothing_of_the_results_and_the_log(well, tmp_path, monkeypatch):
    working = tmp_path / "working"
    working.mkdir()
    monkeypatch.chdir(working)
    well.function(
        "import locale, logging, shutil, tempfile, warnings, random\n"
        "def odd(image):\n"
        "    os.umask(0o777)\n"
        "    os.environ.pop('HOME', None); os.environ['WELLFIELD_ODD'] = '1'\n"
        "    locale.setlocale(locale.LC_ALL, 'C')\n"
        "    np.seterr(all='raise'); np.random.seed(1); random.seed(1)\n"
        "    warnings.simplefilter('error')\n"
        "    logging.basicConfig(force=True, level=logging.CRITICAL); logging.disable(logging.CRITICAL)\n"
        "    folder = tempfile.mkdtemp(); os.chdir(folder); shutil.rmtree(folder)\n"
        "    return image\n"
    )
    well.staging = os.path.relpath(well.staging)
    with job("log"):
        before = {**os.environ}, np.geterr(), locale.setlocale(locale.LC_ALL)
        assert well.process().status == "done"
        logging.getLogger("wellfield").info("still here")
        now = {**os.environ}, np.geterr(), locale.setlocale(locale.LC_ALL)
    assert now == before
    assert os.getcwd() == str(working)
    assert "INFO wellfield: still here" in (working / "log").read_text()
    mask = os.umask(0o022)
    os.umask(mask)
    assert mask != 0o777
    well.staging = tmp_path / ".staging" / "B02"
    assert well.materialize().status == "done"


def test_a_working_directory_that_a_thread_changes_later_moves_no_result(well, tmp_path, monkeypatch):
    (tmp_path / "working").mkdir()
    (tmp_path / "further" / "away").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "working")
    well.function("def odd(image):\n    return image\n")
    from wellfield.results.stage_writer import StageWriter

    finish = StageWriter.finish

    def late(self, *arguments):
        os.chdir(tmp_path / "further" / "away")
        return finish(self, *arguments)

    monkeypatch.setattr(StageWriter, "finish", late)
    process_well(well.index, well.results / "plan.json", "B02", os.path.relpath(well.staging))
    assert (well.staging / "staged.json").exists()
    assert list((tmp_path / "further").rglob("*")) == [tmp_path / "further" / "away"]


def test_a_file_that_ends_the_process_when_it_is_imported_is_named(well):
    from wellfield.errors import PipelineError, UnknownFunctionError

    with pytest.raises((PipelineError, UnknownFunctionError), match="cannot be imported: SystemExit: 0"):
        well.function("sys.exit(0)\ndef odd(image):\n    return image\n")


# --- results that cannot be stored -------------------------------------------------------------------------------

OUTPUT = "@special_outputs(('x', MaterializationSpec({option})))\ndef odd(image):\n    return image, {value}\n"


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("TiffStackOptions()", "np.arange(3)", r"shape \[3\]"),
        ("TiffStackOptions()", "np.zeros((2, 2), 'datetime64[s]')", "datetime64"),
        ("TiffStackOptions()", "np.zeros((2, 2), object)", "object"),
        ("ROIOptions()", "np.zeros((2, 2), complex)", "complex"),
        ("CsvOptions()", "{'a': [1, 'two']}", "tried to convert to int64"),
        ("CsvOptions()", "{'a': [2**80]}", "too large|out of bounds|Overflow|convert"),
        ("ParquetOptions()", "(n for n in ())", "generator"),
        ("JsonOptions()", "float('nan')", "NaN"),
        ("JsonOptions()", "'\\udcff'", "surrogates"),
        ("TextOptions()", "'\\udcff'", "surrogates"),
        ("TextOptions()", "{1: 2}", "takes text"),
    ],
)
def test_a_side_result_that_no_file_can_hold_fails_its_well(well, option, value, reason):
    well.function(OUTPUT.format(option=option, value=value))
    assert re.search(reason, well.failed())


@pytest.mark.parametrize(
    ("target", "body", "reason"),
    [
        ("zarr", "image > 0", "not bool; a mask is a label"),
        ("zarr", "image.astype(complex)", "integers or floats of up to 64 bits, not complex128"),
        ("zarr", "image.astype(np.uint8) if image[0, 0, 0] % 2 else image[:, 1:]", "differ in"),
        ("tiff", "image.astype(complex).astype(np.clongdouble)", "TIFF cannot hold clongdouble|complex256"),
        ("tiff", "image[:, :0]", r"\[1, 0, 64\]|at least one pixel"),
        ("tiff", "image.astype(object)", "object"),
        ("tiff", "np.ma.masked_array(image)", "has a mask, which no file holds"),
    ],
)
def test_an_image_that_no_file_can_hold_fails_its_well(well, target, body, reason):
    code = "def odd(image):\n    image = image.copy(); image[0, 0, 0] = odd.calls = getattr(odd, 'calls', 0) + 1\n"
    code += f"    return {body}\n"
    well.function(code, materialize=[target], zarr={"chunk_strategy": "field"})
    assert re.search(reason, well.failed())


def test_a_picture_that_cannot_be_drawn_fails_its_well(well, monkeypatch):
    import wellfield.results.thumbnails

    def broken(*_, **__):
        raise ValueError("no contrast")

    monkeypatch.setattr(wellfield.results.thumbnails, "well_thumbnail", broken)
    well.plan({"func": "max_projection", "materialize": ["tiff"]})
    assert "no contrast" in well.failed()
    assert np.load(well.results / "report" / "thumbnails" / "B02.npy").size == 0


@pytest.mark.parametrize(
    "error",
    [StorageError("results cannot be written: Permission denied"), OSError(107, "not connected"), MemoryError()],
)
def test_a_machine_that_cannot_write_fails_the_job_and_not_the_well(well, monkeypatch, error):
    import wellfield.results.well_writer

    def broken(*_, **__):
        raise error

    well.plan({"func": "max_projection", "materialize": ["tiff"]})
    well.process()
    monkeypatch.setattr(wellfield.results.well_writer, "replace_folder", broken)
    with pytest.raises(type(error)):
        well.materialize()
    assert not well.manifest.exists()
    assert (well.staging / "staged.json").exists()  # so that the next try goes on from here


# --- what lies between the two jobs ------------------------------------------------------------------------------


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", ["*.npy", "*.parquet", "x_0.json", "x_1/*.txt", "staged.json"])
@pytest.mark.parametrize(
    "damage", [truncate, lambda path: path.write_bytes(b""), os.remove], ids=["half", "empty", "gone"]
)
def test_a_damaged_stage_fails_the_job_and_is_staged_again(well, name, damage):
    well.function(
        "@special_outputs(\n"
        "    ('t', MaterializationSpec(CsvOptions())), ('x', MaterializationSpec(JsonOptions(), TextOptions())))\n"
        "def odd(image):\n    return image, {'a': [1]}, 'text'\n"
    )
    well.process()
    path = next(well.staging.rglob(name))
    damage(path)
    with pytest.raises(BrokenStageError, match=re.escape(path.name) + ".*the same command stages the well again"):
        well.materialize()
    assert not well.manifest.exists()
    assert not well.listed.exists()  # an output that is gone is what makes Snakemake run its job again
    assert well.run()["status"] == "done"


@pytest.mark.parametrize("content", [[], {}, {"planes": {"odd": 1}}])
def test_a_list_of_a_stage_that_is_none_is_named(well, content):
    well.plan({"func": "max_projection", "materialize": ["tiff"]})
    well.process()
    (well.staging / "staged.json").write_text(
        json.dumps(content | {"schema_version": STAGE_SCHEMA_VERSION} if isinstance(content, dict) else content)
    )
    with pytest.raises(BrokenStageError, match=r"staged\.json is not a valid list of a staged well"):
        well.materialize()


# --- fields that are left out ------------------------------------------------------------------------------------


def test_a_well_of_which_every_field_is_left_out_is_done_and_says_so(plate, tmp_path):
    root = tmp_path / "own"
    shutil.copytree(plate.parent.parent / "raw", root / "raw")
    for file in (root / "raw").rglob("*_w1.TIF"):
        file.write_bytes(b"no image")
    ingest_plate(str(root / "raw" / "Plate_1"), plate="P", microscope="auto", results=root)
    well = Well(root / "index.parquet", root)
    well.plan({"func": "max_projection", "materialize": ["tiff"]}, on_unreadable="skip_field")
    manifest = well.run()
    assert manifest["status"] == "done"
    assert manifest["files"] == []
    assert list(manifest["planes"]["skipped_fields"]) == ["B02_s001_t001", "B02_s002_t001"]
    assert re.search(
        r"P B02: done, 0 planes, 2 skipped, 2 fields left out \(B02_s001_t001: .*cannot be read",
        well_line(read_manifest(well.manifest)),
    )


def test_thousands_of_missing_planes_are_in_the_manifest_and_one_number_in_the_line(well):
    well.plan({"func": "max_projection", "materialize": ["tiff"]})
    well.process()
    path = well.staging / "staged.json"
    staged = read_json(path)
    staged["planes"]["missing"] = [f"B02_s{n:05d}_w1_z001_t001.tif" for n in range(10_000)]
    write_json(path, staged)
    well.materialize()
    assert well_line(read_manifest(well.manifest)) == "P B02: done, 4 planes, 10,000 missing"
    assert len(read_manifest(well.manifest)["planes"]["missing"]) == 10_000
