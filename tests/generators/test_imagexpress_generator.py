"""Generated ImageXpress plates say the truth about themselves, and look like the vendor's."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.generators.imagexpress_plate import ImageXpressPlate, Style, Wave
from tests.generators.imagexpress_writer import write_imagexpress
from wellfield.plate.keys import PlaneKey, Projection

GUID = r"[0-9A-F]{8}-[0-9A-F]{4}-4[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}"


def metadata(path: Path) -> dict[str, object]:
    with tifffile.TiffFile(path) as tif:
        assert tif.is_metaseries
        assert tif.metaseries_metadata is not None
        return tif.metaseries_metadata["PlaneInfo"]


def htd(path: Path) -> dict[str, list[str]]:
    lines = path.read_bytes().decode("latin-1").split("\r\n")
    assert lines.pop() == ""
    pairs = [line.split(", ", 1) for line in lines if line != '"EndFile"']
    return {key.strip('"'): [value.strip('"') for value in values.split(", ")] for key, values in pairs}


def numbered(key: PlaneKey) -> np.ndarray:
    """Pixels that tell which plane they belong to; later z are brighter on one side, earlier on the other."""
    code = 1000 * key.timepoint + 100 * key.channel + 10 * key.field
    return np.array([[code + key.z, code - key.z], [code, code]], np.uint16)


def write_numbered(folder: Path, **options: object) -> tuple[ImageXpressPlate, dict[str, object]]:
    """Write 2 × 2 pixel planes; return the plate and what each file, by its path in the plate folder, holds."""
    plate = ImageXpressPlate(**{"size": (2, 2), "wells": ("B02",), "site_mask": ("x",), **options})
    files = write_imagexpress(folder, plate, numbered)
    assert {file.path for file in files} == {path for path in folder.rglob("*") if path.suffix.lower() == ".tif"}
    assert len({file.path for file in files}) == len(files)
    return plate, {str(file.path.relative_to(folder / plate.name)): file for file in files}


def test_htd_holds_bytes_that_only_latin_1_can_read() -> None:
    content = ImageXpressPlate().htd_bytes()
    for encoding in ("utf-8", "cp1252"):
        with pytest.raises(UnicodeDecodeError):
            content.decode(encoding)
    assert b"\n" not in content.replace(b"\r\n", b"")


def test_htd_can_promise_waves_and_timepoints_that_are_not_on_disk(tmp_path: Path) -> None:
    waves = (Wave(), Wave(name="Cy5", on_disk=False), Wave(name="FITC"))
    _, files = write_numbered(tmp_path, waves=waves, z_steps=1, promised_timepoints=4)
    content = htd(tmp_path / "Plate_1/Plate_1.HTD")
    assert (content["NWavelengths"], content["TimePoints"], content["WaveName2"]) == (["3"], ["4"], ["Cy5"])
    assert sorted(files) == [f"TimePoint_1/ZStep_1/Plate_1_B02_s1_w{wave}.TIF" for wave in (1, 3)]


def test_irregular_site_masks_number_sites_row_by_row(tmp_path: Path) -> None:
    _, files = write_numbered(tmp_path, site_mask=("x.x", ".xx"), z_steps=0, timepoint_folders=False)
    content = htd(tmp_path / "Plate_1/Plate_1.HTD")
    assert content["SiteSelection1"] == ["TRUE", "FALSE", "TRUE"]
    assert content["SiteSelection2"] == ["FALSE", "TRUE", "TRUE"]
    grid = [metadata(files[f"Plate_1_B02_s{site}_w1.TIF"].path) for site in (1, 2, 3, 4)]
    assert [(info["SiteX"], info["SiteY"]) for info in grid] == [(1, 1), (3, 1), (2, 2), (3, 2)]
    assert grid[1]["stage-position-x"] - grid[0]["stage-position-x"] == pytest.approx(2 * 2 * 0.65, abs=0.11)
    assert grid[2]["stage-position-y"] > grid[0]["stage-position-y"]  # y points down


def test_one_site_has_no_site_selection(tmp_path: Path) -> None:
    write_numbered(tmp_path)
    content = htd(tmp_path / "Plate_1/Plate_1.HTD")
    assert content["Sites"] == ["FALSE"] and "SiteSelection1" not in content


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({}, "TimePoint_1/ZStep_1/Plate_1_B02_s1_w1.TIF"),
        ({"prefix": "9987"}, "TimePoint_1/ZStep_1/9987_B02_s1_w1.TIF"),
        ({"z_folders": False, "z_steps": 1}, "TimePoint_1/Plate_1_B02_s1_w1.TIF"),
        ({"timepoint_folders": False}, "ZStep_1/Plate_1_B02_s1_w1.TIF"),
        ({"timepoint_folders": False, "z_steps": 0}, "Plate_1_B02_s1_w1.TIF"),
        ({"site_token": False}, "TimePoint_1/ZStep_1/Plate_1_B02_w1.TIF"),
        ({"wave_token": False}, "TimePoint_1/ZStep_1/Plate_1_B02_s1.TIF"),
        ({"site_token": False, "wave_token": False}, "TimePoint_1/ZStep_1/Plate_1_B02.TIF"),
        ({"wells": ("AF48",), "plate_rows": 32, "plate_columns": 48}, "TimePoint_1/ZStep_1/Plate_1_AF48_s1_w1.TIF"),
    ],
)
def test_exports_nest_as_described(tmp_path: Path, options: dict[str, object], path: str) -> None:
    plate, files = write_numbered(tmp_path, **options)
    assert path in files
    assert len(files) == max(1, plate.z_steps)
    assert (tmp_path / "Plate_1" / Path(path).parent / plate.htd_name).is_file()


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({}, rf"ZStep_1/Plate_1_B02_s1_w1{GUID}\.tif"),
        ({"wave_token": False}, rf"ZStep_1/Plate_1_B02_s1{GUID}\.tif"),
        ({"timepoint_folders": True, "timepoints": 2}, rf"TimePoint_2/ZStep_1/Plate_1_B02_s1_w1{GUID}\.tif"),
        ({"thumbnails": True}, rf"ZStep_1/Plate_1_B02_s1_w1_thumb{GUID}\.tif"),
    ],
)
def test_database_names_end_in_a_guid_below_date_and_id(
    tmp_path: Path, options: dict[str, object], pattern: str
) -> None:
    _, files = write_numbered(tmp_path, **{"style": Style.DATABASE, "timepoint_folders": False, **options})
    assert [path for path in files if re.fullmatch(rf"\d{{4}}-\d\d-\d\d/\d+/{pattern}", path)]
    assert len({re.search(GUID, path)[0] for path in files}) == len(files)
    assert list(tmp_path.rglob("*.HTD")) == []


def test_database_files_are_deflated_and_read_back(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (70, 300)).astype(np.uint16)
    plate = ImageXpressPlate(style=Style.DATABASE, size=(70, 300), thumbnails=True, z_steps=0)
    files = write_imagexpress(tmp_path, plate, lambda _: pixels)
    with tifffile.TiffFile(files[0].path) as tif:
        page = tif.pages[0]
        assert page.compression == 8 and page.software == "MetaSeries"
        assert len(page.dataoffsets) == 6
        assert np.array_equal(page.asarray(), pixels)
    assert files[1].thumbnail
    assert np.array_equal(tifffile.imread(files[1].path), pixels[::8, ::8])
    twin = metadata(files[1].path)
    assert (twin["image-name"], twin["spatial-calibration-x"]) == ("HTSThumbHTS", pytest.approx(8 * 0.65))


def test_projections_go_where_the_style_puts_them_and_their_tags_say_so(tmp_path: Path) -> None:
    waves = (Wave(projection="Maximum"), Wave(projection="Best Focus"), Wave(projection="Sum"))
    for style, place in ((Style.EXPORT, "TimePoint_1/ZStep_0"), (Style.DATABASE, "2024-01-15/1701")):
        folder = tmp_path / style
        options = {"timepoint_folders": style is Style.EXPORT, "waves": waves, "style": style}
        plate, files = write_numbered(folder, **options)
        projections = [file for path, file in files.items() if str(Path(path).parent) == place]
        assert [file.key.projection for file in projections] == [
            Projection.MAX,
            Projection.BEST_FOCUS,
            Projection.UNKNOWN,
        ]
        infos = [metadata(file.path) for file in projections]
        assert [info["Z Projection Method"] for info in infos] == ["Maximum", "Best Focus", "Sum"]
        assert all("Z Step" not in info for info in infos)
        assert tifffile.imread(projections[0].path)[0].tolist() == [1113, 1109]  # brightest of z 3 and z 1
        assert tifffile.imread(projections[1].path)[0].tolist() == [1212, 1208]  # z 2
        assert len(files) == 3 * (1 + plate.z_steps)
        assert not any(file.filler for file in files.values())
    assert htd(tmp_path / "export/Plate_1/Plate_1.HTD")["ZProjection"] == ["TRUE"]


def test_exports_fill_absent_z_with_equal_copies_whose_tags_tell_the_truth(tmp_path: Path) -> None:
    waves = (Wave(projection="Maximum"), Wave(name="FITC", z=0, projection="Maximum"), Wave(name="Texas Red", z=1))
    _, files = write_numbered(tmp_path, waves=waves)
    assert len(files) == 4 * 3
    for wave, home in ((2, 0), (3, 1)):
        held = {z: files[f"TimePoint_1/ZStep_{z}/Plate_1_B02_s1_w{wave}.TIF"] for z in range(4)}
        assert len({file.path.read_bytes() for file in held.values()}) == 1
        assert [z for z, file in held.items() if not file.filler] == [home]
        assert {file.key.z for file in held.values()} == {home}
        for file in held.values():
            info = metadata(file.path)
            assert info.get("Z Step", 0) == home
            assert ("Z Projection Method" in info) == (wave == 2)
    assert not any(file.filler for path, file in files.items() if "_w1" in path)


def test_a_wave_with_fewer_z_than_the_plate_is_absent_from_the_other_folders(tmp_path: Path) -> None:
    waves = (Wave(projection="Maximum"), Wave(name="FITC", z=2))
    _, files = write_numbered(tmp_path, waves=waves)
    assert [path for path in files if "_w2" in path] == [f"TimePoint_1/ZStep_{z}/Plate_1_B02_s1_w2.TIF" for z in (1, 2)]


def test_fillers_can_be_left_out(tmp_path: Path) -> None:
    waves = (Wave(projection="Maximum"), Wave(z=0, projection="Maximum"), Wave(z=1, timepoints=1))
    _, files = write_numbered(tmp_path, waves=waves, timepoints=2, fillers=False)
    assert [path for path in files if "_w3" in path] == ["TimePoint_1/ZStep_1/Plate_1_B02_s1_w3.TIF"]
    assert [path for path in files if "_w2" in path] == [
        f"TimePoint_{timepoint}/ZStep_0/Plate_1_B02_s1_w2.TIF" for timepoint in (1, 2)
    ]


def test_timepoints_are_filled_with_copies_whose_tags_tell_the_truth(tmp_path: Path) -> None:
    waves = (Wave(), Wave(name="FITC", timepoints=1))
    _, files = write_numbered(tmp_path, waves=waves, timepoints=3, z_steps=2)
    for path, file in files.items():
        folder = int(path[len("TimePoint_")])
        first = tmp_path / "Plate_1" / path.replace(f"TimePoint_{folder}", "TimePoint_1")
        info, late = metadata(file.path), "_w2" in path and folder > 1
        assert file.filler == late
        assert info["Timepoint"] == file.key.timepoint == (1 if late else folder)
        assert (file.path.read_bytes() == first.read_bytes()) == (late or folder == 1)
    assert len(files) == 3 * 2 * 2


def test_pixels_are_those_of_the_plane_that_the_listing_names(tmp_path: Path) -> None:
    _, files = write_numbered(tmp_path, site_mask=("xx", "xx"), waves=(Wave(), Wave()), timepoints=2)
    assert len(files) == 2 * 4 * 2 * 3
    for file in files.values():
        assert np.array_equal(tifffile.imread(file.path), numbered(file.key))


def test_wells_of_denser_plates_lie_closer_together_and_start_nearer_the_corner() -> None:
    plates = [ImageXpressPlate(plate_rows=8 * k, plate_columns=12 * k) for k in (1, 2, 4)]
    first, second = ([plate.well_centre(well) for plate in plates] for well in ("A01", "B02"))
    assert np.subtract(second, first).tolist() == [[9000, 9000], [4500, 4500], [2250, 2250]]
    assert np.subtract(first[0], first).tolist() == [[0, 0], [2250, 2250], [3375, 3375]]


def test_a_plate_without_a_z_series_says_so(tmp_path: Path) -> None:
    _, files = write_numbered(tmp_path, z_steps=0)
    content = htd(tmp_path / "Plate_1/Plate_1.HTD")
    assert (content["ZSeries"], content["ZSteps"]) == (["FALSE"], ["0"])
    (path,) = files
    assert "Z Step" not in metadata(files[path].path)
