from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wellfield.errors import ImageKindError, StorageError, UnknownFormatError, UnreadableImageError
from wellfield.formats import tiff
from wellfield.formats.plane_files import read_plane_header
from wellfield.formats.tiff import (
    Calibration,
    TiffCompression,
    read_calibration,
    read_tiff,
    read_tiff_header,
    write_tiff,
)

IMAGEJ = ("u1", "u2", "f4")
OME_TYPES = ("?", "i1", "i2", "i4", "u4", "f8", "c8", "c16", *IMAGEJ)
PLAIN = ("i8", "u8", "f2", *OME_TYPES)
AXES = ("YX", "ZYX", "CYX", "TYX", "CZYX", "ZCYX", "TZYX", "TCYX", "TCZYX", "ZTCYX")
CODECS = (None, *(str(codec) for codec in TiffCompression if codec != TiffCompression.NONE))


def values(shape: tuple[int, ...], dtype: str = "u2") -> np.ndarray[Any, Any]:
    return (np.arange(np.prod(shape)).reshape(shape) % 120).astype(dtype)


def in_house_order(array: np.ndarray[Any, Any], axes: str) -> tuple[np.ndarray[Any, Any], str]:
    """Return what a reader gives for an array: axes in the order TCZYX, those of length one left out."""
    ordered = array.transpose([axes.index(axis) for axis in "TCZYX" if axis in axes])
    names = [axis for axis in "TCZYX" if axis in axes]
    kept = [(n, length) for n, length in zip(names, ordered.shape, strict=True) if n in "YX" or length > 1]
    return ordered.reshape([length for _, length in kept]), "".join(n for n, _ in kept)


# --- round trips --------------------------------------------------------------------------------------------------


@st.composite
def images(draw: st.DrawFn, dtypes: tuple[str, ...]) -> tuple[np.ndarray[Any, Any], str]:
    axes = draw(st.sampled_from(AXES))
    shape = draw(st.tuples(*[st.integers(1, 4)] * len(axes)))
    order = draw(st.sampled_from("<>"))
    return draw(hnp.arrays(np.dtype(draw(st.sampled_from(dtypes))).newbyteorder(order), shape)), axes


@settings(deadline=None)
@given(images(PLAIN), st.sampled_from(CODECS), st.tuples(st.sampled_from([None, 0.325]), st.sampled_from([None, 2.0])))
@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
def test_pixels_dtype_axes_and_calibration_come_back(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    image: tuple[np.ndarray[Any, Any], str],
    compression: str | None,
    lengths: tuple[float | None, float | None],
) -> None:
    (array, axes), (size, spacing), path = image, lengths, tmp_path_factory.mktemp("tiff") / name
    ome = name == "a.ome.tif"
    if ome and array.dtype.str[1:] in ("i8", "u8", "f2"):
        array = array.astype("f8")
    write_tiff(path, array, axes=axes, pixel_size_um=size, z_spacing_um=spacing, compression=compression)
    expected, kept = in_house_order(array, axes)
    found = read_tiff(path)
    np.testing.assert_array_equal(found, expected)
    assert (found.shape, found.dtype) == (expected.shape, array.dtype.newbyteorder("="))
    calibration = read_calibration(path)
    assert calibration.pixel_size_um == (None if size is None else pytest.approx(size, rel=1e-6))
    assert (calibration.z_spacing_um, calibration.axes) == (spacing, kept)
    assert read_calibration(path).pixel_size_um == calibration.pixel_size_um


@pytest.mark.parametrize("dtype", IMAGEJ)
@pytest.mark.parametrize("shape", [(2, 5, 1), (1, 5, 1), (3, 1, 1), (2, 1, 3), (2, 3, 4)], ids=str)
def test_stacks_of_narrow_planes_keep_their_shape(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    write_tiff(tmp_path / "a.tif", values(shape, dtype), pixel_size_um=0.5)
    expected, axes = in_house_order(values(shape, dtype), "ZYX")
    np.testing.assert_array_equal(read_tiff(tmp_path / "a.tif"), expected, strict=True)
    assert read_calibration(tmp_path / "a.tif") == Calibration(0.5, None, axes)


@pytest.mark.parametrize("dtype", ["?", "u4", "i4"])
@pytest.mark.parametrize("compression", CODECS)
@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
def test_labels_and_masks_keep_every_value(tmp_path: Path, name: str, compression: str | None, dtype: str) -> None:
    labels = np.array([[0, 1, 65_536], [70_000, 2**31 - 1, 3]]).astype(dtype)
    write_tiff(tmp_path / name, labels, compression=compression)
    np.testing.assert_array_equal(read_tiff(tmp_path / name), labels, strict=True)


def test_what_imagej_holds_opens_there_as_a_hyperstack_with_its_spacing(tmp_path: Path) -> None:
    array = values((2, 3, 4, 5, 6))
    write_tiff(tmp_path / "a.tif", array, axes="tczyx", pixel_size_um=0.5, z_spacing_um=1.5)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        metadata = file.imagej_metadata or {}
        assert {k: metadata[k] for k in ("frames", "slices", "channels", "spacing", "unit", "hyperstack")} == {
            "frames": 2, "slices": 4, "channels": 3, "spacing": 1.5, "unit": "um", "hyperstack": True
        }  # fmt: skip
        np.testing.assert_array_equal(file.asarray(), array.transpose(0, 2, 1, 3, 4))


@pytest.mark.parametrize("suffix", [".ome.tif", ".OME.TIFF"])
def test_an_ome_suffix_gives_ome_tiff_with_units_and_channel_names(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    names = ("DAPI", 'µ <&> "x"')
    write_tiff(path, values((2, 3, 4, 5)), axes="CZYX", pixel_size_um=0.65, z_spacing_um=2, channel_names=names)
    with tifffile.TiffFile(path) as file:
        assert file.is_ome and not file.is_imagej
        pixels = tifffile.xml2dict(file.ome_metadata or "")["OME"]["Image"]["Pixels"]
        assert file.series[0].axes == "CZYX"
    for axis, size in (("X", 0.65), ("Y", 0.65), ("Z", 2)):
        assert (pixels[f"PhysicalSize{axis}"], pixels[f"PhysicalSize{axis}Unit"]) == (size, "µm")
    assert read_calibration(path) == Calibration(0.65, 2.0, "CZYX", names)


def test_the_form_can_be_chosen_whatever_the_suffix(tmp_path: Path) -> None:
    for ome in (True, False):
        write_tiff(tmp_path / "a.ome.tif", values((4, 5)), ome=ome)
        write_tiff(tmp_path / "a.tif", values((4, 5)), ome=ome)
        for name in ("a.tif", "a.ome.tif"):
            with tifffile.TiffFile(tmp_path / name) as file:
                assert (file.is_ome, file.is_imagej) == (ome, not ome)


@pytest.mark.parametrize("compression", CODECS[1:])
def test_compressed_files_are_smaller_and_say_how(tmp_path: Path, compression: str) -> None:
    array = np.cumsum(np.ones((64, 64)), axis=1).astype("u2")
    write_tiff(tmp_path / "a.tif", array, compression=compression)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page = file.pages.first
        assert page.predictor == 2  # differences of neighbours
        assert page.compression.name in {"zlib": "ADOBE_DEFLATE", "zstd": "ZSTD", "lzw": "LZW"}[compression]
    assert (tmp_path / "a.tif").stat().st_size < array.nbytes / 4
    np.testing.assert_array_equal(read_tiff(tmp_path / "a.tif"), array, strict=True)


def test_what_is_too_large_for_imagej_is_written_plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff, "_CLASSIC_LIMIT", 30)
    write_tiff(tmp_path / "a.tif", values((4, 5)), pixel_size_um=0.65)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert not file.is_imagej
    assert read_calibration(tmp_path / "a.tif") == Calibration(pytest.approx(0.65), None, "YX")


def test_a_spacing_alone_invents_no_pixel_size(tmp_path: Path) -> None:
    for name in ("a.tif", "a.ome.tif"):
        write_tiff(tmp_path / name, values((3, 4, 5)), z_spacing_um=2)
        assert read_calibration(tmp_path / name) == Calibration(None, 2.0, "ZYX")


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"compression": "jpeg", "axes": "CZYX"}, "unknown compression 'jpeg'; expected one of"),
        ({"compression": 8, "axes": "CZYX"}, "unknown compression 8"),
        ({"pixel_size_um": 0, "axes": "CZYX"}, "0 is not a size in µm"),
        ({"pixel_size_um": float("nan"), "axes": "CZYX"}, "nan is not a size in µm"),
        ({"z_spacing_um": -1, "axes": "CZYX"}, "-1 is not a size in µm"),
        ({"pixel_size_um": 1e-9, "axes": "CZYX"}, "1e-09 is not a size in µm"),
        ({"axes": "YX"}, "axes 'YX' do not fit"),
        ({"axes": "ZZYX"}, "axes 'ZZYX' do not fit"),
        ({"axes": "CZXY"}, "axes 'CZXY' do not fit"),
        ({"axes": "QZYX"}, "axes 'QZYX' do not fit"),
        ({}, "axes are not known; name them"),
        ({"axes": "CZYX", "channel_names": ["a", "b"]}, "only OME-TIFF holds names"),
        ({"axes": "CZYX", "channel_names": ["a"], "ome": True}, "1 channel names for 2 channels"),
        ({"axes": "CZYX", "channel_names": "ab", "ome": True}, "2 channel names for 2 channels"),
        ({"axes": "CZYX", "channel_names": ["a", "\0"], "ome": True}, "characters that XML cannot hold"),
    ],
    ids=str,
)
def test_options_that_do_not_fit_are_errors_that_say_so(tmp_path: Path, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnknownFormatError, match=r"a\.tif: TIFF cannot hold uint16 \[2, 3, 4, 5\]") as caught:
        write_tiff(tmp_path / "a.tif", values((2, 3, 4, 5)), **options)
    assert reason in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "array", [np.zeros((0, 4)), np.zeros(4), np.zeros((4, 4), "M8[s]"), np.zeros((4, 4), "g"), np.zeros((4, 4), "U3")]
)
def test_what_is_no_image_is_refused(tmp_path: Path, array: np.ndarray[Any, Any]) -> None:
    with pytest.raises(UnknownFormatError, match=r"a\.tif: TIFF cannot hold"):
        write_tiff(tmp_path / "a.tif", array)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", ["i8", "u8", "f2"])
def test_types_that_ome_has_not_are_refused_by_name(tmp_path: Path, dtype: str) -> None:
    with pytest.raises(UnknownFormatError, match=r"OME-TIFF has no type .*write it as \.tif"):
        write_tiff(tmp_path / "a.ome.tif", values((4, 5), dtype))


# --- files of others ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "size"), [("micron", 0.5), ("µm", 0.5), ("nm", 0.0005), ("mm", 500), ("pixel", None), ("inch", None)]
)
def test_units_of_imagej_are_understood_or_unknown(tmp_path: Path, unit: str, size: float | None) -> None:
    unit = unit.replace("µ", "\\u00B5")
    metadata = {"unit": unit, "spacing": 3.0, "axes": "ZYX"}
    tifffile.imwrite(tmp_path / "a.tif", values((2, 4, 5)), imagej=True, resolution=(2, 2), metadata=metadata)
    found = read_calibration(tmp_path / "a.tif")
    assert found.pixel_size_um == (size and pytest.approx(size))
    assert found.z_spacing_um == (size and pytest.approx(6 * size))


@pytest.mark.parametrize(("unit", "size"), [("nm", 0.65), ("mm", 650_000.0), ("pixel", None)])
def test_units_of_ome_are_understood_or_unknown(tmp_path: Path, unit: str, size: float | None) -> None:
    metadata = {"axes": "YX", "PhysicalSizeX": 650.0, "PhysicalSizeXUnit": unit}
    tifffile.imwrite(tmp_path / "a.ome.tif", values((4, 5)), ome=True, metadata=metadata)
    assert read_calibration(tmp_path / "a.ome.tif").pixel_size_um == (size and pytest.approx(size))


def test_resolutions_in_inches_are_no_calibration(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", values((4, 5)), resolution=(72, 72), resolutionunit="INCH")
    assert read_calibration(tmp_path / "a.tif").pixel_size_um is None


def test_colour_comes_back_as_it_is(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", values((4, 5, 3), "u1"), photometric="rgb")
    np.testing.assert_array_equal(read_tiff(tmp_path / "a.tif"), values((4, 5, 3), "u1"), strict=True)
    assert read_calibration(tmp_path / "a.tif").axes == "YXS"


def test_a_file_that_metadata_names_is_not_opened(tmp_path: Path) -> None:
    """OME metadata can name other files, anywhere on the disk, as parts of the image."""
    folder = tmp_path / "plate"
    folder.mkdir()
    tifffile.imwrite(tmp_path / "secret.tif", np.full((4, 5), 99, "u2"))
    text = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:1">'
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="5" SizeY="4" SizeZ="2"'
        ' SizeC="1" SizeT="1"><Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData IFD="0" PlaneCount="1">'
        '<UUID FileName="a.ome.tif">urn:uuid:1</UUID></TiffData><TiffData IFD="0" FirstZ="1" PlaneCount="1">'
        '<UUID FileName="../secret.tif">urn:uuid:2</UUID></TiffData></Pixels></Image></OME>'
    )
    tifffile.imwrite(folder / "a.ome.tif", values((4, 5)), description=text, metadata=None)
    with tifffile.TiffFile(folder / "a.ome.tif") as file:
        assert file.is_ome and 99 in file.asarray()  # what must not happen
    np.testing.assert_array_equal(read_tiff(folder / "a.ome.tif"), values((4, 5)), strict=True)


def write_micromanager(path: Path, image: np.ndarray[Any, Any], head: bytes, index: bytes = b"") -> None:
    """Write a page as Micro-Manager does: *head* behind the 8 bytes of every TIFF, *index* behind that."""
    pixels = image.astype("<u2").tobytes()
    place = 8 + len(head) + len(index)
    height, width = image.shape
    tags = [(256, 4, width), (257, 4, height), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, place), (277, 3, 1)]
    tags += [(278, 4, height), (279, 4, len(pixels)), (51123, 2, place + len(pixels))]
    entries = b"".join(struct.pack("<HHII", code, kind, 8 if kind == 2 else 1, value) for code, kind, value in tags)
    start = struct.pack("<2sHI", b"II", 42, place + len(pixels) + 8)
    path.write_bytes(start + head + index + pixels + b"{}      " + struct.pack("<H", len(tags)) + entries + bytes(4))


def test_micromanager_files_of_a_folder_stay_apart(tmp_path: Path) -> None:
    text = json.dumps({"MicroManagerVersion": "1.4", "Prefix": "p", "Positions": 2, "Frames": 1}).encode()
    paths = [tmp_path / f"p_MMStack_{well}.ome.tif" for well in ("A1", "A2")]
    for position, path in enumerate(paths):
        # Where the index is, no settings, no comments, the summary; the index: channel, z, time, position, page.
        head = struct.pack("<8I", 54773648, 40 + len(text), 483765892, 0, 99384722, 0, 2355492, len(text)) + text
        page = 8 + len(head) + 28 + 40 + 8
        index = struct.pack("<7I", 3453623, 1, 0, 0, 0, position, page)
        write_micromanager(path, np.full((4, 5), position + 1), head, index)
    with tifffile.TiffFile(paths[0]) as file:
        assert np.unique(file.asarray()).tolist() == [1, 2]  # what must not happen
    for position, path in enumerate(paths):
        np.testing.assert_array_equal(read_tiff(path), np.full((4, 5), position + 1, "u2"), strict=True)
        assert read_plane_header(path).shape == (4, 5)


def test_files_in_an_index_of_ndtiff_stay_apart(tmp_path: Path) -> None:
    text, index = b"{}", b""
    for number, name in enumerate(("a.tif", "b.tif")):
        head = struct.pack("<4I", 483729, 2, 2355492, len(text)) + text
        write_micromanager(tmp_path / name, np.full((4, 5), number + 1), head)
        axes = json.dumps({"time": number}).encode()
        index += struct.pack("<I", len(axes)) + axes + struct.pack("<I", 5) + name.encode()
        index += struct.pack("<IiiiiIii", 8 + len(head), 5, 4, 1, 0, 0, 0, 0)
    (tmp_path / "NDTiff.index").write_bytes(index)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert np.unique(file.asarray()).tolist() == [1, 2]  # what must not happen
    np.testing.assert_array_equal(read_tiff(tmp_path / "a.tif"), np.full((4, 5), 1, "u2"), strict=True)


OME = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels '
    'ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="5" SizeY="4" SizeZ="1" SizeC="1" SizeT="1">'
    '<Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData IFD="0"/></Pixels></Image></OME>'
)


@pytest.mark.parametrize(
    "text", [OME, "ImageJ=1.54f\nimages=1\n", "ImageJ=1.54f\nimages=2\nslices=2\n", '{"shape": [4, 5]}', None], ids=str
)
def test_pages_that_the_metadata_is_silent_about_are_no_plane(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for number in range(3):
            file.write(values((4, 5)) + number, description=None if number else text, metadata=None, contiguous=False)
    with pytest.raises(ImageKindError, match=r"a\.tif (has several planes|holds 3 images)"):
        read_plane_header(path)
    try:
        assert read_tiff(path).shape == (3, 4, 5)
    except ImageKindError as error:
        assert "a.tif has several planes: 3 pages, but its metadata speaks of" in str(error)


@pytest.mark.parametrize("text", [OME, None], ids=str)
def test_smaller_copies_of_the_plane_are_no_further_planes(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(values((4, 5)), description=text, metadata=None, subifds=1)
        file.write(values((2, 2)), subfiletype=1, metadata=None)
        file.write(values((3, 3)), subfiletype=1, metadata=None)
    assert read_plane_header(path).shape == (4, 5)
    np.testing.assert_array_equal(read_tiff(path), values((4, 5)), strict=True)


def test_a_page_of_half_the_size_is_a_copy_only_if_it_says_so(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for size in (64, 32):
            file.write(values((size, size)), metadata=None)
    with pytest.raises(ImageKindError, match=r"a\.tif has several planes: 2 pages"):
        read_tiff(tmp_path / "a.tif")


# --- numbers that are not intensities ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["?", "u1", "u2", "f4"])
def test_white_as_0_is_refused_by_name(tmp_path: Path, dtype: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", values((4, 5), dtype), photometric="miniswhite")
    for read in (read_tiff, read_plane_header):
        with pytest.raises(
            ImageKindError, match=r"a\.tif stores white as 0 .*WhiteIsZero.*; export it with black as 0"
        ):
            read(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "a.tif", values((4, 5), dtype), photometric="minisblack")
    np.testing.assert_array_equal(read_tiff(tmp_path / "a.tif"), values((4, 5), dtype), strict=True)


@pytest.mark.parametrize("kind", ["CFA", "MASK", "CIELAB", "LOGL", "LINEAR_RAW", "DEPTH_MAP"])
def test_other_meanings_of_one_number_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values((4, 5)), photometric="minisblack")
    content = patched(buffer.getvalue(), "PhotometricInterpretation", int(tifffile.PHOTOMETRIC[kind]))
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(ImageKindError, match=rf"a\.tif has pixels of the kind {kind}, which are not intensities"):
        read_tiff(tmp_path / "a.tif")


@pytest.mark.parametrize("orientation", range(10))
def test_an_image_that_is_stored_turned_or_mirrored_is_refused_by_name(tmp_path: Path, orientation: int) -> None:
    tag = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(tmp_path / "a.tif", values((4, 5)), extratags=tag, metadata=None)
    if orientation in (0, 1, 9):  # the usual one, and what has no meaning
        np.testing.assert_array_equal(read_tiff(tmp_path / "a.tif"), values((4, 5)), strict=True)
        return
    for read in (read_tiff, read_plane_header):
        with pytest.raises(
            ImageKindError, match=rf"a\.tif is stored turned or mirrored \(its Orientation is {orientation}"
        ):
            read(tmp_path / "a.tif")


@pytest.mark.parametrize("bits", [1, 4, 12])
def test_fewer_bits_in_the_header_than_in_the_data_are_refused(tmp_path: Path, bits: int) -> None:
    """Some cameras' files say 12 bits and have 16, which would be read shifted against each other."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values((8, 8)), metadata=None)
    (tmp_path / "a.tif").write_bytes(patched(buffer.getvalue(), "BitsPerSample", bits))
    for read in (read_tiff, read_plane_header):
        with pytest.raises(UnreadableImageError, match=rf"a\.tif .* its header says {bits} bits a pixel"):
            read(tmp_path / "a.tif")


@pytest.mark.parametrize(("bits", "shape"), [(1, (9, 1)), (1, (3, 7)), (2, (5, 3)), (4, (5, 3)), (1, (64, 64))])
def test_packed_bits_are_read(tmp_path: Path, bits: int, shape: tuple[int, ...]) -> None:
    image = (values(shape, "u1") % 2**bits).astype("?" if bits == 1 else "u1")
    tifffile.imwrite(tmp_path / "a.tif", image, bitspersample=bits, photometric="minisblack", metadata=None)
    np.testing.assert_array_equal(read_tiff(tmp_path / "a.tif"), image, strict=True)


def test_numbers_without_a_type_and_complex_ones_are_no_plane(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values((4, 5), "i4"), metadata=None)
    (tmp_path / "a.tif").write_bytes(patched(buffer.getvalue(), "SampleFormat", 9))
    for read in (read_tiff, read_plane_header):
        with pytest.raises(UnreadableImageError, match=r"a\.tif .*pixels of 32 bits and SampleFormat 9 have no type"):
            read(tmp_path / "a.tif")
    write_tiff(tmp_path / "a.tif", values((4, 5), "c8"))
    with pytest.raises(ImageKindError, match=r"a\.tif has complex numbers; expected intensities"):
        read_plane_header(tmp_path / "a.tif")


@pytest.mark.parametrize("cut", ["second page", "third page"])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}], ids=str)
def test_a_stack_that_is_cut_between_pages_is_truncated(tmp_path: Path, options: dict[str, Any], cut: str) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for number in range(3):
            file.write(values((4, 5)) + number, metadata=None, contiguous=False, **options)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        place = file.pages[1 if cut == "second page" else 2].offset
    (tmp_path / "a.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:place])
    for read in (read_tiff, read_plane_header):
        with pytest.raises(UnreadableImageError, match=rf"a\.tif .*truncated: a further page begins at byte {place}"):
            read(tmp_path / "a.tif")


def test_xml_entities_are_not_read(tmp_path: Path) -> None:
    text = '<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY a "x">]><OME><Image Name="&a;"/></OME>'
    tifffile.imwrite(tmp_path / "a.ome.tif", values((4, 5)), description=text, metadata=None)
    for read in (read_tiff, read_calibration):
        with pytest.raises(UnreadableImageError, match=r"a\.ome\.tif .*XML entities"):
            read(tmp_path / "a.ome.tif")


# --- damage -------------------------------------------------------------------------------------------------------


def patched(content: bytes, tag: str, value: int, item: int = 0) -> bytes:
    """Return a TIFF of one page with another number in one of its tags."""
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        entry = file.pages.first.tags[tag]
        width = {3: 2, 4: 4, 16: 8}[int(entry.dtype)]
        place = entry.valueoffset + item * width
        return (
            content[:place]
            + value.to_bytes(width, {"<": "little", ">": "big"}[file.byteorder])
            + content[place + width :]
        )


@pytest.mark.parametrize("compression", CODECS)
@pytest.mark.parametrize(("width", "height"), [(2**31, 64), (64, 2**31), (2**31, 2**31)])
def test_absurd_sizes_are_refused_before_any_memory_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str | None, width: int, height: int
) -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values((64, 64)), compression=compression, rowsperstrip=64, metadata=None)
    content = patched(patched(buffer.getvalue(), "ImageWidth", width), "ImageLength", height)
    (tmp_path / "a.tif").write_bytes(content)
    monkeypatch.setattr(tifffile.TiffFile, "asarray", lambda *args, **kwargs: pytest.fail("pixels were read"))
    with pytest.raises(UnreadableImageError, match=r"a\.tif .* its header promises \d+ bytes"):
        read_tiff(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", CODECS[1:])
@pytest.mark.parametrize("dtype", ["?", "u1", "u2", "f8"])
def test_black_planes_that_compress_to_nearly_nothing_are_read(tmp_path: Path, compression: str, dtype: str) -> None:
    array = np.zeros((3, 2048, 2048), dtype)
    write_tiff(tmp_path / "a.tif", array, compression=compression)
    np.testing.assert_array_equal(read_tiff(tmp_path / "a.tif"), array, strict=True)
    options: dict[str, Any] = {"compression": compression, "rowsperstrip": 2048, "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "b.tif", array[0], metadata=None, **options)
    np.testing.assert_array_equal(read_tiff(tmp_path / "b.tif"), array[0], strict=True)


@pytest.mark.parametrize("compression", CODECS[1:])
def test_a_strip_that_is_missing_or_short_is_no_black(tmp_path: Path, compression: str) -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values((64, 64)), compression=compression, rowsperstrip=16, metadata=None)
    for count in (0, 1, 9):
        (tmp_path / "a.tif").write_bytes(patched(buffer.getvalue(), "StripByteCounts", count, item=1))
        with pytest.raises(UnreadableImageError, match=r"a\.tif is not a readable TIFF"):
            read_tiff(tmp_path / "a.tif")


LOSSY: list[dict[str, Any]] = [
    {"compression": "jpeg", "tile": (64, 64)},
    {"compression": "jpeg", "rowsperstrip": 32},
    {"compression": "jpeg", "tile": (64, 64), "bigtiff": True},
    {"compression": "jpeg2000", "tile": (64, 64)},
]
OTHERS: list[dict[str, Any]] = [{"compression": codec, "tile": (64, 64)} for codec in ("jpegxr", "png", "lzma", "zstd")]
SCENE = np.random.default_rng(3).normal(100, 20, (128, 128)).clip(0, 255).astype("u1")


@pytest.mark.parametrize("options", LOSSY + OTHERS, ids=str)
def test_a_file_that_was_cut_is_truncated_whatever_its_codec(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, SCENE, metadata=None, **options)
    content = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        whole, end = page.asarray(), max(np.add(page.dataoffsets, page.databytecounts))
    np.testing.assert_array_equal(read_tiff(path), whole, strict=True)
    for cut in (1, 10, 1500):
        path.write_bytes(content[: end - cut])
        for read in (read_tiff, read_plane_header):
            with pytest.raises(UnreadableImageError, match=rf"a\.tif .*it is truncated: its pixels end at byte {end}"):
                read(path)


@pytest.mark.parametrize("options", LOSSY, ids=str)
@pytest.mark.parametrize("piece", [0, -1])
@pytest.mark.parametrize("missing", [2, 500])
def test_a_piece_whose_end_is_zeros_is_truncated(
    tmp_path: Path, options: dict[str, Any], piece: int, missing: int
) -> None:
    """Copies that make room first, and are interrupted, leave zeros."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, SCENE, metadata=None, **options)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        end = page.dataoffsets[piece] + page.databytecounts[piece]
    content[end - missing : end] = bytes(missing)
    path.write_bytes(content)
    with pytest.raises(
        UnreadableImageError, match=r"a\.tif .*it is truncated: the data of a part of its pixels has no end"
    ):
        read_tiff(path)


@pytest.mark.parametrize("shape", [(128, 128), (100, 130), (3, 100, 130), (100, 130, 3)], ids=str)
@pytest.mark.parametrize("options", LOSSY, ids=str)
def test_jpeg_is_decoded_as_tifffile_does(tmp_path: Path, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape).astype("u1")
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb" if shape[-1] == 3 else "minisblack", **options)
    np.testing.assert_array_equal(read_tiff(tmp_path / "a.tif"), tifffile.imread(tmp_path / "a.tif"), strict=True)


@pytest.mark.parametrize("compression", ["jpeg", "zlib", None])
@pytest.mark.parametrize("tag", ["TileOffsets", "TileByteCounts"])
def test_a_tile_that_was_never_written_is_no_black(tmp_path: Path, compression: str | None, tag: str) -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, SCENE, compression=compression, tile=(64, 64), metadata=None)
    (tmp_path / "a.tif").write_bytes(patched(buffer.getvalue(), tag, 0, item=2))
    for read in (read_tiff, read_plane_header):
        with pytest.raises(UnreadableImageError, match=r"a\.tif .*a part of its pixels is missing"):
            read(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", ["jpeg", "zlib"])
def test_a_list_of_strips_that_is_too_short_is_no_black(tmp_path: Path, compression: str) -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, SCENE, compression=compression, rowsperstrip=32, metadata=None)
    (tmp_path / "a.tif").write_bytes(patched(buffer.getvalue(), "RowsPerStrip", 16))
    with pytest.raises(UnreadableImageError, match=r"a\.tif .*the places of a part of its pixels are missing"):
        read_tiff(tmp_path / "a.tif")


def test_a_strip_without_compression_that_is_too_short_is_not_filled_with_what_follows(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values((4, 5)), metadata=None, extratags=[(65000, "s", 0, "x" * 99, True)])
    for tag, value in (("StripByteCounts", 20), ("StripOffsets", 0)):
        (tmp_path / "a.tif").write_bytes(patched(buffer.getvalue(), tag, value))
        with pytest.raises(UnreadableImageError, match=r"a\.tif .*(40 bytes of pixels, and 20|pixels is missing)"):
            read_tiff(tmp_path / "a.tif")


def test_a_plane_that_the_metadata_does_not_hold_is_no_black(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values((2, 4, 5)), ome=True, metadata={"axes": "ZYX"})
    content = buffer.getvalue()
    (tmp_path / "a.ome.tif").write_bytes(content.replace(b'SizeZ="2"', b'SizeZ="3"'))
    with pytest.raises(UnreadableImageError, match=r"a\.ome\.tif .*a part of its pixels is missing"):
        read_tiff(tmp_path / "a.ome.tif")


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
@pytest.mark.parametrize("compression", CODECS)
@settings(deadline=None)
@given(position=st.integers(0, 3_000), value=st.integers(0, 255))
@example(position=120, value=16)  # the size of a piece in eight bytes, of which four are something else
def test_a_wrong_byte_never_takes_much_memory(
    tmp_path_factory: pytest.TempPathFactory, compression: str | None, name: str, position: int, value: int
) -> None:
    path = tmp_path_factory.mktemp("wrong") / name
    write_tiff(path, values((2, 16, 16)), compression=compression, pixel_size_um=0.65)
    content = bytearray(path.read_bytes())
    content[position % len(content)] = value
    path.write_bytes(content)
    for read in (read_tiff, read_calibration):
        try:
            found = read(path)
        except UnreadableImageError as error:
            assert path.name in str(error)
        else:
            assert not isinstance(found, np.ndarray) or found.nbytes <= 32_768 * len(content)


def test_calibration_of_what_is_no_tiff_is_an_error_naming_it(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"no TIFF")
    for read in (read_calibration, read_tiff_header):
        with pytest.raises(UnreadableImageError, match=r"a\.tif is not a readable TIFF"):
            read(tmp_path / "a.tif")


def test_a_short_write_on_a_disk_with_space_is_not_called_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError("40 requested and 3 written")

    monkeypatch.setattr(tifffile, "imwrite", fail)
    with pytest.raises(StorageError, match=r"a\.tif cannot be written: 40 requested and 3 written"):
        write_tiff(tmp_path / "a.tif", values((4, 5)))
