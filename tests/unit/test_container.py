"""The recipe of the container agrees with the environments, and with the package."""

import re
import shlex
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
LINES = re.sub(r"\\\n\s*", "", (REPOSITORY / "Dockerfile").read_text()).splitlines()
PAGE = (REPOSITORY / "docs" / "howto" / "environments.md").read_text(encoding="utf-8")
EXTRAS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def values(instruction):
    return [line.partition(" ")[2] for line in LINES if line.startswith(f"{instruction} ")]


def commands():
    return [shlex.split(command) for run in values("RUN") for command in run.split(" && ")]


def test_the_image_has_the_python_of_the_environments():
    [image] = values("FROM")
    python, _ = yaml.safe_load((REPOSITORY / "envs" / "base.yaml").read_text())["dependencies"][:2]
    assert image == f"{python.replace('=', ':')}-slim"


def test_jobs_do_not_find_the_packages_code_in_the_images_own_python():
    pip = [command for command in commands() if command[:3] == ["python", "-m", "pip"]]
    installed = [command for command in pip if any(re.match(r"\.(\$|$)", part) for part in command)]
    assert [("--only-deps" in command, "--python" in command) for command in installed] == [
        (True, False),
        (False, True),
    ]
    assert installed[0][-1] == ".${EXTRAS:+[$EXTRAS]}"
    assert {"--no-deps", "--editable"} <= set(installed[1])


def test_all_that_pip_installs_by_name_is_pinned():
    packages = [command[-1] for command in commands() if "install" in command and command[0] == "python"]
    assert all("==" in package for package in packages if not package.startswith("."))


def test_the_image_does_not_run_as_root():
    assert values("USER") == ["wellfield"]
    assert LINES.index("USER wellfield") > max(n for n, line in enumerate(LINES) if line.startswith("RUN"))


def test_the_documented_builds_name_arguments_and_extras_that_there_are():
    arguments = {value.partition("=")[0] for value in values("ARG")}
    documented = re.findall(r"--build-arg (\w+)=(\S+)", PAGE + (REPOSITORY / "Dockerfile").read_text())
    assert {name for name, _ in documented} == arguments
    assert {extra for name, value in documented if name == "EXTRAS" for extra in value.split(",")} <= set(EXTRAS)


def test_what_the_package_and_the_workflow_need_is_copied_and_nothing_else():
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    copied = {line[1:] for line in ignored if line.startswith("!")}
    assert "*" in ignored
    assert all((REPOSITORY / name).exists() for name in copied)
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    needed = {"Snakefile", "pyproject.toml", "lib", "rules", "scripts", "envs", "config", "report"}
    assert needed | {project["readme"], *project["license-files"]} <= copied
    assert not any(fnmatch(name, pattern) for name in copied for pattern in ("results", ".venv*", ".git", "tests"))
