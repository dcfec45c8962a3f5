"""The ends of logs in pages."""

import tracemalloc
from pathlib import Path

import pytest

from wellfield.report.log_excerpts import SHOWN_LINES, SHOWN_WIDTH, TAIL_BYTES, last_lines
from wellfield.report.redact import PathCleaner
from wellfield.report.unfinished import PlateState, StoppedJob, write_unfinished

CLEAN = PathCleaner("/data/P1")


def page_with(log: Path) -> str:
    """The page of a plate of which the job with this log died."""
    state = PlateState("P1", "/data/P1", ["B03"], died=[StoppedJob("B03", "process_well", (log,))])
    page = log.parent / "unfinished.html"
    write_unfinished(page, state, counts={}, failure_logs={}, advice=[], written="now")
    return page.read_text(encoding="utf-8")


def test_the_last_lines_are_shown_escaped_and_without_absolute_paths(tmp_path):
    log = tmp_path / "B03.log"
    log.write_text(
        "".join(f"line {n}\n" for n in range(100)) + 'File "/home/me/lib/x.py", in <module>\n/data/P1/a.tif\n'
    )
    lines = last_lines(log, CLEAN)
    assert lines[:1] + lines[-3:] == ["line 82", "line 99", 'File "x.py", in <module>', "a.tif"]
    assert len(lines) == SHOWN_LINES
    html = page_with(log)
    assert "File &#34;x.py&#34;, in &lt;module&gt;" in html
    assert f"<details><summary>B03: last lines of <code>{'/'.join(log.parts[-3:])}</code></summary><pre>line 82" in html


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "is not there"), (b"", "is empty"), (b" \n\n", "is empty")],
    ids=["none", "empty", "blank"],
)
def test_a_log_without_lines_is_said_to_be_so(content, said, tmp_path):
    log = tmp_path / "B03.log"
    if content is not None:
        log.write_bytes(content)
    assert f"B03.log</code> {said}." in page_with(log)


def test_a_folder_in_the_place_of_a_log_is_no_log(tmp_path):
    assert last_lines(tmp_path, CLEAN) is None


def test_bytes_that_are_no_text_are_replaced(tmp_path):
    (tmp_path / "log").write_bytes(b"good\n\xff\xfe \x1b[31mred\x00\n")
    html = page_with(tmp_path / "log")
    assert "good\n\ufffd\ufffd \ufffd[31mred\ufffd</pre>" in html


def test_very_long_lines_are_cut(tmp_path):
    (tmp_path / "log").write_text("x" * 3 * TAIL_BYTES + "\nend\n")
    assert last_lines(tmp_path / "log", CLEAN) == ["end"]
    (tmp_path / "log").write_text("y" * 3 * TAIL_BYTES)
    assert last_lines(tmp_path / "log", CLEAN) == ["y" * SHOWN_WIDTH + " …"]


def test_only_the_end_of_a_large_log_is_read(tmp_path):
    with open(tmp_path / "log", "wb") as file:
        file.truncate(10**9)
        file.seek(0, 2)
        file.write(b"\nthe end\n")
    tracemalloc.start()
    try:
        assert last_lines(tmp_path / "log", CLEAN)[-1] == "the end"
        assert tracemalloc.get_traced_memory()[1] < 40 * TAIL_BYTES
    finally:
        tracemalloc.stop()
