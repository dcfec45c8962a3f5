"""Presets: what they read, and that nothing takes them unasked."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from wellfield.errors import EmptyPlateError, MicroscopeDetectionError
from wellfield.microscopes import MICROSCOPES, get_microscope_handler
from wellfield.microscopes.presets import PRESETS
from wellfield.microscopes.scan import Scan, ScannedFile
from wellfield.plate.filename_layout import pattern_problems
from wellfield.plate.keys import PlaneKey

REPOSITORY = Path(__file__).resolve().parents[3]

EXAMPLES = {
    "row_column_field_channel": {
        "r01c02f03-ch1.tif": PlaneKey("A02", 3, 1, 1, 1),
        "R01-C02-F03-CH1.tif": PlaneKey("A02", 3, 1, 1, 1),
        "row1_col2_f3_c1.png": PlaneKey("A02", 3, 1, 1, 1),
        "r01c02f03p04-ch1sk2fk1fl1.tiff": PlaneKey("A02", 3, 1, 4, 2),
        "Images/r16c24f01p01-ch4sk1fk1fl1.tiff": PlaneKey("P24", 1, 4, 1, 1),
        "Plate1_r003_c012_site_2_z7_channel_2_t5.TIF": PlaneKey("C12", 2, 2, 7, 5),
        "row 1 col 2 ch 3.tif": PlaneKey("A02", 1, 3, 1, 1),
    },
    "folder_per_well": {
        "A01/s1_w2.tif": PlaneKey("A01", 1, 2, 1, 1),
        "B02/f01_ch1.png": PlaneKey("B02", 1, 1, 1, 1),
        "Well C3/site_1/C2_z02.tif": PlaneKey("C03", 1, 2, 2, 1),
        "D04/Exp_D04_s1_w2_z3_t4.tif": PlaneKey("D04", 1, 2, 3, 4),
        "export/a1/A1_s2w3.TIFF": PlaneKey("A01", 2, 3, 1, 1),
        "P24/image_channel_3.tif": PlaneKey("P24", 1, 3, 1, 1),
        # what is below a well is no other well
        "B02/t2/s1_w1.tif": PlaneKey("B02", 1, 1, 1, 2),
        "B02/z2/f1_ch1.tif": PlaneKey("B02", 1, 1, 2, 1),
        "run 1/B02/w2/s1.tif": PlaneKey("B02", 1, 2, 1, 1),
        "B02/ch2/s1.tif": PlaneKey("B02", 1, 2, 1, 1),
        "c1/t3/z2/C1_s4_w5.tif": PlaneKey("C01", 4, 5, 2, 3),
        "C1/s2_c1_z3.tif": PlaneKey("C01", 2, 1, 3, 1),  # no name that repeats the well
        "C1/Exp1_C1_s2.tif": PlaneKey("C01", 2, 1, 1, 1),
        "S2/S2_s2_w1.tif": PlaneKey("S02", 2, 1, 1, 1),
        "A01/s1_w2/z3.tif": PlaneKey("A01", 1, 2, 3, 1),
    },
}
OTHERS = {
    "row_column_field_channel": ["A01_s1_w1.tif", "r01c02f03-ch1_thumb.tif", "r01.tif", "r01c02f03q4.tif"],
    "folder_per_well": [
        "A01/image.tif",  # nothing is numbered
        "A01/w1_s1.tif",  # another order must not pass for a part of it
        "A01/C02_s1_w1.tif",  # another well
        "images/s1_w1.tif",
        "A01/DAPI.tif",
        "B02/q7/s1_w1.tif",  # a folder that looks like a well in one that does
        "B02/t1/q7/s1_w1.tif",
        "B02/s1/s2_w1.tif",  # two fields
        "B02/t1/s1_t1.tif",
    ],
}


def scan(*paths: str) -> Scan:
    return Scan(Path("nowhere"), [ScannedFile(*path.rpartition("/")[::2], 1, 0) for path in paths])


@pytest.mark.parametrize(("preset", "path"), [(name, path) for name, paths in EXAMPLES.items() for path in paths])
def test_a_preset_reads_its_examples(preset: str, path: str) -> None:
    handler, why = get_microscope_handler("nowhere", preset, scan=scan(path))
    assert [plane.key for plane in handler.read_plate().planes] == [EXAMPLES[preset][path]]
    assert why == "preset"


@pytest.mark.parametrize(("preset", "path"), [(name, path) for name, paths in OTHERS.items() for path in paths])
def test_a_preset_leaves_other_names_alone(preset: str, path: str) -> None:
    example = next(iter(EXAMPLES[preset]))
    contents = get_microscope_handler("nowhere", preset, scan=scan(example, path))[0].read_plate()
    assert [plane.path for plane in contents.planes] == [example]
    assert contents.ignored == {"does not match the pattern": [path]}


def test_folders_below_a_well_are_read_in_every_order() -> None:
    tokens = {"s4": ("field", 4), "ch5": ("channel", 5), "z6": ("z", 6), "t7": ("timepoint", 7)}
    for count in range(1, 5):
        for order in itertools.permutations(tokens, count):
            (plane,) = (
                get_microscope_handler("nowhere", "folder_per_well", scan=scan(f"B02/{'/'.join(order)}.tif"))[0]
                .read_plate()
                .planes
            )
            assert plane.key == PlaneKey("B02", 1, 1, 1, 1)._replace(**dict(tokens[token] for token in order))


def test_every_preset_is_a_good_pattern_and_explained_with_its_examples() -> None:
    reference = (REPOSITORY / "docs" / "reference" / "plates.md").read_text(encoding="utf-8")
    assert set(EXAMPLES) == set(OTHERS) == set(PRESETS)
    for name, layout in PRESETS.items():
        assert pattern_problems(layout.pattern) == []
        (row,) = (line for line in reference.splitlines() if line.startswith(f"| `{name}` |"))
        examples = re.findall(r"`([^`]*)`", row.split("|")[3])
        assert len(examples) >= 4
        for example in examples:
            handler = get_microscope_handler("nowhere", name, scan=scan(example))[0]
            assert len(handler.read_plate().planes) == 1, example


def test_a_preset_that_fits_nothing_says_where_its_names_are_shown() -> None:
    with pytest.raises(EmptyPlateError, match=r"plates\.md shows the names that it reads\n  path: x\.tif"):
        get_microscope_handler("nowhere", "folder_per_well", scan=scan("x.tif"))[0].read_plate()


def test_no_preset_is_taken_unasked_but_the_error_names_one_that_fits_all_images() -> None:
    assert not set(PRESETS) & set(MICROSCOPES)
    paths = ["row1_col2_f3_c1.png", "sub/row1_col2_f3_c2.png"]  # of no microscope's own form
    with pytest.raises(MicroscopeDetectionError) as caught:
        get_microscope_handler("nowhere", scan=scan(*paths, "notes.txt"))
    assert f"The preset 'row_column_field_channel' fits all {len(paths)} images" in str(caught.value)
    assert "--pattern" in str(caught.value)
    with pytest.raises(MicroscopeDetectionError) as caught:
        get_microscope_handler("nowhere", scan=scan(*paths, "overview.tif"))
    assert "The preset" not in str(caught.value)
    assert "`layouts` in docs/reference/plates.md" in str(caught.value)


@pytest.mark.realdata
def test_a_real_plate_of_harmony_read_by_its_names_has_the_calibration_of_its_index(real_plates: Path) -> None:
    folder = real_plates / "opera_phenix" / "phenix_V5_1field_6ch"
    contents = get_microscope_handler(folder, "row_column_field_channel")[0].read_plate()
    assert [plane.key for plane in contents.planes] == [PlaneKey("A01", 1, c, 1, 1) for c in range(1, 7)]
    assert (contents.plate.shape, contents.plate.dtype) == ((1080, 1080), "uint16")
    indexed = get_microscope_handler(folder, "opera_phenix")[0].read_plate()
    assert contents.plate.pixel_size_um == pytest.approx(indexed.plate.pixel_size_um)
    assert contents.plate.channels == indexed.plate.channels | {6: "Brightfield H"}  # as the acquisition called it
    place = {(plane.stage_x_um, plane.stage_y_um) for plane in contents.planes}
    assert place == {(plane.stage_x_um, plane.stage_y_um) for plane in indexed.planes}
