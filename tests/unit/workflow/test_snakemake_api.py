"""What Wellfield uses of Snakemake's own objects, against the Snakemake that is installed."""

import json
import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from wellfield.errors import SnakemakeVersionError
from wellfield.workflow import snakemake_api

SNAKEFILE = """
import json
from pathlib import Path
from wellfield.workflow import snakemake_api as api

SEEN = {}
api._SCRIPTS = Path(workflow.basedir)  # a rule has the name of its script there
FORCED = config.get("forced", [])


def note(moment):
    SEEN[moment] = {
        "main": api.is_main_process(workflow),
        "run": api.is_run(workflow),
        "will run": api.will_run(workflow),
        "own": api.is_main_workflow(workflow, Path(workflow.basedir, "Snakefile")),
        "foreign": api.is_main_workflow(workflow, Path("another", "Snakefile")),
        "config": [Path(path).name for path in api.config_files(workflow)],
        "after --configfile": [Path(path).name for path in api.files_after_configfile(workflow)],
        "silent": api.is_silent(workflow),
        "does": api.does_rule(workflow, "process_well"),
        "at once": api.jobs_at_once(workflow),
        "here": api.runs_here(workflow),
        "notemp": api.keeps_temporary(workflow),
        "locked": api.is_locked(),
    }
    Path("seen.json").write_text(json.dumps(SEEN))


def forced(wildcards):
    note("graph")
    api.force_outputs(workflow, FORCED)
    if "ignored" in config:
        api.ignore_script_times(workflow)
    return []


note("parse")


rule check_plate:
    input: "P1/B02.txt", "P1/B03.txt"
    output: "{plate}/check.json"
    script: "check_plate.py"


rule process_well:
    input: forced
    output: "{plate}/{well}.txt"
    script: "process_well.py"


onstart:
    note("start")
    SEEN["needed"] = sorted(api.needed_jobs(workflow))
    api.set_config(workflow, config, "plates", "copy.tsv")
    api.set_config(workflow, {}, "plates", "elsewhere.tsv")
    SEEN["config of jobs"] = list(workflow.config_settings.config_args)


def end():
    note("end")
    jobs = api.run_jobs(workflow)
    for name in ("finished", "pending", "died", "whole"):
        SEEN[name] = sorted(getattr(jobs, name))
    SEEN["scheduled"] = api.has_scheduled(workflow)
    Path("seen.json").write_text(json.dumps(SEEN))


onsuccess:
    end()


onerror:
    end()
"""
SCRIPT = """
from pathlib import Path
if snakemake.wildcards.get("well") in snakemake.config.get("broken", []):
    raise SystemExit(1)
Path(snakemake.output[0]).write_text("done")
"""
WELLS = [["process_well", "P1", "B02"], ["process_well", "P1", "B03"]]


@pytest.fixture
def snakemake(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "process_well.py").write_text(SCRIPT)
    (tmp_path / "check_plate.py").write_text(SCRIPT)
    (tmp_path / "config.yaml").write_text("a: 1\n")

    def run(*arguments, **config):
        (tmp_path / "seen.json").unlink(missing_ok=True)
        command = [sys.executable, "-m", "snakemake", "P1/check.json", "--cores", "2", "--nocolor", *arguments]
        command += ["--configfile", "config.yaml", "--config", f"all={len(config)}"]
        command += [f"{name}={json.dumps(value)}" for name, value in config.items()]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        seen = json.loads((tmp_path / "seen.json").read_text())
        return SimpleNamespace(code=done.returncode, text=done.stdout + done.stderr, seen=seen)

    return run


def test_what_snakemake_says_of_a_run(snakemake):
    run = snakemake("--notemp", "--quiet", "all")
    assert run.code == 0, run.text
    always = {"main": True, "run": True, "own": True, "foreign": False, "config": ["config.yaml"]}
    always |= {"after --configfile": ["config.yaml"], "silent": True, "does": True, "at once": 2, "notemp": True}
    for moment, will_run, locked in (("parse", False, False), ("graph", True, False), ("start", True, True)):
        assert run.seen[moment] == {**always, "here": True, "will run": will_run, "locked": locked}
    assert run.seen["needed"] == [["check_plate", "P1", ""], *WELLS]
    assert run.seen["config of jobs"][-1] == "plates=copy.tsv"
    assert run.seen["finished"] == [["check_plate", "P1", ""], *WELLS]
    assert (run.seen["pending"], run.seen["died"], run.seen["whole"], run.seen["scheduled"]) == ([], [], ["P1"], True)


def test_jobs_that_failed_and_that_were_not_begun(snakemake):
    run = snakemake("--keep-going", broken=["B03"])
    assert run.code != 0
    assert run.seen["finished"] == WELLS[:1]
    assert run.seen["pending"] == [["check_plate", "P1", ""], WELLS[1]]
    assert run.seen["died"] == WELLS[1:]


def test_only_forced_outputs_run_again_and_a_newer_script_alone_runs_nothing(snakemake, tmp_path):
    snakemake()
    script = tmp_path / "process_well.py"
    later = script.stat().st_mtime + 100
    os.utime(script, (later, later))
    run = snakemake("--dry-run")
    assert run.text.count("rule process_well:") == 2  # as Snakemake does by itself
    assert run.seen["graph"]["will run"] is False
    assert "rule process_well:" not in snakemake("--dry-run", ignored=True).text
    run = snakemake(ignored=True, forced=["P1/B03.txt"])
    assert run.seen["finished"] == [["check_plate", "P1", ""], WELLS[1]]


def test_an_attribute_that_snakemake_lacks_is_named():
    with pytest.raises(SnakemakeVersionError, match=r"has no dag_settings\.allowed_rules in its SimpleNamespace"):
        snakemake_api.does_rule(SimpleNamespace(is_main_process=False, dag_settings=SimpleNamespace()), "process_well")


def test_what_a_run_can_do_without_is_left_out():
    workflow = SimpleNamespace()
    assert snakemake_api.files_after_configfile(workflow) == []
    assert snakemake_api.is_silent(workflow) is False
    assert snakemake_api.has_scheduled(workflow) is False
    snakemake_api.ignore_script_times(workflow)
    assert vars(workflow) == {}


def test_no_other_timer_than_snakemakes_is_stopped():
    other = threading.Timer(60, print)
    other.start()
    snakemake_api.stop_timers()
    assert not other.finished.is_set()
    other.cancel()


def test_the_configuration_of_a_module_is_set_in_the_part_that_it_is():
    part = {}
    settings = SimpleNamespace(config_args=None)
    workflow = SimpleNamespace(
        globals={"config": {"a": {"x": 1}, "screen": {"wellfield": part}}}, config_settings=settings
    )
    snakemake_api.set_config(workflow, part, "plates", "copy.tsv")
    assert settings.config_args == ['screen={"wellfield": {"plates": "copy.tsv"}}']
