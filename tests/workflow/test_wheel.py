"""The wheel has all that the package needs, outside the repository and in a Python without the package."""

import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.bare_python import make_bare_python
from tests.workflow.project import REPOSITORY, environment

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of a copy of the repository, as building writes into its folder."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, folder)
    shutil.copytree(REPOSITORY / "lib", folder / "lib", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", folder / "dist", folder], check=True)
    [built] = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def command(tmp_path_factory, wheel):
    """Run the wheel's Python with arguments, in another folder; return what it printed."""
    folder = tmp_path_factory.mktemp("installed")
    with ZipFile(wheel) as archive:
        archive.extractall(folder / "packages")
    python = make_bare_python(folder / "python")
    own = {**environment(), "PYTHONPATH": str(folder / "packages")}

    def run(*arguments, cwd=folder):
        done = subprocess.run(
            [python, *map(str, arguments)], cwd=cwd, env=own, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("-c", "import wellfield; print(wellfield.__file__)").startswith(f"{folder}/packages/")
    return run


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(wheel):
    package = REPOSITORY / "lib" / "wellfield"
    files = {path.relative_to(package.parent).as_posix() for path in package.rglob("*") if path.is_file()}
    with ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == {name for name in files if "__pycache__" not in name}


def test_every_module_of_the_wheel_is_imported(command):
    code = (
        "import importlib, pkgutil, wellfield\n"
        "names = [module.name for module in pkgutil.walk_packages(wellfield.__path__, 'wellfield.')]\n"
        "print(len([importlib.import_module(name) for name in names]))"
    )
    assert int(command("-W", "error::SyntaxWarning", "-c", code)) > 200


def test_the_commands_work_on_a_plate_that_the_wheel_makes(command, tmp_path):
    command("-m", "wellfield.example", "example", cwd=tmp_path)
    assert "192" in command("-m", "wellfield.cli", "inspect", "example/Plate_1", cwd=tmp_path)
    assert "threshold_otsu(" in command("-m", "wellfield.cli", "functions", cwd=tmp_path)
    assert "inspect" in command("-m", "wellfield.cli", "--help", cwd=tmp_path)


def test_the_commands_work_on_the_results_of_a_run(command, finished):
    project, _ = finished
    assert "projected" in command("-m", "wellfield.cli", "plan", Path("config/config.yaml"), cwd=project.root)
    assert command("-m", "wellfield.cli", "validate", "results/P1", cwd=project.root)
