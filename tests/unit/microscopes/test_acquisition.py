"""Whether a plate may still be being acquired, by the times of its files."""

import pytest

from wellfield.microscopes.acquisition import find_acquisition, next_ingest_generation
from wellfield.microscopes.scan import ScannedFile

NOW = 1_700_000_000 * 10**9
MINUTE, DAY = 60, 86_400


def files(*ages):
    """Files of so many seconds of age, a.tif, b.tif, …"""
    return [ScannedFile("TimePoint_1", f"{chr(97 + n)}.tif", 10, NOW - age * 10**9) for n, age in enumerate(ages)]


@pytest.mark.parametrize("ages", [(), (10 * MINUTE,), (DAY, 11 * MINUTE)])
def test_a_plate_at_rest_is_not_noted(ages):
    assert find_acquisition(files(*ages), minutes=10, now_ns=NOW) is None


def test_young_files_are_counted_and_the_youngest_named_with_its_age():
    found = find_acquisition(files(DAY, 9 * MINUTE, 130, DAY), minutes=10, now_ns=NOW)
    [note] = found.notes()
    assert "2 of 4 files younger than 10 minutes (the youngest, TimePoint_1/c.tif: 2 minutes)" in note
    assert "may still be being acquired" in note


def test_zero_minutes_ask_for_nothing():
    assert find_acquisition(files(0, -DAY), minutes=0, now_ns=NOW) is None


def test_a_time_that_is_ahead_by_little_is_young_and_one_far_ahead_a_wrong_clock():
    found = find_acquisition(files(-MINUTE, -3 * DAY, DAY), minutes=10, now_ns=NOW)
    assert (found.young, found.ahead) == (1, 1)
    young, ahead = found.notes()
    assert "1 of 3 files younger than 10 minutes (the youngest, TimePoint_1/a.tif: 0 seconds)" in young
    assert "1 of 3 files with a time in the future (TimePoint_1/b.tif: by 3 days): a clock is wrong" in ahead


def test_only_a_plate_that_was_noted_and_is_complete_is_ingested_again():
    noted = {"acquisition": find_acquisition(files(MINUTE), minutes=10, now_ns=NOW)._asdict()}
    old, later = files(MINUTE), NOW + 10 * MINUTE * 10**9
    assert next_ingest_generation({}, old, now_ns=NOW) == 0
    assert next_ingest_generation(noted, old, now_ns=NOW) == 0  # still young
    assert next_ingest_generation(noted, old, now_ns=later) == 1
    # Mapped again, its report has no note, and the number stays whatever comes.
    assert next_ingest_generation({"ingest_generation": 1}, old, now_ns=later) == 1
    assert next_ingest_generation({"ingest_generation": 1}, files(0), now_ns=later) == 1
    assert next_ingest_generation(noted | {"ingest_generation": 1}, old, now_ns=later) == 2
