from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from wellfield.errors import UnknownFormatError, UnreadableImageError
from wellfield.formats.npy import read_npy, write_npy
from wellfield.formats.png import read_png, write_png
from wellfield.formats.tiff import read_calibration, read_tiff, write_tiff

IMAGEJ = ("u1", "u2", "f4")
OTHER = ("?", "i1", "i2", "u4", "i4", "u8", "i8", "f2", "f8", "c8", "c16")


def values(shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    return (np.arange(np.prod(shape)).reshape(shape) % 120).astype(dtype)


class Boom:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickle was loaded",))


# --- TIFF ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 7), (3, 5, 7), (2, 5, 3), (2, 5, 4), (4, 3, 9), (1, 9)], ids=str)
@pytest.mark.parametrize("dtype", [*IMAGEJ, *OTHER, ">u2", ">f4", ">i4"])
def test_pixels_and_dtype_come_back(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    array = values(shape, dtype)
    write_tiff(tmp_path / "a.tif", array)
    found = read_tiff(tmp_path / "a.tif")
    np.testing.assert_array_equal(found, array)
    assert (found.shape, found.dtype) == (shape, array.dtype.newbyteorder("="))


@pytest.mark.parametrize("dtype", ["u2", "i4", "f8"])
def test_a_stack_of_one_plane_comes_back_as_a_plane(tmp_path: Path, dtype: str) -> None:
    write_tiff(tmp_path / "a.tif", values((1, 5, 7), dtype))
    assert read_tiff(tmp_path / "a.tif").shape == (5, 7)


def test_extreme_values_are_not_rescaled(tmp_path: Path) -> None:
    for array in (np.array([[0, 1, 65535]], "u2"), np.array([[-1e30, np.inf, np.nan]], "f4")):
        write_tiff(tmp_path / "a.tif", array)
        np.testing.assert_array_equal(read_tiff(tmp_path / "a.tif"), array, strict=True)


@settings(deadline=None)
@given(st.floats(0.01, 100))
@pytest.mark.parametrize("dtype", ["u2", "i4"])
def test_the_pixel_size_comes_back(tmp_path_factory: pytest.TempPathFactory, dtype: str, size: float) -> None:
    path = tmp_path_factory.mktemp("tiff") / "a.tif"
    write_tiff(path, values((4, 5), dtype), pixel_size_um=size)
    assert read_calibration(path).pixel_size_um == pytest.approx(size, rel=1e-6)


@pytest.mark.parametrize("dtype", IMAGEJ)
def test_imagej_finds_the_calibration_in_micrometres(tmp_path: Path, dtype: str) -> None:
    write_tiff(tmp_path / "a.tif", values((3, 4, 5), dtype), pixel_size_um=0.65)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_imagej
        assert (file.imagej_metadata or {})["unit"] == "um"
        assert (file.imagej_metadata or {})["slices"] == 3
        for tag in ("XResolution", "YResolution"):
            pixels, unit = file.pages.first.tags[tag].value
            assert unit / pixels == pytest.approx(0.65)


@pytest.mark.parametrize("dtype", OTHER)
def test_other_dtypes_have_the_calibration_in_the_tags(tmp_path: Path, dtype: str) -> None:
    write_tiff(tmp_path / "a.tif", values((3, 4, 5), dtype), pixel_size_um=0.65)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages.first.resolutionunit == tifffile.RESUNIT.CENTIMETER
        assert 1e4 / file.pages.first.resolution[0] == pytest.approx(0.65)


@pytest.mark.parametrize("dtype", ["u2", "i4"])
def test_no_calibration_is_invented(tmp_path: Path, dtype: str) -> None:
    write_tiff(tmp_path / "a.tif", values((4, 5), dtype))
    assert read_calibration(tmp_path / "a.tif").pixel_size_um is None


LAYOUTS: list[dict[str, Any]] = [
    {},
    {"rowsperstrip": 8},
    {"rowsperstrip": 8, "compression": "zlib"},
    {"tile": (16, 16)},
    {"tile": (16, 16), "compression": "zlib"},
    {"imagej": True},
]
NOISE = np.random.default_rng(0).integers(0, 60_000, (32, 48), "u2")


@pytest.mark.parametrize("options", LAYOUTS, ids=str)
def test_a_tiff_cut_anywhere_is_an_error_naming_it(tmp_path: Path, options: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, NOISE, **options)
    content, path = buffer.getvalue(), tmp_path / "cut.tif"
    for size in [*range(0, len(content), 41), len(content) - 1]:
        path.write_bytes(content[:size])
        with pytest.raises(UnreadableImageError, match=rf"cut\.tif is not a readable TIFF \({size} bytes\)"):
            read_tiff(path)


def test_a_tiff_with_a_wrong_byte_is_an_array_or_one_clear_error(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, NOISE[:4, :4], imagej=True, metadata={"unit": "um"})
    content, path = buffer.getvalue(), tmp_path / "wrong.tif"
    for position in range(min(len(content), 300)):
        for value in (0, 1, 2, 17, 64, 255):
            path.write_bytes(content[:position] + bytes([value]) + content[position + 1 :])
            try:
                assert read_tiff(path).nbytes < 1_000_000
            except UnreadableImageError as error:
                assert "wrong.tif" in str(error)


@pytest.mark.parametrize("content", [b"", b"II*\0", b"GIF89a no TIFF at all", b"<html>", bytes(1000)], ids=repr)
def test_what_is_no_tiff_is_an_error_naming_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "not.tif"
    path.write_bytes(content)
    with pytest.raises(UnreadableImageError, match=r"not\.tif") as caught:
        read_tiff(path)
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value, ValueError)


def test_a_folder_is_no_tiff(tmp_path: Path) -> None:
    (tmp_path / "folder.tif").mkdir()
    with pytest.raises(UnreadableImageError, match=r"folder\.tif"):
        read_tiff(tmp_path / "folder.tif")


@pytest.mark.parametrize("read", [read_tiff, read_npy, read_png])
def test_a_missing_file_is_a_file_not_found_error(tmp_path: Path, read: Any) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none")


# --- NPY ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (2, 3, 4), (1, 2, 3, 4, 5)], ids=str)
@pytest.mark.parametrize("dtype", ["u2", ">u2", "?", "f8", "c8", "f2"])
@pytest.mark.parametrize("mmap", [True, False])
def test_any_array_comes_back_with_its_dtype(tmp_path: Path, mmap: bool, dtype: str, shape: tuple[int, ...]) -> None:
    array = values(shape, dtype)
    write_npy(tmp_path / "a.npy", array)
    found = read_npy(tmp_path / "a.npy", mmap=mmap)
    np.testing.assert_array_equal(found, array, strict=True)


def test_a_mapped_array_cannot_change_the_file_and_outlives_its_replacement(tmp_path: Path) -> None:
    write_npy(tmp_path / "a.npy", np.zeros(3))
    found = read_npy(tmp_path / "a.npy")
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 1
    write_npy(tmp_path / "a.npy", np.ones(3))
    assert found.tolist() == [0, 0, 0]
    assert read_npy(tmp_path / "a.npy").tolist() == [1, 1, 1]


def test_objects_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormatError, match=r"a\.npy"):
        write_npy(tmp_path / "a.npy", [Boom()])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mmap", [True, False])
def test_pickles_are_not_read(tmp_path: Path, mmap: bool) -> None:
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        np.save(file, np.array([Boom()], object), allow_pickle=True)
    with pytest.raises(UnreadableImageError, match=r"a\.npy"):
        read_npy(path, mmap=mmap)
    path.write_bytes(pickle.dumps(Boom()))
    with pytest.raises(UnreadableImageError, match=r"a\.npy"):
        read_npy(path, mmap=mmap)


def test_broken_arrays_are_errors_naming_the_file(tmp_path: Path) -> None:
    write_npy(tmp_path / "whole.npy", np.zeros((8, 8)))
    content, path = (tmp_path / "whole.npy").read_bytes(), tmp_path / "broken.npy"
    for mmap in (True, False):
        for size in (0, 3, 8, 60, 128, len(content) - 1):
            path.write_bytes(content[:size])
            with pytest.raises(UnreadableImageError, match=r"broken\.npy"):
                read_npy(path, mmap=mmap)


def test_an_archive_is_no_array(tmp_path: Path) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        np.savez(file, a=np.zeros(3))
    with pytest.raises(UnreadableImageError, match=r"a\.npy"):
        read_npy(tmp_path / "a.npy")
    (tmp_path / "b.npy").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(UnreadableImageError, match=r"b\.npy"):
        read_npy(tmp_path / "b.npy")


@settings(deadline=None)
@given(
    hnp.arrays(
        st.sampled_from(["?", "i1", ">u2", "i8", "f2", "f4", ">f8", "c16", "U3", "M8[s]"]).map(np.dtype),
        hnp.array_shapes(min_dims=0, min_side=0),
    )
)
@pytest.mark.parametrize("mmap", [True, False])
def test_any_array_round_trips(
    tmp_path_factory: pytest.TempPathFactory, mmap: bool, array: np.ndarray[Any, Any]
) -> None:
    path = tmp_path_factory.mktemp("npy") / "a.npy"
    write_npy(path, array)
    np.testing.assert_array_equal(read_npy(path, mmap=mmap), array, strict=True)


@pytest.mark.parametrize("mmap", [True, False])
def test_a_header_that_promises_more_than_the_file_has_takes_no_memory(tmp_path: Path, mmap: bool) -> None:
    write_npy(tmp_path / "a.npy", np.zeros(1_000))
    content = (tmp_path / "a.npy").read_bytes().replace(b"(1000,), }         ", b"(10000000000000,), }")
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(UnreadableImageError, match=r"a\.npy is not a readable"):
        read_npy(tmp_path / "a.npy", mmap=mmap)


# --- PNG ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "shape"), [("u1", (5, 7)), ("u2", (5, 7)), ("u1", (5, 7, 3))])
def test_png_keeps_pixels_and_dtype(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    array = values(shape, dtype) * (500 if dtype == "u2" else 1)
    write_png(tmp_path / "a.png", array)
    np.testing.assert_array_equal(read_png(tmp_path / "a.png"), array, strict=True)


PNG_SHAPES = hnp.array_shapes(min_dims=2, max_dims=2)


@settings(deadline=None)
@given(
    hnp.arrays(np.uint8, PNG_SHAPES)
    | hnp.arrays(st.sampled_from([np.dtype("<u2"), np.dtype(">u2")]), PNG_SHAPES)
    | hnp.arrays(np.uint8, PNG_SHAPES.map(lambda shape: (*shape, 3)))
)
def test_any_png_round_trips(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray[Any, Any]) -> None:
    path = tmp_path_factory.mktemp("png") / "a.png"
    write_png(path, array)
    expected = array.astype(array.dtype.newbyteorder("="))
    np.testing.assert_array_equal(read_png(path), expected, strict=True)


def test_a_png_without_pixels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormatError, match=r"a\.png"):
        write_png(tmp_path / "a.png", np.zeros((0, 4), "u1"))


@pytest.mark.parametrize("dtype", ["f8", "u4", "c8"])
def test_png_refuses_what_it_cannot_hold(tmp_path: Path, dtype: str) -> None:
    with pytest.raises(UnknownFormatError, match=r"a\.png"):
        write_png(tmp_path / "a.png", values((5, 7), dtype))
    assert not list(tmp_path.iterdir())


def test_broken_png_is_an_error_naming_it(tmp_path: Path) -> None:
    write_png(tmp_path / "whole.png", NOISE)
    content, path = (tmp_path / "whole.png").read_bytes(), tmp_path / "broken.png"
    for size in (0, 4, 20, len(content) // 2):
        path.write_bytes(content[:size])
        with pytest.raises(UnreadableImageError, match=r"broken\.png"):
            read_png(path)


def test_only_png_is_read_as_png(tmp_path: Path) -> None:
    Image.fromarray(values((5, 7), "u1")).save(tmp_path / "a.png", format="GIF")
    with pytest.raises(UnreadableImageError, match=r"a\.png"):
        read_png(tmp_path / "a.png")
