"""Peers: other people's libraries. They run in their own environments and processes, and measure their own times."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import tempfile
import venv
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.harness import WORK

# A line that a peer answers with begins so; whatever else its libraries print is passed over.
ANSWER = "seconds "


@dataclass(frozen=True)
class PeerEnvironment:
    """A virtual environment with pinned requirements, made under ``benchmarks/work`` when it is first needed.

    Parameters
    ----------
    name:
        Name of the peer.
    requirements:
        Pinned requirements (``name==version``).
    complete:
        The requirements name every package that is used; what they require themselves is not installed.
    """

    name: str
    requirements: tuple[str, ...]
    complete: bool = False

    def __post_init__(self) -> None:
        loose = [requirement for requirement in self.requirements if "==" not in requirement]
        if loose:
            raise ValueError(f"requirements of peer {self.name} are not pinned: {', '.join(loose)}")

    @property
    def folder(self) -> Path:
        """Folder of the environment; another one for other requirements or another Python."""
        key = " ".join([*self.requirements, platform.python_version()])
        return WORK / f"{self.name}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"

    def python(self) -> Path:
        """Return the interpreter, making the environment if it is not complete."""
        ready = self.folder / "ready"
        if not ready.exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            venv.create(self.folder, with_pip=True)
            pip = [str(self.folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
            pip += [*(["--no-deps"] if self.complete else []), *self.requirements]
            subprocess.run(pip, check=True)
            ready.touch()
        return self.folder / "bin" / "python"

    def start(self, script: str | os.PathLike[str], *arguments: str) -> PeerProcess:
        """Start a script that answers as ``benchmarks/peers/answer.py`` does."""
        return PeerProcess([str(self.python()), os.fspath(script), *arguments])


class PeerProcess:
    """A process that is asked for times, so that its start, imports and warm-up are in none of them.

    It reads one JSON list a line, the name of an operation and its arguments, and answers each with the line
    ``seconds <number>``. As a context manager it is ended with the block.

    Parameters
    ----------
    command:
        Program and arguments.
    """

    def __init__(self, command: Sequence[str]) -> None:
        # A file, since a pipe that nobody reads would fill up.
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 (closed by __exit__)
        self._command = " ".join(map(str, command))
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )

    def ask(self, operation: str, *arguments: Any) -> float:
        """Return the seconds that the peer says *operation* took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # it ended: what it wrote last says why
            self._process.stdin.write(json.dumps([operation, *arguments]) + "\n")
            self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith(ANSWER):
                return float(line.removeprefix(ANSWER))
        self._process.wait()
        self._errors.seek(0)
        raise RuntimeError(f"{self._command} failed at {operation}:\n{self._errors.read()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with suppress(BrokenPipeError):
            self._process.communicate()  # the end of its input is the end of it
        self._errors.close()


def run_timed(command: Sequence[str], *, folder: Path | None = None) -> float:
    """Run a process in *folder* that prints its own time in seconds (or bytes) as the last line, and return that."""
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{result.stderr}")
    return float(result.stdout.strip().splitlines()[-1])
