"""A well staged on a node's own disk."""

import getpass
import json
import os
import shutil

import numpy as np
import pytest

from wellfield.errors import ConfigError, DataNotFoundError
from wellfield.materialization import CsvOptions, MaterializationSpec
from wellfield.pipeline.plan import PlaneAxis
from wellfield.pipeline.well_input import PlaneAccount
from wellfield.plate.keys import FieldKey, Projection
from wellfield.results.stage_writer import StageWriter
from wellfield.results.staged_well import StagedWell, broken_jobs
from wellfield.results.well_jobs import write_job
from wellfield.storage import DiskStorageBackend, FileManager, MemoryStorageBackend
from wellfield.workflow.materialize_well import materialize_well
from wellfield.workflow.rule_values import remove_broken
from wellfield.workflow.scratch import own_scratch, remove_dead_scratch, scratch_folder

KEY = FieldKey("B03", 1, 1)


class Step:
    """What a stage asks of a step."""

    name = "projected"
    kind = "intensity"


@pytest.fixture
def files():
    return FileManager({"disk": DiskStorageBackend(), "memory": MemoryStorageBackend()})


def stage(writer):
    writer.image(Step, KEY, 1, PlaneAxis((1,), Projection.MAX), np.arange(12, dtype=np.uint16).reshape(1, 3, 4))
    writer.output("counts", MaterializationSpec(CsvOptions()), KEY, None, {"Count": [3]})


def listed(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_images_and_tables_lie_in_scratch_and_the_list_beside_the_results(tmp_path, files):
    scratch = tmp_path / "disk" / "B03"
    with StageWriter(tmp_path / "B03", files, plate="P", well="B03", scratch=scratch) as writer:
        stage(writer)
        writer.finish(PlaneAccount())
    assert listed(tmp_path / "B03") == ["staged.json"]
    assert listed(scratch) == ["images/projected/s001_t001_w1.npy", "outputs/counts_0.parquet"]
    staged = StagedWell.read(tmp_path / "B03", files)
    assert [entry.path for entry in staged.images] == [str(scratch / "images/projected/s001_t001_w1.npy")]
    assert staged.scratch == str(scratch)


def test_a_new_run_stages_a_well_again_whose_files_lie_on_some_node(tmp_path, files):
    staging = tmp_path / ".staging"
    for well, scratch in (("B02", None), ("B03", tmp_path / "disk")):
        with StageWriter(staging / well, files, plate="P", well=well, scratch=scratch) as writer:
            stage(writer)
            writer.finish(PlaneAccount())
        write_job(staging / f"{well}.json", [well])
    (staging / "B04").mkdir()
    (staging / "B04" / "staged.json").write_text("{}")
    write_job(staging / "B04.json", ["B04"])
    broken = broken_jobs(tmp_path)
    assert [listed.name for listed in broken] == ["B03.json", "B04.json"]
    assert sorted(path.name for path in staging.iterdir() if path.is_dir()) == ["B02", "B03", "B04"]
    remove_broken(broken)
    assert sorted(path.name for path in staging.iterdir()) == ["B02", "B02.json"]


def test_a_job_of_several_wells_is_usable_while_its_wells_are_staged_or_written(tmp_path, files):
    staging = tmp_path / ".staging"
    for well in ("B02", "B03"):
        with StageWriter(staging / well, files, plate="P", well=well) as writer:
            stage(writer)
            writer.finish(PlaneAccount())
    write_job(staging / "B02-B03.json", ["B02", "B03"])
    assert broken_jobs(tmp_path) == []
    shutil.rmtree(staging / "B02")
    assert [listed.name for listed in broken_jobs(tmp_path)] == ["B02-B03.json"]
    (tmp_path / "wells").mkdir()
    (tmp_path / "wells" / "B02.json").touch()
    assert broken_jobs(tmp_path) == []
    earlier = (staging / "B02-B03.json").stat().st_mtime_ns - 1
    os.utime(tmp_path / "wells" / "B02.json", ns=(earlier, earlier))
    assert [listed.name for listed in broken_jobs(tmp_path)] == ["B02-B03.json"]
    remove_broken(broken_jobs(tmp_path))
    assert sorted(path.name for path in staging.iterdir()) == ["B03"]


def test_a_job_that_fails_leaves_nothing_in_scratch(tmp_path, files):
    scratch = tmp_path / "disk"
    with (
        pytest.raises(ZeroDivisionError),
        StageWriter(tmp_path / "B03", files, plate="P", well="B03", scratch=scratch) as writer,
    ):
        stage(writer)
        _ = 1 / 0
    assert not scratch.exists()
    assert not (tmp_path / "B03").exists()


def test_a_well_that_another_machine_staged_is_refused_with_what_to_do(tmp_path, files):
    scratch = tmp_path / "disk"
    with StageWriter(tmp_path / "B03", files, plate="P", well="B03", scratch=scratch) as writer:
        writer.finish(PlaneAccount())
    shutil.rmtree(scratch, ignore_errors=True)
    with pytest.raises(DataNotFoundError, match=r"B03 was staged in .*one group of jobs"):
        materialize_well(tmp_path / "B03", "plan", "index", "results", well="B03")


def test_every_job_has_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("NODE_DISK", str(tmp_path))
    folders = [scratch_folder("env:NODE_DISK/x", tmp_path / ".staging" / well) for well in ("B02", "B03", "B03")]
    assert len(set(folders)) == 3
    assert all(folder.parent == tmp_path / "x" for folder in folders)
    assert ["B02" in folder.name for folder in folders] == [True, False, False]
    assert scratch_folder(None, "results/P/.staging/B02") is None


@pytest.mark.parametrize(
    ("scratch", "message"),
    [("env:NO_SUCH_VARIABLE/x", "NO_SUCH_VARIABLE, which is not set"), ("disk", "is not an absolute path")],
)
def test_a_place_that_cannot_be_is_refused(scratch, message):
    with pytest.raises(ConfigError, match=message):
        scratch_folder(scratch, "results/P/.staging/B02")


def stage_that_names(folder, scratch):
    folder.mkdir(parents=True)
    (folder / "staged.json").write_text(json.dumps({"scratch": str(scratch)}))


def test_folders_of_killed_jobs_are_removed_and_no_others(tmp_path):
    place, stages = tmp_path / "disk", tmp_path / "results" / ".staging"
    names = {well: scratch_folder(str(place), stages / well) for well in ("B02", "B03", "C04", "D05")}
    stage_that_names(stages / "B03", names["B03"])  # staged, and not materialized yet
    stage_that_names(stages / "D05", names["B02"])  # staged again by another job
    for well in ("B02", "B03", "D05"):
        with own_scratch(names[well], stages / well):
            (names[well] / "image.npy").write_text(well)
    others = [place / "mine", place / f"wellfield-{getpass.getuser()}-notes", place / names["B02"].name[:-1]]
    for folder in others:
        folder.mkdir()
        (folder / "x").write_text("mine")
    with own_scratch(names["C04"], stages / "C04"):  # removes them, and is in use itself
        left = {path.name for path in place.iterdir()}
        assert remove_dead_scratch(place) == []
    assert left == {names["B03"].name, names["C04"].name, *(folder.name for folder in others)}
    assert remove_dead_scratch(place) == [names["C04"].name]


def test_without_scratch_nothing_is_made(tmp_path):
    with own_scratch(None, tmp_path / "B02"):
        assert not list(tmp_path.iterdir())
