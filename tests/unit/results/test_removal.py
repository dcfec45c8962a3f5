"""Removal: only what a record lists goes, and a folder that is replaced keeps what is the user's."""

import re
from pathlib import Path

import pytest

from tests.unit.results.owned import owned_paths
from wellfield.errors import DestinationExistsError
from wellfield.formats import atomic
from wellfield.results.manifest import file_entry
from wellfield.results.records import announce, record_path, write_record
from wellfield.results.removal import (
    listed_files,
    remove_listed,
    remove_page,
    remove_scratch,
    remove_stale,
    remove_unfinished_writes,
    remove_well,
    replace_folder,
)

REPOSITORY = Path(__file__).resolve().parents[3]


def file(path, text="ours"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def tree(folder):
    """Everything below a folder: content of a file, target of a link, '/' for a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        found[name] = f"-> {path.readlink()}" if path.is_symlink() else "/" if path.is_dir() else path.read_text()
    return found


@pytest.fixture
def results(tmp_path):
    """Results of the wells B02 and B03 with records, and files of the user's in every folder."""
    folder = tmp_path / "P"
    for well in ("B02", "B03"):
        names = [f"tables/{well}/a.csv", f"images/{well}/step/x.tif", f"wells/{well}.json"]
        entries = [file_entry(folder, file(folder / name)) for name in names]
        write_record(folder, "materialize_well", entries, of={}, well=well)
    return folder


def test_the_files_of_a_well_go_with_their_folders_and_nothing_else(results):
    mine = [file(results / name, "mine") for name in ("tables/B02/notes.txt", "tables/mine.csv", "wells/notes.json")]
    (results / "images" / "empty").mkdir()
    remove_well(results, "B02")
    assert all(path.read_text() == "mine" for path in mine)
    assert not (results / "images" / "B02").exists()
    assert (results / "images" / "empty").is_dir()
    assert not (results / "wells" / "B02.json").exists()
    assert not record_path(results, "", "B02").exists()
    assert (results / "tables" / "B03" / "a.csv").exists()


def test_a_link_is_not_followed_and_not_removed(results, tmp_path):
    outside = file(tmp_path / "outside" / "a.csv", "mine")
    (results / "tables" / "B02" / "a.csv").unlink()
    (results / "tables" / "B02").rmdir()
    (results / "tables" / "B02").symlink_to(outside.parent)
    (results / "wells" / "B02.json").unlink()
    (results / "wells" / "B02.json").symlink_to(outside)
    remove_well(results, "B02")
    assert outside.read_text() == "mine"
    assert (results / "tables" / "B02").is_symlink()
    assert (results / "wells" / "B02.json").is_symlink()


def test_what_is_stale_goes_from_the_folders_that_are_named(results):
    remove_stale(results, "", ["tables/B02/b.csv"], folders=("tables",), well="B02")
    assert not (results / "tables" / "B02").exists()
    assert (results / "images" / "B02" / "step" / "x.tif").exists()


def staged(results, **files):
    folder = atomic.part_path(results / "tables" / "B02")
    for name, text in files.items():
        file(folder / name, text)
    return folder


@pytest.fixture(params=["links", "copies"])
def linking(request, monkeypatch):
    if request.param == "copies":

        def no_links(*_, **__):
            raise PermissionError(1, "this file system has no links")

        monkeypatch.setattr(atomic.os, "link", no_links)


@pytest.mark.usefixtures("linking")
def test_a_folder_that_is_replaced_keeps_what_is_the_users(results, tmp_path):
    final = results / "tables" / "B02"
    outside = file(tmp_path / "outside.txt", "mine")
    file(final / "notes.txt", "mine")
    file(final / ".hidden", "mine")
    file(final / "mine" / "deep" / "x.csv", "mine")
    (final / "empty").mkdir()
    (final / "link.csv").symlink_to(outside)
    (final / "folder").symlink_to(tmp_path)
    (final / "dangling").symlink_to("nowhere")
    names = replace_folder(results, "materialize_well", staged(results, b="new"), final, well="B02")
    assert names == ["b"]
    assert tree(final) == {
        "b": "new",
        "notes.txt": "mine",
        ".hidden": "mine",
        "mine": "/",
        "mine/deep": "/",
        "mine/deep/x.csv": "mine",
        "empty": "/",
        "link.csv": f"-> {outside}",
        "folder": f"-> {tmp_path}",
        "dangling": "-> nowhere",
    }
    assert "tables/B02/b" in owned_paths(results)
    assert "tables/B02/notes.txt" not in owned_paths(results)


@pytest.mark.parametrize("moment", ["carry_over", "announce", "replace_directory"])
def test_a_crash_at_any_moment_leaves_the_users_files_under_their_names(results, monkeypatch, moment):
    final = results / "tables" / "B02"
    file(final / "notes.txt", "mine")
    original = replace_folder.__globals__[moment]

    def crash(*arguments, **named):
        original(*arguments, **named)
        raise KeyboardInterrupt

    monkeypatch.setitem(replace_folder.__globals__, moment, crash)
    with pytest.raises(KeyboardInterrupt):
        replace_folder(results, "materialize_well", staged(results, b="new"), final, well="B02")
    assert (final / "notes.txt").read_text() == "mine"
    remove_unfinished_writes(results, ["tables"])
    assert (final / "notes.txt").read_text() == "mine"
    assert sorted(path.name for path in (results / "tables").iterdir()) == ["B02", "B03"]


def theirs_is_a_file(final):
    file(final / "b", "mine")


def theirs_is_a_folder(final):
    file(final / "b" / "inner", "mine")


def theirs_is_a_link(final):
    (final / "b").symlink_to("nowhere")


def ours_became_a_link(final):
    (final / "a.csv").unlink()
    (final / "a.csv").symlink_to("nowhere")


def theirs_is_above(final):
    file(final / "c", "mine")


@pytest.mark.parametrize(
    "put", [theirs_is_a_file, theirs_is_a_folder, theirs_is_a_link, ours_became_a_link, theirs_is_above]
)
def test_something_at_the_very_path_of_a_result_is_an_error_and_all_stays(results, put):
    final = results / "tables" / "B02"
    put(final)
    before, listed = tree(final), owned_paths(results)
    for attempt in range(2):  # the first one must not have listed it
        with pytest.raises(DestinationExistsError, match=r"tables/B02/.* was not written by Wellfield"):
            folder = staged(results, **{"a.csv": "new", "b": "new", "c/d": str(attempt)})
            replace_folder(results, "materialize_well", folder, final, well="B02")
        assert tree(final) == before
        assert owned_paths(results) == listed


@pytest.mark.parametrize("kind", ["file", "link"])
def test_something_in_the_place_of_the_folder_is_an_error(results, kind):
    final = results / "tables" / "C04"
    file(final, "mine") if kind == "file" else final.symlink_to("B03")
    with pytest.raises(DestinationExistsError, match="C04 was not written by Wellfield"):
        replace_folder(results, "materialize_well", staged(results, b="new"), final, well="C04")
    assert tree(results / "tables")["C04"] == ("mine" if kind == "file" else "-> B03")


def test_a_file_that_no_record_lists_cannot_be_announced(results):
    file(results / "plate_tables" / "a.csv", "mine")
    with pytest.raises(DestinationExistsError, match=r"plate_tables/a\.csv was not written by Wellfield"):
        announce(results, "aggregate_plate", ["plate_tables/a.csv"])
    assert "plate_tables/a.csv" not in owned_paths(results)


def test_unfinished_writes_go_by_their_exact_names_alone(results, tmp_path):
    ours = [file(results / name) for name in (".plan.json.0123456789ab.part", "tables/.B02.ba9876543210.part/x")]
    names = [".draft.part", "tables/.draft.part", "tables/.x.0123.part", "mine/.x.0123456789ab.part", "tables/x.part"]
    mine = [file(results / name, "mine") for name in names]
    (results / "report").symlink_to(tmp_path / "elsewhere")
    mine.append(file(tmp_path / "elsewhere" / ".x.0123456789ab.part", "mine"))
    remove_unfinished_writes(results, ["tables", "report", "absent"])
    assert not any(path.exists() for path in ours)
    assert all(path.read_text() == "mine" for path in mine)


def test_a_page_that_no_record_lists_stays(results):
    page = file(results / "report" / "unfinished.html", "mine")
    remove_page(results)
    assert page.read_text() == "mine"
    page.unlink()
    announce(results, "unfinished", ["report/unfinished.html"])
    file(page)
    remove_page(results)
    assert not page.exists()


@pytest.mark.parametrize(
    ("name", "removed"),
    [(f"wellfield-me-B02-{'0' * 32}", True), ("data", False), ("wellfield-me-B02-1", False), ("wellfield", False)],
)
def test_scratch_is_removed_by_its_exact_name(tmp_path, name, removed):
    file(tmp_path / name / "x")
    remove_scratch(tmp_path / name)
    assert (tmp_path / name).exists() is not removed


def test_a_well_that_an_earlier_record_lists_as_a_folder_counts_by_what_is_in_it(results):
    store = results / "plate.zarr" / "B" / "02"
    file(store / "1" / "labels" / "mine" / "zarr.json", "{}")
    file(store / "zarr.json", '{"node_type": "group", "attributes": {"wellfield": {"version": 1}}}')
    file(store / "1" / "0" / "c" / "0" / "0")
    file(store / "notes.txt", "mine")
    write_record(results, "", [{"path": "plate.zarr/B/02/"}], of={}, well="B02")
    expected = {"plate.zarr/B/02/zarr.json", "plate.zarr/B/02/1/0/c/0/0"}
    assert listed_files(results, "", "B02") == expected
    remove_listed(results, expected)
    assert sorted(path.name for path in store.rglob("*") if path.is_file()) == ["notes.txt", "zarr.json"]


# Where files are removed or renamed: here, in atomic writes, in the storage backends, and the following.
ELSEWHERE = {
    "results/well_writer.py": "its own unfinished folders, of a well that failed",
    "results/staged_well.py": "its own lists of staged wells, and the marks of jobs",
    "results/stage_writer.py": "its own unfinished folder, and its own folder in scratch",
    "workflow/fit_illumination.py": "its own unfinished folder",
    "workflow/run_sheet.py": "its own copy of the plate sheet, below .snakemake",
    "example/example_plate.py": "a draft of its own; writes the example plate, no results",
}
REMOVES = re.compile(
    r"rmtree|\.unlink\(|\.rmdir\(|os\.remove|removedirs|\.rename\(|os\.replace|\w*draft\.replace\(|shutil\.move"
)


def test_nothing_is_removed_or_renamed_anywhere_else():
    lib = REPOSITORY / "lib" / "wellfield"
    allowed = {"results/removal.py", "formats/atomic.py", *ELSEWHERE}
    files = [*lib.rglob("*.py"), *(REPOSITORY / "scripts").glob("*.py"), *(REPOSITORY / "rules").glob("*.smk")]
    files.append(REPOSITORY / "Snakefile")
    found = set()
    for path in files:
        name = path.relative_to(lib).as_posix() if path.is_relative_to(lib) else path.name
        if REMOVES.search(path.read_text(encoding="utf-8")) and not name.startswith("storage/"):
            found.add(name)
    assert found == allowed


def test_a_crash_where_folders_cannot_be_exchanged_loses_nothing_either(results, monkeypatch):
    final = results / "tables" / "B02"
    file(final / "notes.txt", "mine")
    final.rename(results / "tables" / ".B02.000000000000.part")  # between the two renames
    replace_folder(results, "materialize_well", staged(results, b="new"), final, well="B02")
    remove_unfinished_writes(results, ["tables"])
    assert tree(final) == {"b": "new", "notes.txt": "mine"}


def test_a_result_that_was_moved_and_linked_is_not_written_over(results):
    announce(results, "aggregate_plate", ["plate_tables/a.csv"])
    (results / "plate_tables").mkdir()
    (results / "plate_tables" / "a.csv").symlink_to(results / "plan.json")
    with pytest.raises(DestinationExistsError, match=r"plate_tables/a\.csv was not written by Wellfield"):
        announce(results, "aggregate_plate", ["plate_tables/a.csv"])


def test_a_link_under_the_name_of_an_unfinished_write_stays(results, tmp_path):
    link, folder = results / "tables" / ".a.0123456789ab.part", results / "tables" / ".b.0123456789ab.part"
    link.symlink_to(file(tmp_path / "outside" / "x", "mine"))
    folder.symlink_to(tmp_path / "outside")
    remove_unfinished_writes(results, ["tables"])
    assert link.read_text() == (folder / "x").read_text() == "mine"
