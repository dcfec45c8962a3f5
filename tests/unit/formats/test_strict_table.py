from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wellfield.errors import ConfigError
from wellfield.formats.strict_table import StrictRow, read_strict_table


def read(tmp_path: Path, text: str, **options: Any) -> list[StrictRow]:
    path = tmp_path / "sheet.tsv"
    path.write_bytes(text.encode())
    return read_strict_table(path, what="sheet", delimiter="\t", required=("a", "b"), optional=("c", "d"), **options)


def test_rows_keep_their_line_and_may_lack_optional_cells_at_their_end(tmp_path: Path) -> None:
    text = "\ufeff# first\n\nb\td\ta\tc\r\n1\t2\t3\r\n# no row\r\n\t\t\t\r\n 4 \t\t5\t6\r\n"
    assert read(tmp_path, text, comments=True) == [
        StrictRow(4, {"b": "1", "d": "2", "a": "3", "c": ""}),
        StrictRow(7, {"b": "4", "d": "", "a": "5", "c": "6"}),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\tb\n1\t2\t3\n", "sheet.tsv, line 1: column 'b' is there twice"),
        ("a\tb\tB\n1\t2\t3\n", "line 1: unknown column 'B'; expected the columns a, b and optionally c, d"),
        ("a\tc\n1\t2\n", "line 1: no column 'b'"),
        ("a,b\n1,2\n", "no column 'a', 'b'; expected the columns a, b and optionally c, d, separated by tabs"),
        ("a\tb\n1\t2\t3\n", "line 2: more cells than columns, 3 for 2"),
        ("a\tb\n\n1\n", "line 3: it ends before column 'b'"),
        ('a\tb\n"P" 1\t2\n', "line 2: "),
        ('a\tb\n1\t"2\n3\t4\n', "line 2: "),
        ("a\tb\n1\t\u202a2\n", "line 2: '\\u202a2' has a line break or a character that cannot be seen"),
        ("# no comment\na\tb\n", "line 1: unknown column '# no comment'"),
    ],
)
def test_what_can_be_read_in_two_ways_is_an_error_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
