"""Nothing of the user's is ever deleted: whatever lies in the results is there after a run, byte for byte."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.workflow.project import Project
from wellfield.example import ExamplePlate

pytestmark = pytest.mark.workflow

STRESS = os.environ.get("WELLFIELD_STRESS") == "1"
LAYOUTS = 300 if STRESS else int(os.environ.get("WELLFIELD_FOREIGN_LAYOUTS", "4"))
REFUSED = ("was not written by Wellfield", "is a link, ", "is not a folder, ", "is not a valid record")

FOLDERS = [
    ".",
    "wells",
    "images",
    "images/B02",
    "images/C07",
    "rois",
    "rois/B02",
    "tables",
    "tables/B02",
    "tables/B03",
    "plate_tables",
    "plate.zarr",
    "plate.zarr/B",
    "plate.zarr/B/02",
    "plate.zarr/B/02/1",
    "plate.zarr/B/02/1/0",
    "plate.zarr/B/02/1/labels",
    "plate.zarr/B/03",
    "plate.zarr/D/04",
    "report",
    "report/thumbnails",
    "illumination",
    "logs",
    "logs/process_well",
    "logs/ingest_plate",
    "benchmarks",
    "benchmarks/process_well",
    "records",
    "records/wells",
    ".staging",
    ".staging/B02",
    ".staging/C07",
    "mine",
    "../Q",
    "..",
]
NAMES = [
    "mine.txt",
    "notes.json",
    ".hidden",
    ".draft.part",
    ".B02.old.part",
    "x.part",
    "B02",
    "B03",
    "C07",
    "C07.json",
    "C07.npy",
    "C07.log",
    "B02.csv",
    "zarr.json",
    ".zattrs",
    "1",
    "labels",
    "mine",
    "objects.parquet",
    "plan.json",
    "cell_counts.csv",
    "cell_counts.parquet",
    "summary.html",
    "unfinished.html",
    "staged.json",
    "w1.npy",
    "Ünï-cödé",
]
KINDS = ("file", "empty file", "folder", "empty folder", "link to a file", "link to a folder", "dangling link", "moved")
STATES = ("fresh", "finished")
CHANGES = ("nothing", "well out", "well gone", "well fails", "not materialized", "as tiff", "plate map")
RAW = ("raw/Plate_1", "results/P/images", "results/P/mine", "results/P/plate.zarr", "results/Q/raw", "results")


@dataclass(frozen=True)
class Layout:
    """What a user did before a run: entries in the results, where the raw plate is, and what changed."""

    entries: tuple[tuple[str, str, str], ...]
    raw: str = RAW[0]
    behind_link: bool = False
    state: str = "finished"
    change: str = "nothing"


LAYOUT = st.builds(
    Layout,
    st.lists(st.tuples(*map(st.sampled_from, (FOLDERS, NAMES, KINDS))), min_size=1, max_size=12).map(tuple),
    # Most runs are to get further than the refusal of their raw folder.
    st.sampled_from((RAW[0],) * 12 + RAW),
    st.booleans(),
    st.sampled_from(("finished", "finished", "finished", "fresh")),
    st.sampled_from(CHANGES),
)


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    """A project that was not run yet, and one that is finished."""
    folder = tmp_path_factory.mktemp("templates")
    plate = ExamplePlate(wells=("B02", "B03"), fields=1, channels=1, z=1, size=64)
    for state in STATES:
        project = Project(folder / state)
        plate.write(project.root / "raw")
        project.add("P", "raw/Plate_1", plate_map="raw/plate_map.csv")
        if state == "finished":
            project.run()
    return folder


def snapshot(paths):
    """What is at these paths: content of a file, target of a link, names in a folder."""
    found = {}
    for path in paths:
        if path.is_symlink():
            found[path] = ("link", os.readlink(path))
        elif path.is_dir():
            found[path] = ("folder",)
        else:
            found[path] = ("file", path.read_bytes()) if path.exists() else ("gone",)
    return found


def below(folder):
    return [Path(root, name) for root, folders, files in os.walk(folder) for name in [*folders, *files]]


def put(project, number, folder, name, kind):
    """Put something of the user's into the results; return its paths, none where something is there already."""
    place = project.results("P", folder)
    path = place / name
    outside = project.root / "outside" / str(number)
    outside.mkdir(parents=True)
    (outside / "precious").write_text(f"precious {number}")
    kept = [outside / "precious"]
    if kind == "moved":  # a file of ours, moved to another disk and linked
        if path.is_symlink() or not path.is_file() or "/outside/" in str(path.resolve()):
            return kept
        path.rename(outside / name)
        path.symlink_to(outside / name)
        return [*kept, path, outside / name]
    try:
        place.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        return kept
    if os.path.lexists(path) or "/outside/" in str(place.resolve()):
        return kept
    if kind.endswith("file") and "link" not in kind:
        path.write_text("" if kind.startswith("empty") else f"mine {number}")
    elif "link" in kind:
        path.symlink_to({"link to a file": kept[0], "link to a folder": outside}.get(kind, "nowhere"))
    else:
        path.mkdir()
        if kind == "folder":
            (path / "inner.txt").write_text(f"mine {number}")
            return [*kept, path, path / "inner.txt"]
    return [*kept, path]


def change(project, layout):
    """Do what makes a run remove or replace results."""
    raw = project.root / "raw" / "Plate_1"
    planes = list(raw.rglob("*_B02_*"))
    if layout.change == "well out":
        project.plates[0][4] = "B03"
    elif layout.change == "well gone":
        for plane in planes:
            plane.unlink()
    elif layout.change == "well fails":
        for plane in planes:
            plane.write_bytes(b"no image")
    elif layout.change == "not materialized":
        for step in project.config["steps"]:
            step.pop("materialize", None)
    elif layout.change == "as tiff":
        project.config["vfs"]["materialization_backend"] = "disk"
    elif layout.change == "plate map":
        path = project.root / "raw" / "plate_map.csv"
        path.write_text(path.read_text().replace("DMSO", "dmso"))


def move_raw(project, layout):
    """Put the raw plate where the layout says, and name it so in the sheet."""
    raw = project.root / "raw" / "Plate_1"
    target = project.root / layout.raw
    if layout.raw != RAW[0]:
        target.mkdir(parents=True, exist_ok=True)
        for path in list(raw.iterdir()):
            path.rename(target / path.name)
    project.plates[0][1] = layout.raw
    if layout.behind_link:
        (project.root / "behind").symlink_to(target)
        project.plates[0][1] = "behind"
    return [target / path.relative_to(raw) for path in below(raw)] if layout.raw == RAW[0] else None


def run_layout(templates, root, layout):
    project = Project(root)
    shutil.copytree(templates / layout.state, root, dirs_exist_ok=True, symlinks=True)
    project.add("P", "raw/Plate_1", plate_map="raw/plate_map.csv")
    change(project, layout)
    names = [path.relative_to(root / "raw" / "Plate_1") for path in below(root / "raw" / "Plate_1")]
    move_raw(project, layout)
    raw = [root / layout.raw / name for name in names]
    mine = {entry: put(project, number, *entry) for number, entry in enumerate(layout.entries)}
    times = {path: path.stat().st_mtime_ns for path in raw}
    for _ in range(1 + len(layout.entries)):
        before = snapshot([*raw, *(path for paths in mine.values() for path in paths)])
        result = project.start()
        text = result.communicate()[0]
        assert snapshot(before) == before, text
        assert {path: path.stat().st_mtime_ns for path in raw} == times, text
        assert "Traceback" not in text
        if result.returncode == 0 or not any(words in text for words in REFUSED):
            break
        # Refused: the user moves away what the error names, and runs again.
        named = [entry for entry, paths in mine.items() if any(is_named(path, root, text) for path in paths[1:])]
        if not named:
            break
        for entry in named:
            mine[entry] = move_away(mine[entry])


def is_named(path, root, text):
    return os.path.lexists(path) and any(f"{path.relative_to(root)}{end}" in text for end in (" ", ",", ":", "\n"))


def move_away(paths):
    kept, path = paths[0], paths[1]
    path.rename(kept.parent / "moved away")
    return [kept, *(other for other in paths[2:] if not other.is_relative_to(path))]


@pytest.mark.stress
@settings(
    max_examples=LAYOUTS,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=not STRESS,
)
@given(layout=LAYOUT)
def test_whatever_is_the_users_is_there_after_a_run(templates, tmp_path_factory, layout):
    root = tmp_path_factory.mktemp("layout")
    try:
        run_layout(templates, root / "project", layout)
    finally:
        shutil.rmtree(root)
