"""Numbers in messages and on pages."""

import pytest

from wellfield.words import size_text


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
