from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.generators.imagexpress_writer import ImageXpressPlate, Wave, write_imagexpress
from wellfield.errors import MetadataError
from wellfield.microscopes.htd import Htd, read_htd

FULL = """"HTSInfoFile", Version 1.0
"Description", "two, lines\x82\x81\x8d of µ"
"TimePoints", 3
"ZSeries", TRUE
"ZSteps", 26
"XWells", 3
"YWells", 2
"WellsSelection1", FALSE, TRUE, FALSE
"WellsSelection2", FALSE, FALSE, TRUE
"Sites", TRUE
"XSites", 3
"YSites", 2
"SiteSelection1", TRUE, TRUE, FALSE
"SiteSelection2", FALSE, TRUE, FALSE
"Waves", TRUE
"NWavelengths", 2
"WaveName1", "DAPI, 405"
"WaveName2", "FITC"
"EndFile"
"""
EXPECTED = Htd(("A02", "B03"), {1: "DAPI, 405", 2: "FITC"}, 26, 3, 3, (2, 3))


def parse(tmp_path: Path, text: str | bytes) -> Htd:
    path = tmp_path / "x.HTD"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("latin-1"))
    return read_htd(path)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_every_axis_is_read_whatever_the_line_ends(tmp_path: Path, line_end: str) -> None:
    assert parse(tmp_path, FULL.replace("\n", line_end)) == EXPECTED


def test_the_promises_are_told_line_by_line() -> None:
    assert EXPECTED.lines() == [
        "wells: 2 (A02, B03)",
        "fields per well: 3 on a 2 x 3 grid",
        "channels: 1 DAPI, 405, 2 FITC",
        "z steps: 26",
        "timepoints: 3",
    ]
    assert Htd().lines() == []


def test_what_a_generated_plate_promises_is_read_back(tmp_path: Path) -> None:
    plate = ImageXpressPlate(
        wells=("B02", "H12"),
        site_mask=("x.", "xx"),
        waves=(Wave(name="DAPI"), Wave(name="Cy5", on_disk=False)),
        z_steps=4,
        promised_timepoints=9,
        size=(4, 4),
    )
    write_imagexpress(tmp_path, plate, lambda key: np.zeros((4, 4), "u2"))
    files = sorted(tmp_path.rglob("*.HTD"))
    assert len(files) > 1
    assert {read_htd(file).lines()[0] for file in files} == {"wells: 2 (B02, H12)"}
    assert read_htd(files[0]) == Htd(("B02", "H12"), {1: "DAPI", 2: "Cy5"}, 4, 9, 3, (2, 2))


@pytest.mark.parametrize(
    ("lines", "field", "value"),
    [
        ('"ZSeries", FALSE\n"ZSteps", 0', "z_steps", 1),
        ('"ZSeries", FALSE\n"ZSteps", 9', "z_steps", 1),
        ('"ZSteps", 9', "z_steps", None),
        ('"Sites", FALSE', "sites", 1),
        ('"Sites", TRUE', "sites", 1),
        ('"SiteSelection1", FALSE, FALSE', "sites", 1),
        ('"SiteSelection1", true, FALSE\n"SiteSelection2", FALSE, True', "sites", 2),
        ('"Waves", FALSE', "wave_names", {1: "w1"}),
        ('"NWavelengths", 2\n"WaveName2", "FITC"', "wave_names", {1: "w1", 2: "FITC"}),
        ('"NWavelengths", many', "wave_names", None),
        ('"TimePoints", -1', "timepoints", None),
        ('"TimePoints", \xb2', "timepoints", None),
        ('"TimePoints", 99999999999999999999', "timepoints", None),
        ('"NWavelengths", 1000000000', "wave_names", None),
        ('"Description", \n"TimePoints", 3', "timepoints", 3),
        ('"TimePoints",\n"ZSeries", TRUE', "timepoints", None),
        ('"XSites", 3', "site_grid", None),
    ],
)
def test_missing_and_odd_values(tmp_path: Path, lines: str, field: str, value: object) -> None:
    assert getattr(parse(tmp_path, lines), field) == value


def test_selections_larger_than_any_plate_are_cut(tmp_path: Path) -> None:
    row = ", ".join(["TRUE"] * 60)
    htd = parse(tmp_path, "\n".join(f'"WellsSelection{number}", {row}' for number in range(1, 41)))
    assert (len(htd.wells), htd.wells[-1]) == (1536, "AF48")


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"\xff\xfe\x00", b'"' * 1000, b'"a", "b', b"<xml/>"])
def test_garbage_promises_nothing(tmp_path: Path, content: bytes) -> None:
    assert parse(tmp_path, content) == Htd()


@given(st.binary() | st.binary().map(lambda garbage: FULL.encode("latin-1")[:200] + garbage))
def test_any_bytes_are_read(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    parse(tmp_path_factory.mktemp("htd"), content)


def test_what_cannot_be_opened_is_an_error_naming_it(tmp_path: Path) -> None:
    with pytest.raises(MetadataError, match=r"none\.HTD cannot be read"):
        read_htd(tmp_path / "none.HTD")
