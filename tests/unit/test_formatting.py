"""Numbers in messages and on pages."""

import pytest

from wellfield.formatting import size_text, visible


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_000, "1 kB"),
        (39_250, "39.2 kB"),
        (100_000, "100 kB"),
        (999_499, "999 kB"),
        (999_600, "1 MB"),
        (12_100_000_000, "12.1 GB"),
        (999_500_000_000, "1 TB"),
        (1_234 * 10**12, "1,230 TB"),
        (2_000_000 * 10**12, "2,000,000 TB"),
    ],
)
def test_a_size_has_three_digits_the_next_unit_from_a_thousand_on_and_no_exponent(size, text):
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("DAPI, 20 µm – β", "DAPI, 20 µm – β"),
        ("one\n\ttwo", "one\n\ttwo"),
        ("\x1b[2J\x1b]0;title\x07DAPI", "\\x1b[2J\\x1b]0;title\\x07DAPI"),
        ("all good\rbad", "all good\\rbad"),
        ("a\x9b31m\u202eb", "a\\x9b31m\\u202eb"),
        ("name \udcff.tif", "name \\udcff.tif"),
    ],
)
def test_what_would_steer_a_terminal_is_shown_and_not_done(text, shown):
    assert visible(text) == shown
