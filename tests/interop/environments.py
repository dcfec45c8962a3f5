"""Environments of readers whose requirements do not go with those of the project."""

from __future__ import annotations

import fcntl
import json
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


class IndexNotReachedError(Exception):
    """The package index cannot be reached, so that a reader cannot be installed."""


@dataclass(frozen=True)
class ReaderEnvironment:
    """A virtual environment with pinned requirements, made below ``.venv-<name>`` when it is first needed.

    Parameters
    ----------
    name:
        Name of the reader.
    requirements:
        Pinned requirements (``name==version``).
    complete:
        The requirements name every package that is used; what they require themselves is not installed.
    root:
        Folder that holds the environment's own; that of the repository, where git ignores it.
    """

    name: str
    requirements: tuple[str, ...]
    complete: bool = False
    root: Path = ROOT

    @property
    def is_ready(self) -> bool:
        """Whether the environment is there, for these requirements and this Python."""
        ready = self._folder / "ready"
        return ready.is_file() and ready.read_text() == self._content

    @property
    def _folder(self) -> Path:
        return self.root / f".venv-{self.name}"

    @property
    def _content(self) -> str:
        return "\n".join([*self.requirements, f"Python {platform.python_version()}", ""])

    def python(self) -> Path:
        """Return the interpreter, making the environment if it is not there for these requirements and this Python.

        One process makes it, others wait. One that was killed meanwhile leaves nothing that is taken for complete.

        Raises
        ------
        IndexNotReachedError
            pip does not reach its index.
        RuntimeError
            The requirements cannot be installed for another reason.
        """
        environment = self._folder / "environment"
        self._folder.mkdir(exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self.is_ready:
                (self._folder / "ready").unlink(missing_ok=True)
                shutil.rmtree(environment, ignore_errors=True)
                self._make(environment)
                (self._folder / "ready").write_text(self._content)
        return environment / "bin" / "python"

    def run(self, script: str, argument: Any) -> Any:
        """Return what a script of this folder answers: a JSON value in, a JSON value out."""
        command = [str(self.python()), "-I", str(HERE / script)]
        result = subprocess.run(command, input=json.dumps(argument), capture_output=True, text=True, check=False)
        if result.returncode:
            raise RuntimeError(f"{script} failed:\n{result.stderr}")
        return json.loads(result.stdout)

    def _make(self, environment: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command = [*pip, "--retries", "1", *(["--no-deps"] if self.complete else []), *self.requirements]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode and "connection broken" in result.stderr:
            reason = result.stderr.strip().splitlines()[-1]
            raise IndexNotReachedError(f"{self.name} cannot be installed, pip does not reach its index: {reason}")
        if result.returncode:
            raise RuntimeError(f"{self.name} cannot be installed:\n{result.stderr[-2000:]}")


# It brings pandas 2.
NGIO = ReaderEnvironment("ngio", ("ngio==1.1.3", "zarr==3.1.6"))
# It brings napari, whose pytest plugins would load in every run of the tests.
NAPARI = ReaderEnvironment("napari-ome-zarr", ("napari-ome-zarr==0.10.0", "napari==0.9.2", "zarr==3.1.6"))
# It brings scikit-learn and AnnData, of which the project uses nothing.
PYCYTOMINER = ReaderEnvironment("pycytominer", ("pycytominer==1.7.1",))
# It would bring Qt and twice the packages that it needs without its window: the list is that of the benchmarks.
OPENHCS = ReaderEnvironment(
    "openhcs", tuple((ROOT / "benchmarks/peers/openhcs.txt").read_text().split()), complete=True
)


def main() -> None:
    """Make all of them. One that cannot be made is said; its tests say it again."""
    for environment in (NGIO, NAPARI, PYCYTOMINER, OPENHCS):
        try:
            environment.python()
        except (IndexNotReachedError, RuntimeError) as error:
            print(error, file=sys.stderr)


if __name__ == "__main__":
    main()
