"""A Python that has all packages of this one but Wellfield."""

import subprocess
import sys
import sysconfig
from pathlib import Path


def make_bare_python(folder: Path) -> Path:
    """Make an environment in a folder and return its Python.

    It reads the packages of this Python where they are. The file there that leads to Wellfield has no effect: Python
    reads such files in the folder of an environment's own packages alone.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    paths = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", vars=paths), "others.pth")
    packages.write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder / "bin" / "python"
