"""Which image files are planes: one grey image, whose numbers are intensities."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from wellfield.errors import DataNotFoundError, ImageKindError, UnknownFormatError, UnreadableImageError
from wellfield.formats import reader
from wellfield.formats.plane_files import PlaneHeader, check_plane, read_plane_header
from wellfield.formats.png import read_png
from wellfield.formats.tiff import read_tiff, write_tiff

GREY = (np.arange(63).reshape(7, 9) * 4).astype("u1")
RGB = np.stack([GREY] * 3, -1)


def write_grey_png(path: Path, values: np.ndarray, bits: int) -> None:
    """Write a grey PNG of 1, 2, 4 or 8 bits by the text of its standard."""
    digits = np.unpackbits(values[..., None].astype("u1"), axis=-1)[..., 8 - bits :]
    rows = np.packbits(digits.reshape(len(values), -1), axis=-1)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in (
        (b"IHDR", header),
        (b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))),
        (b"IEND", b""),
    ):
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(content)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_png_of_few_bits_keeps_its_values(tmp_path: Path, bits: int) -> None:
    values = (np.arange(70).reshape(7, 10) % 2**bits).astype("u1")
    write_grey_png(tmp_path / "a.png", values, bits)
    np.testing.assert_array_equal(read_png(tmp_path / "a.png"), values, strict=True)
    assert read_plane_header(tmp_path / "a.png") == PlaneHeader((7, 10), "uint8")


def _palette_by_pillow(path: Path) -> None:
    image = Image.fromarray(GREY).convert("P")
    image.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
    image.save(path)


def _palette_by_tifffile(path: Path) -> None:
    colours = np.arange(768, dtype="u2").reshape(3, 256)
    tifffile.imwrite(path, GREY, photometric="palette", colormap=colours)


def _unlike_pages(path: Path) -> None:
    with tifffile.TiffWriter(path) as file:
        for image in (GREY, GREY[:3]):
            file.write(image, photometric="minisblack", metadata=None)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.tif", _palette_by_pillow, "a palette whose numbers"),
        ("a.tif", _palette_by_tifffile, "a palette whose numbers"),
        ("a.png", _palette_by_pillow, "a palette whose numbers"),
        ("a.tif", _unlike_pages, r"holds 2 images that make no stack \(\[7, 9\] uint8, \[3, 9\] uint8\)"),
    ],
)
def test_what_has_no_pixels_of_its_own_is_never_read(
    tmp_path: Path, name: str, make: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / name
    make(path)
    for read in (reader(path), read_plane_header):
        with pytest.raises(ImageKindError, match=rf"{path.stem}\{path.suffix} .*{message}"):
            read(path)


def test_a_smaller_copy_beside_an_image_is_no_second_image(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(GREY, photometric="minisblack", metadata=None)
        file.write(GREY[::2, ::2], photometric="minisblack", metadata=None, subfiletype=1)
    np.testing.assert_array_equal(read_tiff(tmp_path / "a.tif"), GREY)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.tif", lambda path: Image.fromarray(RGB).save(path), r"has colours \(shape \[7, 9, 3\]\)"),
        ("a.png", lambda path: Image.fromarray(RGB).save(path), r"has colours \(shape \[7, 9, 3\]\)"),
        ("a.png", lambda path: Image.fromarray(GREY).convert("LA").save(path), r"has colours \(shape \[7, 9, 2\]\)"),
        (
            "a.tif",
            lambda path: tifffile.imwrite(
                path, RGB.transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate"
            ),
            r"has colours \(shape \[3, 7, 9\]\)",
        ),
        (
            "a.tif",
            lambda path: write_tiff(path, np.zeros((2, 4, 5), "u2")),
            r"has several planes \(shape \[2, 4, 5\]\)",
        ),
    ],
)
def test_colours_and_stacks_are_no_planes(
    tmp_path: Path, name: str, make: Callable[[Path], None], message: str
) -> None:
    make(tmp_path / name)
    with pytest.raises(ImageKindError, match=message):
        read_plane_header(tmp_path / name)
    with pytest.raises(ImageKindError, match="the image has several planes or colours"):
        check_plane(reader(tmp_path / name)(tmp_path / name).shape, source="the image")


def test_the_header_of_a_plane_is_that_of_its_pixels(tmp_path: Path) -> None:
    for dtype in ("u1", "u2", "f4", "i4"):
        write_tiff(tmp_path / "a.tif", GREY.astype(dtype), pixel_size_um=0.5)
        pixels = read_tiff(tmp_path / "a.tif")
        assert read_plane_header(tmp_path / "a.tif") == PlaneHeader((7, 9), pixels.dtype.name, pytest.approx(0.5))
    for dtype in ("u1", "u2", "?"):
        Image.fromarray(GREY.astype(dtype)).save(tmp_path / "a.png")
        assert read_plane_header(tmp_path / "a.png") == PlaneHeader((7, 9), read_png(tmp_path / "a.png").dtype.name)


def test_what_is_no_image_is_an_error_naming_it(tmp_path: Path) -> None:
    for name in ("a.tif", "a.png"):
        with pytest.raises(DataNotFoundError, match=name):
            read_plane_header(tmp_path / name)
        (tmp_path / name).write_bytes(b"garbage")
        with pytest.raises(UnreadableImageError, match=name):
            read_plane_header(tmp_path / name)
    with pytest.raises(UnknownFormatError, match=r"a\.jpg: expected an image, \.tif"):
        read_plane_header(tmp_path / "a.jpg")


def test_a_thumbnail_page_beside_the_image_is_not_the_image(tmp_path: Path) -> None:
    image = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    for first in (True, False):
        path = tmp_path / f"{first}.tif"
        with tifffile.TiffWriter(path) as file:
            pages = [(image, 0), (image[::8, ::8], 1)]
            for pixels, kind in pages if first else pages[::-1]:
                file.write(pixels, subfiletype=kind, photometric="minisblack", metadata=None)
        assert (read_tiff(path) == image).all()
        assert read_plane_header(path).shape == (64, 64)


def test_a_png_of_several_frames_is_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((4, 4), value, np.uint8)) for value in (1, 2)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageKindError, match=r"a\.png has 2 frames"):
        read_plane_header(tmp_path / "a.png")
    with pytest.raises(ImageKindError, match=r"a\.png has 2 frames"):
        read_png(tmp_path / "a.png")


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("missing", [13, 200, 5_000])
def test_a_png_whose_end_is_zeros_or_missing_is_no_image(tmp_path: Path, dtype: str, missing: int) -> None:
    """Copies that make room first, and are interrupted, leave zeros."""
    image = np.random.default_rng(0).integers(0, 200, (128, 128)).astype(dtype)
    path = tmp_path / "a.png"
    Image.fromarray(image).save(path)
    content = path.read_bytes()
    np.testing.assert_array_equal(read_png(path), image, strict=True)
    hole = bytearray(content)
    hole[2_000:2_100] = bytes(100)
    for broken in (content[:-missing] + bytes(missing), content[:-missing], bytes(hole), content + b"\0"):
        path.write_bytes(broken)
        if broken.startswith(content):  # what follows the end does not count
            np.testing.assert_array_equal(read_png(path), image, strict=True)
            continue
        with pytest.raises(UnreadableImageError, match=r"a\.png is not a readable PNG .*(damaged or )?truncated"):
            read_png(path)


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_png_that_is_stored_turned_is_refused_by_name(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(GREY).save(tmp_path / "a.png", exif=exif)
    if orientation == 1:
        np.testing.assert_array_equal(read_png(tmp_path / "a.png"), GREY, strict=True)
        return
    for read in (read_png, read_plane_header):
        with pytest.raises(
            ImageKindError, match=rf"a\.png is stored turned or mirrored \(its Orientation is {orientation}"
        ):
            read(tmp_path / "a.png")
