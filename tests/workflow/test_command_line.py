"""What people type, and what a run says last: paths in every spelling, several plates, edits during a run, mistakes."""

import json
import os
import pty
import re
import subprocess
from contextlib import suppress

import pandas as pd
import pytest

from tests.workflow.project import environment
from wellfield.example import ExamplePlate

pytestmark = pytest.mark.workflow

TINY = ExamplePlate(wells=("B02",), fields=1, channels=1, z=1, size=96)


@pytest.fixture(scope="module")
def tiny_plate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    TINY.write(folder)
    return folder / "Plate_1"


@pytest.mark.parametrize("results", ["../out", "~/link/..//my results (1) µ/"])
def test_results_may_be_typed_in_any_way(project, tiny_plate, results, monkeypatch):
    monkeypatch.setenv("HOME", str(project.root / "home"))
    os.symlink(tiny_plate.parent, project.root / "raw")
    (project.root / "elsewhere" / "below").mkdir(parents=True)
    (project.root / "home").mkdir()
    os.symlink(project.root / "elsewhere" / "below", project.root / "home" / "link")
    project.add("P", "./config/../raw/Plate_1/").run("--config", f"results={results}")
    out = project.root.joinpath(results.replace("~", str(project.root / "home")))
    assert json.loads((out / "P" / "wells" / "B02.json").read_text())["status"] == "done"
    assert len(pd.read_csv(out / "P" / "cell_counts.csv")) == 1
    assert not project.results().exists()
    assert project.run("--config", f"results={results}", "--dry-run").jobs == []


def test_a_run_works_with_the_sheet_that_it_began_with_and_says_a_line_of_each_plate(project, tiny_plate):
    for plate in ("A", "B"):
        project.add(plate, tiny_plate)
    sheet = project.root / "config" / "plates.tsv"
    with project.start("--cores", "1") as process:
        text = ""
        for line in process.stdout:
            if "ingesting the plate" in line and not text:
                # Both plates are taken out, one is added, and one is half typed.
                header = sheet.read_text().splitlines()[0]
                sheet.write_text("\n".join([header, "\t".join(["Z", str(tiny_plate), "auto", "", ""]), "D"]))
                text = line
            text += line
    assert process.returncode == 0, text
    assert [project.results(plate, "check_plate.json").exists() for plate in "ABZD"] == [True, True, False, False]
    assert not list(project.root.glob(".snakemake/wellfield/*"))
    lines = [line for line in text.splitlines() if ": 1 of 1 well done, " in line]
    assert [line.partition(";")[0] for line in lines] == [
        f"{plate}: 1 of 1 well done, 0 failed, 0 planes skipped" for plate in "AB"
    ]
    assert all("; this run: 1 plane of 1 well in " in line for line in lines)


def test_a_wrong_key_ends_with_the_mistake_and_that_nothing_was_run(project, tiny_plate):
    project.config["stepz"] = 1
    project.add("P", tiny_plate)
    for quiet in ([], ["--quiet", "all"]):
        *_, mistake, last = project.run(*quiet, succeeds=False).text.splitlines()
        assert mistake.startswith("  stepz: unknown key; did you mean 'steps'?")
        assert last == "Nothing was run."
    assert not project.results().exists()


def test_a_pipeline_that_does_not_compile_ends_with_the_mistake(project, tiny_plate):
    project.config["steps"][0]["func"] = "max_projektion"
    project.add("P", tiny_plate).add("Q", tiny_plate)
    text = project.run("--quiet", "all", succeeds=False).text
    *_, job, mistake, last = text.splitlines()
    assert job in (
        "P compile_plan, Q compile_plan stopped: the pipeline has 1 mistake:",
        "Q compile_plan, P compile_plan stopped: the pipeline has 1 mistake:",
    )
    assert "no function is registered as 'max_projektion'; did you mean 'max_projection'?" in mistake
    assert last == "No well was run. Correct this, then type the same command again."
    assert "wells that are done are kept" not in text


def test_a_target_behind_the_configuration_is_named_and_works_before_it(copy):
    target = "results/P1/wells/B02.json"
    mine = copy.root / "mine.yaml"
    mine.write_text("memory_margin_mb: 700\n")
    text = copy.run("--configfile", mine, copy.root / target, succeeds=False).text
    assert f"Snakemake took {target} for a configuration" in text
    assert "Write targets first: snakemake --cores 2 TARGET --configfile FILE" in text
    assert copy.run(target, "--configfile", mine).jobs == []


def test_a_terminal_shows_a_bar_and_a_file_a_line_for_each_well(project, tiny_plate):
    project.add("P", tiny_plate)
    controller, terminal = pty.openpty()
    surroundings = environment() | {"TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(project.command(), stdout=terminal, stderr=terminal, env=surroundings)
    os.close(terminal)
    text = ""
    with suppress(OSError):  # the end of a terminal
        while part := os.read(controller, 10_000):
            text += part.decode()
    os.close(controller)
    assert process.wait() == 0, text
    assert re.search(r"\r\x1b\[K\[#{20}\] P: 1 of 1 well, 0 failed, .* planes/s, 0:00 left\r", text)
    assert "\x1b[KP: 1 of 1 well done, 0 failed" in text  # the summary begins where the bar was removed
    run = project.run("--forcerun", "process_well")
    assert re.search(r"^\d\d:\d\d:\d\d P B02: done, 1 planes? \(1 of 1\)$", run.text, re.MULTILINE)
    assert "\x1b" not in run.text
    assert len(run.text.splitlines()) < 40
    assert "Job stats" in run.log
    assert "Job stats" in project.run("--forcerun", "process_well", "--verbose").text
