"""What all tests share: where the real plates are, what is skipped where, and in which order they run."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Generator, Iterable
from pathlib import Path

import pytest

MAY_SKIP = ("gpu", "conda")

# Kinds of tests that take long, by marker: the longest first. With several processes they start first.
SLOW = ("slurm", "workflow", "readers")

LEFT_OUT = pytest.StashKey[Counter[str]]()


def required() -> bool:
    """Tell whether every test must run (``REQUIRE_ALL=1``, as CI sets it)."""
    return os.environ.get("REQUIRE_ALL") == "1"


@pytest.fixture(scope="session")
def real_plates() -> Path:
    """Folder of real plates: ``WELLFIELD_PLATES``, or ``../shared/plates`` beside the repository."""
    beside = Path(__file__).parents[2] / "shared" / "plates"
    folder = Path(os.environ.get("WELLFIELD_PLATES") or beside)
    if not folder.is_dir():
        pytest.skip(f"real plates: none in {folder}; set WELLFIELD_PLATES")
    return folder


@pytest.fixture(scope="session")
def reference_document() -> str:
    """Text of the architecture document: ``WELLFIELD_REFERENCE``, or ``../shared/reference`` beside the repository."""
    beside = Path(__file__).parents[2] / "shared" / "reference"
    folder = Path(os.environ.get("WELLFIELD_REFERENCE") or beside)
    files = sorted(folder.glob("*.txt"))
    if not files:
        pytest.skip(f"architecture document: none in {folder}; set WELLFIELD_REFERENCE")
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with what takes longest, so that no process is left alone with it at the end."""
    items.sort(key=lambda item: next((n for n, kind in enumerate(SLOW) if item.get_closest_marker(kind)), len(SLOW)))


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEFT_OUT] = Counter()
    # A shell makes what it runs in the background ignore Ctrl-C, and the runs that tests start would inherit it.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_deselected(items: Iterable[pytest.Item]) -> None:
    """Count what is left out by kind."""
    for item in items:
        kind = next((kind for kind in ("long", *SLOW) if item.get_closest_marker(kind)), "other")
        item.config.stash[LEFT_OUT][kind] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that reports what this one left out: each of several processes collects the same tests."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left out"] = dict(session.config.stash[LEFT_OUT])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    node.config.stash[LEFT_OUT] = Counter(getattr(node, "workeroutput", {}).get("left out", {}))  # type: ignore[attr-defined]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say at the end what did not run, by kind and number."""
    skipped: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", ()):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        skipped[reason.removeprefix("Skipped: ").partition(":")[0]] += 1
    for words, numbers in (("Left to make test-all", config.stash[LEFT_OUT]), ("Skipped for want of", skipped)):
        if numbers:
            terminalreporter.write_line(f"{words}: {', '.join(f'{kind} {n}' for kind, n in numbers.most_common())}")
