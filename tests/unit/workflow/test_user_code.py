"""Which source files stand behind a function of the user's own; nothing of them is executed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wellfield.workflow.digests import function_digest
from wellfield.workflow.user_code import source_files

BOOM = "raise SystemExit('executed')\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory on the path, as in a run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("uc_")]:
        del sys.modules[name]


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def names(place: str) -> list[str]:
    return sorted(source_files(place))


def test_imports_are_followed_in_every_spelling_and_nothing_is_executed(folder: Path) -> None:
    write(
        folder,
        {
            "uc_pkg/__init__.py": BOOM + "from . import early\n",
            "uc_pkg/early.py": BOOM,
            "uc_pkg/main.py": BOOM
            + "import numpy, json, uc_plain\nfrom .sub.deep import thing\nfrom .. import nothing\n"
            "def f(x):\n    from uc_pkg.late import g\n    import wellfield.cli\n    import uc_missing\n",
            "uc_pkg/late.py": "import uc_pkg.main\n",  # a circle
            "uc_pkg/sub/__init__.py": "from ..other import *\n",
            "uc_pkg/sub/deep.py": "this is no Python\n",
            "uc_pkg/other.py": "",
            "uc_pkg/unused.py": "",
            "uc_plain.py": "import uc_space.inner\n",
            "uc_space/inner.py": "",  # a namespace package
        },
    )
    assert names("uc_pkg.main") == [
        "uc_pkg",
        "uc_pkg.early",
        "uc_pkg.late",
        "uc_pkg.main",
        "uc_pkg.other",
        "uc_pkg.sub",
        "uc_pkg.sub.deep",
        "uc_plain",
        "uc_space.inner",
    ]
    assert "uc_pkg" not in sys.modules


def test_a_file_is_followed_too_and_an_installed_module_stands_alone(folder: Path) -> None:
    write(folder, {"mine/uc_functions.py": "import uc_helper, scipy\n", "uc_helper.py": ""})
    assert names("mine/uc_functions.py") == ["mine/uc_functions.py", "uc_helper"]
    assert set(names("skimage.filters")) == {"skimage", "skimage.filters"}
    assert names("mine/absent.py") == names("uc_absent.module") == []


def test_what_lies_outside_the_working_directory_and_the_package_is_not_followed(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write(
        elsewhere,
        {"uc_far.py": "", "uc_lib/__init__.py": "", "uc_lib/a.py": "from uc_lib import b\n", "uc_lib/b.py": ""},
    )
    monkeypatch.syspath_prepend(str(elsewhere))
    write(folder, {"uc_near.py": "import uc_far\n"})
    assert names("uc_near") == ["uc_near"]
    assert names("uc_lib.a") == ["uc_lib", "uc_lib.a", "uc_lib.b"]


@pytest.mark.parametrize(
    "change",
    [
        {"uc_helper.py": "ADDED = 2\n"},
        {"uc_helper.py": None, "uc_helper/__init__.py": "ADDED = 1\n"},
        {"uc_helper.py": None},
        {"uc_deep.py": "X = 1\n"},
        {"uc_mine.py": "import uc_helper\nX = 1\n"},
    ],
    ids=["edited", "a package now", "gone", "deep", "the module itself"],
)
def test_the_digest_changes_with_every_file_behind_a_function(folder: Path, change: dict[str, str | None]) -> None:
    write(
        folder, {"uc_mine.py": "import uc_helper\n", "uc_helper.py": "ADDED = 1\n", "uc_deep.py": "", "uc_other.py": ""}
    )
    write(folder, {"uc_helper.py": "ADDED = 1\nimport uc_deep\n"} if "uc_deep.py" in change else {})
    before = function_digest(["uc_mine:f", "max_projection"])
    write(folder, {"uc_other.py": "Y = 2\n"})
    assert function_digest(["uc_mine:f", "max_projection"]) == before
    for name, text in change.items():
        if text is None:
            (folder / name).unlink()
        else:
            write(folder, {name: text})
    assert function_digest(["uc_mine:f", "max_projection"]) != before
