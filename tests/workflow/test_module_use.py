"""Wellfield as a module of another Snakefile, in another folder and without the package installed."""

import re
import shutil
import subprocess

import pytest

from tests.bare_python import make_bare_python
from tests.workflow.project import REPOSITORY, Project, environment
from wellfield.workflow.validate import compare_results

pytestmark = pytest.mark.workflow

SNAKEFILE = f"""configfile: "config/config.yaml"
module wellfield:
    snakefile: "{REPOSITORY}/Snakefile"
    config: config
use rule * from wellfield
"""

# The configuration in a part of another one, rules under other names and one of them changed, own rules and hooks.
OTHER_SNAKEFILE = f"""
configfile: "other.yaml"


rule everything:
    default_target: True
    input:
        "P1.own.txt",


module wellfield:
    snakefile:
        "{REPOSITORY}/Snakefile"
    config:
        config["screen"]


use rule * from wellfield as screen_*


use rule process_well from wellfield as screen_process_well with:
    message:
        "a message of the user's own"


rule own:
    input:
        "results/{{plate}}/cell_counts.csv",
    output:
        "{{plate}}.own.txt",
    shell:
        "wc -l < {{input}} > {{output}}"


onstart:
    print("own start")


onsuccess:
    print("own success")


onerror:
    print("own error")
"""

FUNCTION = """
import os
import signal
from pathlib import Path


def fragile(image):
    if Path("kill").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return image
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A Python that has all packages but Wellfield."""
    folder = tmp_path_factory.mktemp("python")
    executable = make_bare_python(folder)
    imports = [executable, "-c", "import snakemake, wellfield"]
    outside = subprocess.run(imports, cwd=folder, env=bare(), check=False, **CAPTURED)
    assert "No module named 'wellfield'" in outside.stderr
    return executable


CAPTURED = {"capture_output": True, "text": True}


def bare():
    return {name: value for name, value in environment().items() if name != "PYTHONPATH"}


def snakemake(python, folder, *arguments, cwd=None):
    command = [python, "-m", "snakemake", "--cores", "2", "--nocolor", "--directory", folder, *arguments]
    done = subprocess.run([*map(str, command)], cwd=cwd or folder, env=bare(), check=False, **CAPTURED)
    return done.returncode, done.stdout + done.stderr


def test_five_lines_elsewhere_run_the_plate_as_the_workflow_itself_does(python, tmp_path, small_plate, finished):
    project = Project(tmp_path / "project")
    shutil.copytree(small_plate, project.root / "raw")
    project.add("P1", "raw/Plate_1", plate_map="raw/plate_map.csv").write()
    snakefile = tmp_path / "elsewhere" / "Snakefile"
    snakefile.parent.mkdir()
    snakefile.write_text(SNAKEFILE)
    code, text = snakemake(python, project.root, "--snakefile", snakefile, cwd=tmp_path)
    assert code == 0, text
    assert re.search(r"^P1: 3 wells to do; results take .* are free in results$", text, re.MULTILINE)
    assert re.search(r"^P1: 3 of 3 wells done, 0 failed, .*; see results/P1/report/summary.html$", text, re.MULTILINE)
    assert not list(project.root.glob(".snakemake/wellfield/*"))
    assert not list((tmp_path / "elsewhere").glob("results"))
    assert compare_results(project.results("P1"), finished[0].results("P1")) == []
    code, text = snakemake(python, project.root, "--snakefile", snakefile)
    assert code == 0
    assert "Nothing to be done" in text


def test_other_names_own_rules_and_own_hooks_keep_what_a_run_says(python, tmp_path, small_plate):
    project = Project(tmp_path / "project")
    shutil.copytree(small_plate, project.root / "raw")
    project.config["steps"].append({"name": "own", "func": "own:fragile", "input": "projected", "channels": [1]})
    project.add("P1", "raw/Plate_1", wells="B02").write()
    settings = (project.root / "config" / "config.yaml").read_text()
    (project.root / "other.yaml").write_text("screen:\n" + re.sub("^", "  ", settings, flags=re.MULTILINE))
    (project.root / "Snakefile").write_text(OTHER_SNAKEFILE)
    (project.root / "own.py").write_text(FUNCTION)
    (project.root / "kill").touch()
    code, text = snakemake(python, project.root)
    assert code != 0, text
    assert text.count("own start") == text.count("own error") == 1
    assert len(re.findall(r"^P1: 0 of 1 well done, .*1 died \(B02 process_well\)", text, re.MULTILINE)) == 1
    assert "<td>B02</td><td>process_well</td>" in project.results("P1", "report", "unfinished.html").read_text()
    (project.root / "kill").unlink()
    code, text = snakemake(python, project.root)
    assert code == 0, text
    assert "a message of the user's own" in text
    assert text.count("own start") == text.count("own success") == 1
    assert len(re.findall(r"^P1: 1 of 1 well done", text, re.MULTILINE)) == 1
    assert (project.root / "P1.own.txt").read_text().strip() == "3"
    assert not list(project.root.glob(".snakemake/wellfield/*"))


def test_a_prefix_is_refused_before_anything_runs(python, tmp_path, small_plate):
    project = Project(tmp_path / "project")
    project.add("P1", small_plate / "Plate_1").write()
    prefixed = SNAKEFILE.replace("    config: config\n", '    config: config\n    prefix: "here"\n')
    (project.root / "Snakefile").write_text(prefixed)
    code, text = snakemake(python, project.root)
    assert code != 0, text
    assert "the module of Wellfield has a prefix:" in text
    assert not project.results().exists()
