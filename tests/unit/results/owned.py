"""What records say is Wellfield's."""

from __future__ import annotations

import os

from wellfield.results.paths import RECORDS
from wellfield.results.records import Record, plate_records, read_record, recorded_wells


def owned_paths(results: str | os.PathLike[str]) -> set[str]:
    """Return the path of every file below the results of a plate that a record lists, and of the records themselves."""
    owned = set()
    for rule, record in plate_records(results).items():
        owned |= {f"{RECORDS}/{rule}.json", *record.paths()}
    for well in recorded_wells(results):
        record = read_record(results, "", well) or Record()
        owned |= {f"{RECORDS}/wells/{well}.json", *record.paths()}
    return owned
