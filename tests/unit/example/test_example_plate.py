"""The example plate says the truth about itself, and looks like an export of the vendor."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.generators.imagexpress_plate import ImageXpressPlate
from tests.generators.imagexpress_plate import Wave as VendorWave
from tests.generators.imagexpress_writer import write_imagexpress
from wellfield.errors import ConfigError, StorageError
from wellfield.example.__main__ import main
from wellfield.example.example_plate import WAVES, ExampleFiles, ExamplePlate, response_of, treatment_of
from wellfield.plate.keys import FieldKey
from wellfield.plate.platemap import read_plate_map

SMALL = ExamplePlate(wells=("B02", "C05"), fields=2, size=96)
GUID = r"[0-9A-F]{8}-[0-9A-F]{4}-4[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}"


def checksums(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


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


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> ExampleFiles:
    return SMALL.write(tmp_path_factory.mktemp("small"))


def test_same_arguments_give_equal_bytes(small: ExampleFiles, tmp_path: Path) -> None:
    SMALL.write(tmp_path)
    assert checksums(tmp_path) == checksums(small.plate.parent)
    assert len(checksums(tmp_path)) == 2 * 2 * 2 * 3 + 5 + 3  # planes, HTD files, tables and the note


def test_the_files_are_those_that_the_generator_of_vendors_plates_writes(tmp_path: Path) -> None:
    example = ExamplePlate(wells=("A01", "H12"), fields=3, channels=3, z=2, timepoints=2, size=32)
    example.write(tmp_path / "example")
    waves = tuple(VendorWave(name=wave.name, emission_nm=wave.emission_nm) for wave in WAVES[:3])
    plate = ImageXpressPlate(
        wells=example.wells,
        site_mask=("xx", "x."),
        waves=waves,
        size=(32, 32),
        z_steps=2,
        timepoints=2,
        seed=example.seed,
    )
    write_imagexpress(tmp_path / "other", plate, lambda key: example.pixels(key.field_key)[key.channel - 1, key.z - 1])
    assert checksums(tmp_path / "example" / "Plate_1") == checksums(tmp_path / "other" / "Plate_1")


def test_another_seed_gives_other_pixels_and_other_guids(small: ExampleFiles, tmp_path: Path) -> None:
    other = replace(SMALL, seed=SMALL.seed + 1).write(tmp_path)
    name = "TimePoint_1/ZStep_2/Plate_1_B02_s1_w1.TIF"
    assert not np.array_equal(tifffile.imread(other.plate / name), tifffile.imread(small.plate / name))
    assert metadata(other.plate / name)["plane-guid"] != metadata(small.plate / name)["plane-guid"]


def test_a_well_is_the_same_whichever_wells_are_written_with_it(small: ExampleFiles, tmp_path: Path) -> None:
    replace(SMALL, wells=("C05",)).write(tmp_path / "alone")
    replace(SMALL, wells=("C05", "D07", "A01", "B02")).write(tmp_path / "more")
    alone, more, usual = (
        {name: digest for name, digest in checksums(folder).items() if "_C05_" in name}
        for folder in (tmp_path / "alone", tmp_path / "more", small.plate.parent)
    )
    assert len(alone) == 12
    assert alone == more == usual


def test_wells_and_fields_have_their_own_pixels(small: ExampleFiles) -> None:
    images = [tifffile.imread(path).tobytes() for path in small.plate.rglob("*.TIF")]
    assert len(set(images)) == len(images) == 24


def test_truth_lists_every_field_with_the_nuclei_that_were_placed(small: ExampleFiles) -> None:
    with small.truth.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    listed = {FieldKey(row["well"], int(row["field"]), int(row["timepoint"])): int(row["nuclei"]) for row in rows}
    assert len(rows) == 4
    assert listed == {field: len(SMALL.nuclei(field)) for field in SMALL.field_keys()}


def test_every_centre_lies_inside_its_field_so_that_it_is_counted_once() -> None:
    plate = ExamplePlate(size=128, fields=9)
    nuclei = [nucleus for field in plate.field_keys() for nucleus in plate.nuclei(field)]
    assert len(nuclei) > 150
    assert all(0 <= centre <= 127 for nucleus in nuclei for centre in (nucleus.y, nucleus.x))
    cut = [n for n in nuclei if min(n.y, n.x, 127 - n.y, 127 - n.x) < n.short_radius]
    assert cut  # the border does cut some


def test_every_nucleus_is_seen_where_it_was_placed() -> None:
    plate = ExamplePlate(size=256)
    for field in (FieldKey("B02", 1, 1), FieldKey("C05", 4, 1)):
        image = plate.pixels(field)[0].max(0).astype(float)
        dark, shape = np.median(image), np.zeros(image.shape, bool)
        y, x = np.mgrid[:256, :256]
        for nucleus in plate.nuclei(field):
            near = np.hypot(y - nucleus.y, x - nucleus.x)
            assert image[near < 4].mean() > dark + 400
            shape |= near < 1.6 * nucleus.long_radius
        assert image[~shape].max() < dark + 250  # and nothing where none was placed


def test_nuclei_touch_in_part_and_none_hides_another() -> None:
    plate = ExamplePlate()
    y, x = np.mgrid[:512, :512]
    total = close = 0
    for field in plate.field_keys()[:4]:
        nuclei = plate.nuclei(field)
        masks = []
        for n in nuclei:
            along = (x - n.x) * np.cos(n.angle) + (y - n.y) * np.sin(n.angle)
            across = (y - n.y) * np.cos(n.angle) - (x - n.x) * np.sin(n.angle)
            masks.append(np.hypot(along / n.long_radius, across / n.short_radius) <= 1)
        cover = np.sum(masks, axis=0)
        for n, mask in zip(nuclei, masks, strict=True):
            assert np.mean(cover[mask] > 1) <= 0.25
            gaps = [np.hypot(n.y - m.y, n.x - m.x) - n.long_radius - m.long_radius for m in nuclei if m != n]
            close += min(gaps) <= 0
            total += 1
    assert 0.35 <= close / total <= 0.75


def count_nuclei(stack: np.ndarray) -> int:
    """The plainest segmentation that separates touching nuclei."""
    from scipy.ndimage import distance_transform_edt
    from skimage.feature import peak_local_max
    from skimage.filters import gaussian, threshold_otsu
    from skimage.measure import label
    from skimage.segmentation import watershed

    smooth = gaussian(stack.max(axis=0).astype(float), sigma=1.5)
    mask = smooth > threshold_otsu(smooth)
    distance = gaussian(distance_transform_edt(mask), sigma=1)
    peaks = peak_local_max(distance, min_distance=6, labels=label(mask), exclude_border=False)
    markers = np.zeros(mask.shape, int)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return len(np.unique(watershed(-distance, markers, mask=mask))) - 1


def test_plain_segmentation_finds_the_true_count_within_five_percent_in_every_well() -> None:
    plate = ExamplePlate()
    truth, found, marker = Counter[str](), Counter[str](), Counter[str]()
    for field in plate.field_keys():
        pixels = plate.pixels(field)
        assert pixels.dtype == np.uint16 and pixels.shape == (2, 3, 512, 512)
        assert pixels.min() > 100 and pixels.max() < 20_000  # neither clipped at the bottom nor saturated
        truth[field.well] += len(plate.nuclei(field))
        found[field.well] += count_nuclei(pixels[0])
        marker[field.well] += float((pixels[1, 1].astype(float) - np.median(pixels[1, 1])).clip(0).sum())
    assert min(truth.values()) >= 40
    assert {well: (found[well], true) for well, true in truth.items() if abs(found[well] - true) > 0.05 * true} == {}

    doses = ["B03", "B04", "C03", "C04"]
    per_cell = {well: marker[well] / truth[well] for well in truth}
    assert [truth[well] for well in doses] == sorted((truth[well] for well in doses), reverse=True)
    assert [per_cell[well] for well in doses] == sorted(per_cell[well] for well in doses)
    for negative in ("B02", "C02"):
        for positive in ("B05", "C05"):
            assert truth[negative] > 2.5 * truth[positive]
            assert per_cell[positive] > 4 * per_cell[negative]


def test_the_middle_plane_is_the_sharpest_and_the_corners_are_darker() -> None:
    plate = ExamplePlate()
    pixels = plate.pixels(FieldKey("C05", 1, 1)).astype(float)
    for channel in range(2):
        steepness = [np.percentile(np.hypot(*np.gradient(plane)), 99.5) for plane in pixels[channel]]
        assert steepness[1] > 1.15 * max(steepness[0], steepness[2])
    dark = np.median([plate.pixels(field)[0, 1] for field in plate.field_keys()[12:16]], axis=0) - 150
    assert dark[-48:, :48].mean() < 0.85 * dark[208:256, 272:320].mean()


def test_plate_map_tells_the_treatments_that_the_cells_answer_to(small: ExampleFiles, tmp_path: Path) -> None:
    found = read_plate_map(replace(ExamplePlate(), fields=1, channels=1, z=1, size=32).write(tmp_path).plate_map)
    assert found == {well: treatment_of(well) for well in ExamplePlate().wells}
    assert Counter(treatment.control for treatment in found.values()) == {"negative": 2, "positive": 2, "": 4}
    assert sorted(t.concentration for t in found.values() if not t.control) == [0.1, 0.5, 2.0, 10.0]
    assert response_of(replace(found["B03"], concentration=1.0)) == pytest.approx(0.5)
    assert 0 < response_of(found["B03"]) < response_of(found["C04"]) < 1


def test_tags_give_calibration_position_and_z_as_the_folders_do(small: ExampleFiles) -> None:
    seen = {}
    for path in small.plate.rglob("*.TIF"):
        info, match = metadata(path), re.fullmatch(r"Plate_1_([A-Z]\d\d)_s(\d)_w(\d)\.TIF", path.name)
        assert match is not None
        assert path.parent.name == f"ZStep_{info['Z Step']:g}"
        assert info["stage-label"] == f"{match[1]} : Site {match[2]}"
        assert info["_IllumSetting_"] == ("DAPI", "FITC")[int(match[3]) - 1]
        assert info["spatial-calibration-x"] == info["spatial-calibration-y"] == 0.65
        assert info["spatial-calibration-units"] == "um"
        assert (info["pixel-size-x"], info["pixel-size-y"]) == (96, 96)
        seen[match[1], int(match[2]), int(info["Z Step"])] = [
            info[f"{axis}-position{suffix}"] for axis, suffix in (("stage", "-x"), ("stage", "-y"), ("z", ""))
        ]
    assert len(seen) == 12
    steps = [np.subtract(seen["B02", 2, 1], seen["B02", 1, 1]), np.subtract(seen["B02", 1, 2], seen["B02", 1, 1])]
    assert np.allclose(steps, [[96 * 0.65, 0, 0], [0, 0, 3.0]], atol=0.11)  # six significant digits, as the vendor
    assert np.allclose(np.subtract(seen["C05", 1, 1], seen["B02", 1, 1])[:2], [3 * 9000, 9000], atol=0.11)
    assert np.allclose(np.mean([seen["B02", 1, 1], seen["B02", 2, 1]], axis=0)[:2], [23300, 20200], atol=0.11)


def test_tiff_tags_are_those_of_an_export(small: ExampleFiles) -> None:
    with tifffile.TiffFile(small.plate / "TimePoint_1/ZStep_1/Plate_1_B02_s1_w1.TIF") as tif:
        (page,) = tif.pages
        codes = [tag.code for tag in page.tags]
        assert codes == [254, 256, 257, 258, 259, 262, 270, 273, 274, 277, 278, 279, 305, 306]
        assert (tif.byteorder, page.software, page.compression, page.tags[254].value) == ("<", "MetaSeries", 1, 2)
        assert page.rowsperstrip == 42 and page.databytecounts == (8064, 8064, 2304)
        assert re.fullmatch(r"\d{8} \d\d:\d\d:\d\d\.\d{3}", page.tags[306].value)
        assert page.dataoffsets[0] == 8


def test_example_is_complete_on_a_second_run_and_not_written_again(small: ExampleFiles) -> None:
    times = {path: path.stat().st_mtime_ns for path in small.plate.parent.rglob("*")}
    (small.plate.parent / "config.yaml").touch()  # the user's own file does no harm to what is complete
    assert SMALL.write(small.plate.parent) == small
    (small.plate.parent / "config.yaml").unlink()
    now = {path: path.stat().st_mtime_ns for path in small.plate.parent.rglob("*")}
    assert {path: time for path, time in now.items() if path != small.plate.parent} == {
        path: time for path, time in times.items() if path != small.plate.parent
    }


def test_interrupted_write_is_done_again(small: ExampleFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = ExamplePlate.pixels, []

    def interrupted(self: ExamplePlate, field: FieldKey) -> np.ndarray:
        calls.append(field)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, field)

    with monkeypatch.context() as patch:
        patch.setattr(ExamplePlate, "pixels", interrupted)
        with pytest.raises(KeyboardInterrupt):
            SMALL.write(tmp_path)
    assert not (tmp_path / "truth.csv").exists()
    assert json.loads((tmp_path / "synthetic.json").read_text())["complete"] is False
    SMALL.write(tmp_path)
    assert checksums(tmp_path) == checksums(small.plate.parent)


def test_a_missing_file_is_noticed_and_written_again(tmp_path: Path) -> None:
    plate = ExamplePlate(wells=("B02",), fields=1, channels=1, z=1, size=32)
    before = checksums(plate.write(tmp_path).plate.parent)
    for name in ("Plate_1/TimePoint_1/ZStep_1/Plate_1_B02_s1_w1.TIF", "Plate_1/Plate_1.HTD", "plate_map.csv"):
        (tmp_path / name).unlink()
        plate.write(tmp_path)
        assert checksums(tmp_path) == before


@pytest.mark.parametrize("name", ["notes.txt", "truth.csv", "Plate_1/TimePoint_1/ZStep_1/mine.TIF"])
def test_folders_with_other_things_are_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    stranger = tmp_path / name
    stranger.parent.mkdir(parents=True, exist_ok=True)
    stranger.write_text("mine")
    with pytest.raises(StorageError, match="holds other things"):
        SMALL.write(tmp_path)
    assert [path.read_text() for path in tmp_path.rglob("*") if path.is_file()] == ["mine"]


def test_stranger_inside_an_incomplete_example_is_refused(tmp_path: Path) -> None:
    plate = ExamplePlate(wells=("B02",), fields=1, channels=1, z=1, size=32)
    found = plate.write(tmp_path)
    found.truth.unlink()
    (found.plate / "mine.TIF").write_text("mine")
    with pytest.raises(StorageError, match=r"Plate_1/mine\.TIF"):
        plate.write(tmp_path)


def test_example_of_other_arguments_is_refused(small: ExampleFiles) -> None:
    before = checksums(small.plate.parent)
    with pytest.raises(StorageError, match="other arguments"):
        replace(SMALL, seed=1).write(small.plate.parent)
    assert checksums(small.plate.parent) == before


def test_command_line_writes_the_example_and_prints_where_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wellfield.example.__main__.ExamplePlate", lambda: SMALL)
    assert main([str(tmp_path / "demo")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [Path(line.split(": ")[1]) for line in lines] == [
        tmp_path / "demo" / name for name in ("Plate_1", "plate_map.csv", "truth.csv")
    ]
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").touch()
    assert main([str(tmp_path / "full")]) == 1
    assert "notes.txt" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong", [{"fields": 0}, {"channels": 5}, {"size": 8}, {"touching": 1.5}, {"wells": ()}, {"wells": ("I01",)}]
)
def test_arguments_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        ExamplePlate(**wrong)


def test_htd_agrees_with_the_files_on_disk(small: ExampleFiles) -> None:
    folders = ["", "TimePoint_1", *(f"TimePoint_1/ZStep_{z}" for z in (1, 2, 3))]
    copies = [small.plate / folder / "Plate_1.HTD" for folder in folders]
    assert sorted(small.plate.rglob("*.HTD")) == sorted(copies)
    assert len({path.read_bytes() for path in copies}) == 1
    content, names = htd(copies[0]), [path.name for path in (small.plate / folders[-1]).glob("*.TIF")]
    selected = {
        f"{chr(65 + row)}{column + 1:02d}"
        for row in range(8)
        for column, flag in enumerate(content[f"WellsSelection{row + 1}"])
        if flag == "TRUE"
    }
    assert selected == {name.split("_")[2] for name in names} == {"B02", "C05"}
    assert (content["XWells"], content["YWells"]) == (["12"], ["8"])
    assert (content["TimePoints"], content["ZSeries"], content["ZSteps"]) == (["1"], ["TRUE"], ["3"])
    assert content["ZProjection"] == ["FALSE"]
    assert (content["Sites"], content["XSites"], content["YSites"]) == (["TRUE"], ["2"], ["1"])
    assert content["SiteSelection1"] == ["TRUE", "TRUE"]
    assert content["NWavelengths"] == ["2"]
    assert (content["WaveName1"], content["WaveName2"]) == (["DAPI"], ["FITC"])


def test_a_plate_map_that_was_edited_stays_when_an_image_is_written_again(tmp_path: Path) -> None:
    found = SMALL.write(tmp_path)
    found.plate_map.write_text("mine")
    next(found.plate.rglob("*.TIF")).unlink()
    SMALL.write(tmp_path)
    assert found.plate_map.read_text() == "mine"


def test_removing_an_example_leaves_what_is_not_of_it(tmp_path: Path) -> None:
    SMALL.remove(tmp_path)
    folder = tmp_path / "example"
    SMALL.remove(folder)
    found = SMALL.write(folder)
    mine = found.plate / "notes.txt"
    mine.write_text("mine")
    SMALL.remove(folder)
    assert [path for path in folder.rglob("*") if path.is_file()] == [mine]
    mine.unlink()
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "plate_map.csv").write_text("mine")
    SMALL.remove(strange)
    assert (strange / "plate_map.csv").exists()
