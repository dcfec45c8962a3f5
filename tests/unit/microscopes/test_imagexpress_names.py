from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wellfield.microscopes.imagexpress import ParsedName, parse_filename
from wellfield.plate.wells import well_name

GUID = "2607EE13F-AB5E-4E8C-BC4B-52E1118E7723"[1:]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("9987_B02_s1_w1.TIF", ("B02", 1, 1)),
        (f"Projection-Mix_E07_s2_w2{GUID}.tif", ("E07", 2, 2)),
        ("x_E07_s2_w2607EE13F-AB5E-4E8C-BC4B-52E1118E7723.tif", ("E07", 2, 2)),
        (f"x_A01_s1_w1[{GUID}].tif", ("A01", 1, 1)),
        (f"x_A01_s1_w1{{{GUID}}}.tif", ("A01", 1, 1)),
        ("x_A01_s1_w1BEDC2073-A983-4B98-95E9-84466707A25D.tif", ("A01", 1, 1)),
        # a GUID glued to the digit of the site, or to the well
        ("x_A01_s12607EE13F-AB5E-4E8C-BC4B-52E1118E7723.tif", ("A01", 12, 1)),
        (f"x_A01_s1{GUID}.tif", ("A01", 1, 1)),
        (f"x_A01{GUID}.tif", ("A01", 1, 1)),
        # "_" before the GUID
        (f"x_C16_w1_[{GUID}].tif", ("C16", 1, 1)),
        (f"x_C16_w1_{{{GUID}}}.tif", ("C16", 1, 1)),
        (f"x_C01_w1_{GUID}.tif", ("C01", 1, 1)),
        (f"x_c01_s3_w2_{GUID.lower()}.TIF", ("C01", 3, 2)),
        (f"x_C01_s3_{GUID}.tif", ("C01", 3, 1)),
        (f"x_C01_{GUID}.tif", ("C01", 1, 1)),
        # without site, wave or both
        ("x_A01_w2.tif", ("A01", 1, 2)),
        ("x_A01_s3.tif", ("A01", 3, 1)),
        ("x_A01.tif", ("A01", 1, 1)),
        ("A01_s1_w1.tif", ("A01", 1, 1)),
        ("A01.tif", ("A01", 1, 1)),
        # the last well-like token counts
        ("Exp_D4_A01_s1_w2.tif", ("A01", 1, 2)),
        ("Exp_D4_A01.tif", ("A01", 1, 1)),
        ("A01_B02_s1_w1.tif", ("B02", 1, 1)),
        ("12345_678_C3_s1_w1.tif", ("C03", 1, 1)),
        ("s1_w1_C03_s1_w1.tif", ("C03", 1, 1)),
        # tokens of either case
        ("Plate_A02_S2_W3.TIF", ("A02", 2, 3)),
        ("Plate_A02_W3.TIF", ("A02", 1, 3)),
        ("A02_S12.TIF", ("A02", 12, 1)),
        ("Exp_P1_S05_s1_w2.tif", ("S05", 1, 2)),
        ("Exp_P1_T01_s1_w2.tif", ("T01", 1, 2)),
        ("Exp_T01_S1_W2.tif", ("T01", 1, 2)),
        ("Exp_P1_T01.tif", ("T01", 1, 1)),
        # large plates, unpadded columns, suffixes, letters
        ("x_AF48_s1_w1.tiff", ("AF48", 1, 1)),
        ("x_P24_s100_w12.Tif", ("P24", 100, 12)),
        ("x_a1_s1_w1.tif", ("A01", 1, 1)),
        ("Größe µ (2)_B2_s1_w1.tif", ("B02", 1, 1)),
        ("two words_B02_s1_w1.TIF", ("B02", 1, 1)),
    ],
)
def test_names_of_the_vendor_are_understood(name: str, expected: tuple[str, int, int]) -> None:
    assert parse_filename(name) == ParsedName(*expected, thumbnail=False)


@pytest.mark.parametrize(
    "name",
    [
        f"x_E07_s1_w1_thumb{GUID}.tif",
        f"x_E07_s1_w1_thumb_{GUID}.tif",
        f"x_E07_s1_w1_Thumb_[{GUID}].tif",
        "x_E07_s1_w1_thumb.TIF",
        f"x_E07_s1_thumb{GUID}.tif",
        "x_E07_thumb.tif",
    ],
)
def test_thumbnails_are_told_from_images(name: str) -> None:
    parsed = parse_filename(name)
    assert parsed is not None
    assert (parsed.well, parsed.site, parsed.wave, parsed.thumbnail) == ("E07", 1, 1, True)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".tif",
        "image.tif",
        "x_A01_s1_w1.png",
        "x_A01_s1_w1.tif.bak",
        "x_A01_s1_w1",
        "x_A49_s1_w1.tif",
        "x_AG01_s1_w1.tif",
        "x_A00_s1_w1.tif",
        "xA01_s1_w1_copy.tif",
        "x_A01_w1_s1.tif",
        "x_A01_s1_w1_s2.tif",
        "x_A01_W2_S1.TIF",
        "x_A01_S1_W1_S2.TIF",
        "p_B02_t1_s1_w1.tif",
        "p_B02_T1_S1_W1.TIF",
        "p_B02_t1.tif",
        "B02_z3_w1.tif",
        "r01c01f01p01-ch1sk1fk1fl1.tiff",
        "CV_D08_T0001F001L01A01Z01C01.tif",
        "x_A01_s1_w1\n.tif",
    ],
)
def test_other_names_are_none_of_the_vendors(name: str) -> None:
    assert parse_filename(name) is None


wells = st.builds(well_name, st.integers(0, 31), st.integers(0, 47))
guids = st.uuids().map(lambda guid: str(guid).upper())
prefixes = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\"), max_size=20)


@given(
    prefix=st.one_of(st.none(), prefixes),
    well=wells,
    site=st.none() | st.integers(1, 9999),
    wave=st.none() | st.integers(1, 99),
    thumb=st.booleans(),
    guid=st.none() | guids,
    brackets=st.sampled_from(["{}", "[{}]"]),
    suffix=st.sampled_from(["tif", "TIF", "tiff"]),
)
def test_every_combination_of_tokens_is_read_back(
    *,
    prefix: str | None,
    well: str,
    site: int | None,
    wave: int | None,
    thumb: bool,
    guid: str | None,
    brackets: str,
    suffix: str,
) -> None:
    assume(well[0] not in "STWZ" or not (prefix or "")[-1:].isdigit())  # behind another well it may be no well
    name = f"{prefix}_{well}" if prefix is not None else well
    name += f"_s{site}" if site else ""
    name += f"_w{wave}" if wave else ""
    name += "_thumb" if thumb else ""
    name += brackets.format(guid) if guid else ""
    assert parse_filename(f"{name}.{suffix}") == ParsedName(well, site or 1, wave or 1, thumb)


@given(st.text())
def test_any_text_is_a_name_or_none(text: str) -> None:
    parse_filename(text)
    parse_filename(f"{text}_A01_s1_w1.tif")


def test_a_long_hostile_name_is_read_in_no_time() -> None:
    assert parse_filename("A1_" * 20_000 + "x.tif") is None
    assert parse_filename("_" * 50_000 + ".tif") is None
