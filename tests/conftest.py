"""What all tests share: where the real plates are, and that nothing is skipped where everything is required."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

MAY_SKIP = ("gpu", "conda")


def required() -> bool:
    """Tell whether every test must run (``REQUIRE_ALL=1``, as CI sets it)."""
    return os.environ.get("REQUIRE_ALL") == "1"


@pytest.fixture(scope="session")
def real_plates() -> Path:
    """Folder of real plates: ``WELLFIELD_PLATES``, or ``../shared/plates`` beside the repository."""
    beside = Path(__file__).parents[2] / "shared" / "plates"
    folder = Path(os.environ.get("WELLFIELD_PLATES") or beside)
    if not folder.is_dir():
        pytest.skip(f"no real plates in {folder}; set WELLFIELD_PLATES")
    return folder


@pytest.fixture(scope="session")
def reference_document() -> str:
    """Text of the architecture document: ``WELLFIELD_REFERENCE``, or ``../shared/reference`` beside the repository."""
    beside = Path(__file__).parents[2] / "shared" / "reference"
    folder = Path(os.environ.get("WELLFIELD_REFERENCE") or beside)
    files = sorted(folder.glob("*.txt"))
    if not files:
        pytest.skip(f"no architecture document in {folder}; set WELLFIELD_REFERENCE")
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where everything is required; keep what a report says UTF-8.

    With several processes a report goes from one to another as UTF-8, also that of a test on text that is not.
    """
    report = yield
    report.sections = [(name, _as_utf8(text)) for name, text in report.sections]
    said = str(report.longrepr or "")
    if _as_utf8(said) != said:
        report.longrepr = _as_utf8(said)
    expected = hasattr(report, "wasxfail") or any(item.get_closest_marker(name) for name in MAY_SKIP)
    if report.skipped and required() and not expected:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome, report.longrepr = "failed", f"REQUIRE_ALL=1, but {item.nodeid} was skipped: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Do the same for a module that skips itself."""
    report = yield
    if report.skipped and required():
        report.outcome, report.longrepr = "failed", f"REQUIRE_ALL=1, but {collector.nodeid} skips itself"
    return report


def _as_utf8(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
