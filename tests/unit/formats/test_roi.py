from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roifile
from hypothesis import given, settings
from hypothesis import strategies as st
from roifile import ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from tests.unit.formats.samples import roi
from wellfield.errors import UnknownFormatError, UnreadableImageError
from wellfield.formats.roi import read_rois, write_rois


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def members(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        return file.namelist()


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"])),
            st.lists(st.tuples(st.integers(0, 30_000), st.integers(0, 30_000)), min_size=3, max_size=9),
            st.booleans(),
        )
    )
)
def test_regions_come_back_in_order_with_names_and_points(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    path = tmp_path_factory.mktemp("roi") / "a.roi.zip"
    rois = []
    for name, points, subpixel in data:
        rois.append(ImagejRoi.frompoints(np.array(points, "f4") + 0.25 if subpixel else points))
        rois[-1].name = name
    write_rois(path, rois)
    found = read_rois(path)
    assert len(found) == len(rois) == len(set(members(path)))
    for one, other in zip(found, rois, strict=True):
        assert one.name == (other.name or one.name) != ""
        one.name = other.name
        assert one == other
        np.testing.assert_array_equal(one.coordinates(), other.coordinates())


def test_equal_names_are_told_apart_in_the_archive_and_kept_in_the_regions(tmp_path: Path) -> None:
    rois = [roi("cell"), roi("cell", 10), roi("cell-1", 20), roi("a/../b", 30), roi("c.roi", 40), roi("ü", 50)]
    write_rois(tmp_path / "a.roi.zip", rois)
    expected = ["cell.roi", "cell-1.roi", "cell-1-1.roi", "a_.._b.roi", "c.roi", "ü.roi"]
    assert members(tmp_path / "a.roi.zip") == expected
    found = read_rois(tmp_path / "a.roi.zip")
    assert found == rois
    assert [one.name for one in found] == [one.name for one in rois]


def test_roifile_reads_the_archive(tmp_path: Path) -> None:
    write_rois(tmp_path / "a.roi.zip", [roi("a"), roi("b", 10)])
    assert roifile.roiread(tmp_path / "a.roi.zip") == [roi("a"), roi("b", 10)]


def test_a_region_without_a_name_gets_that_of_its_member(tmp_path: Path) -> None:
    archive(tmp_path / "a.roi.zip", {"0012-0034.ROI": roi("").tobytes(), "__MACOSX/._x.roi": b"", "readme.txt": b"x"})
    (found,) = read_rois(tmp_path / "a.roi.zip")
    assert found.name == "0012-0034"


def test_no_region_is_a_valid_empty_archive(tmp_path: Path) -> None:
    write_rois(tmp_path / "a.roi.zip", [])
    assert (members(tmp_path / "a.roi.zip"), read_rois(tmp_path / "a.roi.zip")) == ([], [])


def test_writing_again_leaves_no_region_of_before_and_equal_regions_make_equal_files(tmp_path: Path) -> None:
    path = tmp_path / "a.roi.zip"
    write_rois(path, [roi("b")])
    once = path.read_bytes()
    write_rois(path, [roi("a"), roi("c", 10)])
    write_rois(path, (roi("b"),))
    assert (members(path), path.read_bytes()) == (["b.roi"], once)


def outline(left: int, top: int, width: int, height: int, *, composite: bool = False, name: str = "a") -> ImagejRoi:
    """Return a rectangle of whole coordinates, as a polygon or as the path of a composite region."""
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.int32)
    one = ImagejRoi(name=name, left=left, top=top, right=left + width, bottom=top + height)
    if composite:
        steps = np.column_stack([[0, 1, 1, 1], corners + np.array([left, top])])
        one.roitype, one.multi_coordinates = ROI_TYPE.RECT, np.append(steps, 4).astype(np.float32)
        one.shape_roi_size = one.multi_coordinates.size
    else:
        one.roitype, one.n_coordinates, one.integer_coordinates = ROI_TYPE.TRACED, 4, corners
    return one


# Around the limits of 16 bits, as ImageJ splits them, and of their sum.
places = st.one_of(*[st.integers(n - 3, n + 3) for n in (-5000, -1, 0, 500, 32_768, 60_535, 65_535)])
sizes = st.one_of(*[st.integers(n - 2, n + 2) for n in (2, 300, 60_535, 65_535)])


@settings(deadline=None, max_examples=400)
@given(st.builds(outline, places, places, sizes, sizes, composite=st.booleans(), name=st.text(max_size=3)))
def test_an_outline_comes_back_as_it_was_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, one: ImagejRoi
) -> None:
    path = tmp_path_factory.mktemp("roi") / "a.roi.zip"
    try:
        write_rois(path, [one])
    except UnknownFormatError:
        assert not path.exists()
    else:
        (found,) = read_rois(path)
        found.name = one.name
        assert found == one
        np.testing.assert_array_equal(found.coordinates(), one.coordinates())


@pytest.mark.parametrize("composite", [False, True])
def test_the_limits_of_imagej_are_those_of_the_file(tmp_path: Path, composite: bool) -> None:
    write_rois(
        tmp_path / "a.roi.zip", [outline(60_535, 60_535, 3, 3, composite=composite), outline(-5000, -5000, 9, 9)]
    )
    for place in ((60_536, 0), (0, 60_536), (-5001, 0), (0, -5001)):
        with pytest.raises(
            UnknownFormatError, match=r"region 0 \('a'\) would change .* expected coordinates of 0 to 60535"
        ):
            write_rois(tmp_path / "b.roi.zip", [outline(*place, 3, 3, composite=composite)])


def test_a_polygon_wider_than_imagej_reads_is_refused_and_a_composite_one_kept(tmp_path: Path) -> None:
    write_rois(tmp_path / "a.roi.zip", [outline(0, 0, 60_535, 2), outline(0, 0, 60_536, 2, composite=True)])
    with pytest.raises(UnknownFormatError, match="region 0"):  # ImageJ takes 60,536 for 0
        write_rois(tmp_path / "b.roi.zip", [outline(0, 0, 60_536, 2)])


def spoiled(**values: Any) -> ImagejRoi:
    one = outline(3, 4, 5, 6, composite="multi_coordinates" in values)
    for name, value in values.items():
        setattr(one, name, value)
    return one


@pytest.mark.parametrize(
    "one",
    [
        spoiled(integer_coordinates=None),
        spoiled(integer_coordinates=np.array([[0, 0], [-1, 0], [2, 2], [0, 5]])),
        spoiled(byteorder="<"),
        spoiled(group=70_000),
        spoiled(subtype=ROI_SUBTYPE.TEXT, text="smile \U0001f600"),
        spoiled(props="smile \U0001f600"),
    ],
    ids=["no coordinates", "below the box", "little-endian", "group", "text", "props"],
)
def test_an_outline_that_would_change_in_another_way_is_refused(tmp_path: Path, one: ImagejRoi) -> None:
    with pytest.raises(UnknownFormatError, match="region 0"):
        write_rois(tmp_path / "a.roi.zip", [one])


@pytest.mark.parametrize(
    "one",
    [
        spoiled(group=300, stroke_width=3, props="key: µ"),
        spoiled(counters=np.arange(4, dtype=np.uint8)),
        spoiled(subtype=ROI_SUBTYPE.TEXT, text="µ", text_name="Sans"),
        spoiled(multi_coordinates=np.array([0, 3.5, 4, 1, 5, 9, 4], np.float32), shape_roi_size=7),
    ],
    ids=["group", "counters", "text", "floats"],
)
def test_whatever_else_a_region_holds_is_kept(tmp_path: Path, one: ImagejRoi) -> None:
    write_rois(tmp_path / "a.roi.zip", [one])
    assert read_rois(tmp_path / "a.roi.zip") == [one]


def far() -> ImagejRoi:
    return ImagejRoi.frompoints([[0, 0], [70_000, 0], [70_000, 70_000]], name="far")


def shapeless() -> ImagejRoi:
    one = roi("shapeless")
    one.n_coordinates = 5
    return one


@pytest.mark.parametrize(
    ("rois", "reason"),
    [
        (None, "takes a list of roifile.ImagejRoi, not a NoneType"),
        (roi("a"), "takes a list of roifile.ImagejRoi, not a ImagejRoi"),
        (np.zeros((4, 4), "u2"), "not a ndarray"),
        ("text", "item 0 is a str"),
        ([roi("a"), np.zeros((3, 2))], "item 1 is a ndarray"),
        ([roi("a"), far()], r"region 1 \('far'\) would change when stored"),
        ([shapeless()], r"region 0 \('shapeless'\) cannot be stored"),
        ([roi("smile \U0001f600")], r"region 0 \('smile .*'\) (would change when|cannot be) stored"),
        ([roi("\ud800")], "region 0 .* cannot be stored"),
    ],
    ids=lambda value: "",
)
def test_what_is_no_region_or_would_change_is_refused(tmp_path: Path, rois: Any, reason: str) -> None:
    with pytest.raises(UnknownFormatError, match=rf"a\.roi\.zip: .*{reason}"):
        write_rois(tmp_path / "a.roi.zip", rois)
    assert not list(tmp_path.iterdir())


def test_a_broken_region_is_an_error_naming_file_and_member(tmp_path: Path) -> None:
    content = roi("a").tobytes()
    for size in (0, 3, 30, 60):
        archive(tmp_path / "a.roi.zip", {"whole.roi": content, "broken.roi": content[:size]})
        with pytest.raises(UnreadableImageError, match=r"a\.roi\.zip is not a readable .*'broken\.roi' in it"):
            read_rois(tmp_path / "a.roi.zip")
