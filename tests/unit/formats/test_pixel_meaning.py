"""Which palettes leave the numbers of an image what they are: intensities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from wellfield.errors import ImageKindError
from wellfield.formats import reader
from wellfield.formats.pixel_meaning import check_palette
from wellfield.formats.plane_files import PlaneHeader, read_plane_header

V = np.arange(256)
NOISE = np.random.default_rng(0).integers(0, 256, (9, 11)).astype("u1")

RAMPS: dict[str, Any] = {
    "grey": [V * 257] * 3,
    "grey, high byte only": [V * 256] * 3,
    "grey in 8 bits": [V] * 3,
    "green": [V * 0, V * 257, V * 0],
    "orange, rounded to 8 bits": [V * 257, (V * 0.6).astype(int) * 256, V * 0],
    "not from black": [V * 200 + 10_000] * 3,
}
OTHERS: dict[str, Any] = {
    "chance": np.random.default_rng(1).integers(0, 65_536, (3, 256)),
    "rainbow": [V * 257, (255 - V) * 257, V * 0],
    "black": [V * 0] * 3,
    "nearly black": [V // 255 * 257] * 3,
    "gamma": [(V / 255) ** 2.2 * 65_535] * 3,
    "levels that one image has": [np.array([0, 50, 200, *[0] * 253]) * 257] * 3,
    "a colour for the brightest": [V * 257, V * 257, V % 255 * 257],
}


@pytest.mark.parametrize("name", RAMPS)
def test_numbers_under_an_even_ramp_are_read_as_intensities(tmp_path: Path, name: str) -> None:
    colours = np.array(RAMPS[name], "u2")
    tifffile.imwrite(tmp_path / "a.tif", NOISE, photometric="palette", colormap=colours)
    np.testing.assert_array_equal(reader("a.tif")(tmp_path / "a.tif"), NOISE, strict=True)
    assert read_plane_header(tmp_path / "a.tif") == PlaneHeader((9, 11), "uint8")


@pytest.mark.parametrize("name", OTHERS)
def test_numbers_under_any_other_palette_are_refused(tmp_path: Path, name: str) -> None:
    colours = np.array(OTHERS[name]).astype("u2")
    tifffile.imwrite(tmp_path / "a.tif", NOISE, photometric="palette", colormap=colours)
    for read in (reader("a.tif"), read_plane_header):
        with pytest.raises(ImageKindError, match=r"a\.tif has a palette whose numbers are not intensit"):
            read(tmp_path / "a.tif")


@pytest.mark.parametrize("name", sorted(set(RAMPS) - {"not from black"}))
def test_a_ramp_from_bright_to_dark_is_refused(tmp_path: Path, name: str) -> None:
    colours = np.array(RAMPS[name], "u2")[:, ::-1].copy()
    tifffile.imwrite(tmp_path / "a.tif", NOISE, photometric="palette", colormap=colours)
    with pytest.raises(ImageKindError, match=r"a\.tif has a palette from bright to dark, in which 0 is the brightest"):
        reader("a.tif")(tmp_path / "a.tif")


def test_the_ramp_may_have_16_bits(tmp_path: Path) -> None:
    image = NOISE.astype("u2") * 250
    grey = np.stack([np.arange(65_536, dtype="u2")] * 3)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="palette", colormap=grey)
    np.testing.assert_array_equal(reader("a.tif")(tmp_path / "a.tif"), image, strict=True)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="palette", colormap=np.roll(grey, 300, axis=1))
    with pytest.raises(ImageKindError, match="a palette whose numbers"):
        reader("a.tif")(tmp_path / "a.tif")


@pytest.mark.parametrize("colours", [None, np.zeros((3, 0)), np.array([[0, 255]] * 3), np.array(RAMPS["grey"][:2])])
def test_a_palette_without_a_colour_for_every_number_is_refused(colours: Any) -> None:
    with pytest.raises(ImageKindError, match="the image has a palette"):
        check_palette(colours, 8, source="the image")


def test_palettes_of_png_are_judged_alike(tmp_path: Path) -> None:
    def save(colours: np.ndarray[Any, Any]) -> Path:
        image = Image.fromarray(NOISE).convert("P")
        image.putpalette(colours.T.astype("u1").tobytes())
        image.save(tmp_path / "a.png")
        return tmp_path / "a.png"

    for ramp in ([V] * 3, [V * 0, V, V * 0]):
        np.testing.assert_array_equal(reader("a.png")(save(np.array(ramp))), NOISE, strict=True)
        assert read_plane_header(tmp_path / "a.png") == PlaneHeader((9, 11), "uint8")
    for colours, message in (
        (np.array([V[::-1]] * 3), "from bright to dark"),
        (np.array([V, V[::-1], V]), "a palette whose numbers"),
        (np.array([V[:2] * 255] * 3), "a palette whose numbers"),  # the two levels that one image has
    ):
        for read in (reader("a.png"), read_plane_header):
            with pytest.raises(ImageKindError, match=rf"a\.png has .*{message}"):
                read(save(colours))
