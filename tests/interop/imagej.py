"""ImageJ, as Debian packages it: runs a macro without a window and gives back what it prints."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

_RESULT = "RESULT "
_TIMEOUT_S = 120  # a mistake in a macro opens a dialog, which nobody answers


def run_macro(code: str, folder: Path, argument: str | Path = "") -> list[list[str]]:
    """Run a macro; return the words of each line that it prints as ``print("RESULT", …)``.

    Parameters
    ----------
    folder:
        Where the macro is written.
    argument:
        What ``getArgument()`` gives.
    """
    if not (shutil.which("imagej") and shutil.which("xvfb-run")):
        pytest.skip("ImageJ: needs the system packages imagej and xvfb")
    macro = folder / "macro.ijm"
    macro.write_text(f'{code}\nrun("Quit");\n')
    command = ["xvfb-run", "-a", "imagej", "-b", str(macro), str(argument)]
    # A session of its own, as the programs that xvfb-run starts outlive it when it is killed.
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            printed, _ = process.communicate(timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return [line.removeprefix(_RESULT).split() for line in printed.splitlines() if line.startswith(_RESULT)]
