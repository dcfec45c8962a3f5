"""ImageJ opens regions and images that were written: it counts, measures and fills them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.interop.imagej import run_macro
from wellfield.materialization import ImagePlace, MaterializationSpec, ROIOptions, TiffStackOptions, materialize
from wellfield.storage import FileManager, create_storage_registry

CHANNEL, Z, TIMEPOINT = 2, (3, 4), 2
SHAPE = (len(Z), 24, 40)


@pytest.fixture
def files() -> FileManager:
    return FileManager(create_storage_registry())


def labels() -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Return objects that are easily spoiled: with a hole, touching, of one pixel, in pieces, with a large id."""
    array = np.zeros(SHAPE, np.int64)
    first, second = array
    first[2:9, 2:9] = 1
    first[4:7, 4:7] = 0
    first[5, 5] = 1  # an island in the hole
    first[2:9, 9:12] = 2  # touches 1
    first[0, 0] = first[-1, -1] = 3  # one pixel, and another far away
    first[11:13, 3:6], first[13:15, 6:8] = 70_000, 70_000  # meet at a corner
    first[12:20, 12:20] = 5
    first[14:18, 14:18] = 6  # fills the hole of 5
    second[3, 7] = 7  # one pixel
    second[5:8, 5:8] = 1  # 1 goes on in the next plane
    second[:, 20:] = 100 + np.random.default_rng(0).integers(0, 4, (24, 20))  # pieces and holes at random
    return array


@pytest.fixture
def archive(tmp_path: Path, files: FileManager) -> str:
    place = ImagePlace(channel=CHANNEL, z=Z, timepoint=TIMEPOINT)
    return materialize(MaterializationSpec(ROIOptions()), labels(), tmp_path / "objects", files, place=place)


MEASURE = """
roiManager("open", getArgument());
newImage("hyperstack", "16-bit composite-mode", 40, 24, 3, 5, 2);
for (i = 0; i < roiManager("count"); i++) {
    roiManager("select", i);
    getRawStatistics(area);
    Roi.getPosition(channel, slice, frame);
    Stack.getPosition(shownChannel, shownSlice, shownFrame);
    print("RESULT", Roi.getName, area, channel, slice, frame, shownChannel, shownSlice, shownFrame);
}
"""


def test_every_region_has_the_area_and_the_position_of_its_object(tmp_path: Path, archive: str) -> None:
    found = run_macro(MEASURE, tmp_path, archive)
    expected = [
        [CHANNEL, z, TIMEPOINT, int(object_id), int(area)]
        for z, plane in zip(Z, labels(), strict=True)
        for object_id, area in zip(*np.unique(plane[plane > 0], return_counts=True), strict=True)
    ]
    measured = [
        [*map(int, position), int(name.partition("-")[0]), int(area)] for name, area, *position, _, _, _ in found
    ]
    assert sorted(measured) == sorted(expected)
    assert [line[-3:] for line in found] == [line[2:5] for line in found]  # where the hyperstack goes


FILL = """
roiManager("open", getArgument());
for (z = 3; z <= 4; z++) {
    newImage("labels", "32-bit black", 40, 24, 1);
    for (i = 0; i < roiManager("count"); i++) {
        roiManager("select", i);
        Roi.getPosition(channel, slice, frame);
        if (slice == z) {
            changeValues(0, 0, parseInt(replace(Roi.getName, "-.*", "")));
        }
    }
    run("Select None");
    saveAs("Tiff", File.getParent(getArgument()) + "/filled" + z + ".tif");
    close();
}
print("RESULT", "done");
"""


def test_filled_regions_are_the_pixels_of_their_objects(tmp_path: Path, archive: str) -> None:
    assert run_macro(FILL, tmp_path, archive) == [["done"]]
    filled = np.stack([tifffile.imread(tmp_path / f"filled{z}.tif") for z in Z])
    np.testing.assert_array_equal(filled, labels())


def test_seventy_thousand_regions_are_counted(tmp_path: Path, files: FileManager) -> None:
    ids = np.arange(1, 70_226).reshape(265, 265)
    many = np.kron(ids, np.ones((2, 2), int))
    path = materialize(MaterializationSpec(ROIOptions()), many, tmp_path / "many", files)
    count = 'roiManager("open", getArgument()); print("RESULT", roiManager("count"));'
    assert run_macro(count, tmp_path, path) == [["70225"]]


AREA = """
roiManager("open", getArgument());
newImage("wide", "8-bit black", 61000, 3, 1);
for (i = 0; i < roiManager("count"); i++) {
    roiManager("select", i);
    getRawStatistics(area);
    print("RESULT", Roi.getName, area);
}
"""


def test_outlines_of_many_corners_and_at_the_limit_of_coordinates_are_read(tmp_path: Path, files: FileManager) -> None:
    wide = np.zeros((3, 61_000), np.uint8)
    wide[0, :40_000] = wide[1:, :40_000:2] = 1  # a comb of 80,002 corners
    wide[1, 60_535] = 2  # the last whole coordinate that ImageJ reads
    wide[1, [50_000, 60_990]] = 3  # in two pieces, whose coordinates are floats
    path = materialize(MaterializationSpec(ROIOptions()), wide, tmp_path / "wide", files)
    assert run_macro(AREA, tmp_path, path) == [["1", "80000"], ["2", "1"], ["3", "2"]]


IMAGE = """
open(getArgument());
setSlice(2);
getPixelSize(unit, width, height);
getStatistics(area, mean, low, high);
print("RESULT", nSlices, bitDepth(), unit, d2s(width, 3), low, high, getPixel(3, 2));
"""


@pytest.mark.parametrize(
    ("highest", "dtype", "bits"), [(9, np.int64, "16"), (70_000, np.int64, "32"), (255, np.uint8, "8"), (1, bool, "8")]
)
def test_stacks_open_with_every_value_and_their_pixel_size(
    highest: int, dtype: type, bits: str, tmp_path: Path, files: FileManager
) -> None:
    image = np.zeros((3, 4, 5), dtype)
    image[1, 2, 3] = highest
    place = ImagePlace(pixel_size_um=0.325)
    path = materialize(MaterializationSpec(TiffStackOptions()), image, tmp_path / "image", files, place=place)
    shown = "255" if dtype is bool else str(highest)  # a mask, as ImageJ shows it
    assert run_macro(IMAGE, tmp_path, path) == [["3", bits, "µm", "0.325", "0", shown, shown]]
