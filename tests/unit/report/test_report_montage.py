"""The montage of a plate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wellfield.errors import ArrayShapeError
from wellfield.plate.wells import well_name
from wellfield.report import montage
from wellfield.report.montage import MAX_SIDE, OUTLINE, PlateLayout, display_window, plate_montage

TITLES = ["Pläte <7> & $x_1$ $\\frac$", "板 🔬 لوحة", "a\nb\x07\ud800", "x" * 400, ""]


def thumbnail(value: float, side: int = 40) -> np.ndarray:
    return np.stack([np.full((side, side), value, np.float32), np.zeros((side, side), np.float32)])


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def tile(path: Path, layout: PlateLayout, well: str) -> np.ndarray:
    y, x = layout.corner(well)
    return pixels(path)[y : y + layout.tile[0], x : x + layout.tile[1]]


def is_grey(rgb: np.ndarray) -> bool:
    return bool((np.ptp(rgb, axis=-1) == 0).all())


def all_wells(rows: int, columns: int) -> list[str]:
    return [well_name(row, column) for row in range(rows) for column in range(columns)]


def test_each_well_is_at_its_place_on_one_grey_scale(tmp_path: Path) -> None:
    values = {"B02": 100, "B03": 200, "C02": 300, "C03": 400}
    layout = plate_montage(
        {well: thumbnail(value) for well, value in values.items()}, tmp_path / "m.png", wells_expected=values, title="t"
    )
    assert layout.corner("B02")[0] == layout.corner("B03")[0] < layout.corner("C02")[0] == layout.corner("C03")[0]
    assert layout.corner("B02")[1] == layout.corner("C02")[1] < layout.corner("B03")[1] == layout.corner("C03")[1]
    found = [tile(tmp_path / "m.png", layout, well) for well in values]
    assert all(is_grey(part) and np.ptp(part) == 0 for part in found)
    np.testing.assert_allclose([part.mean() for part in found], [0, 85, 170, 255], atol=3)


def test_only_rows_and_columns_with_wells_are_shown(tmp_path: Path) -> None:
    layout = plate_montage(
        {"B02": thumbnail(1)}, tmp_path / "m.png", wells_expected=["B02", "P24"], title="t", failed=["D02"]
    )
    assert layout.rows == (1, 3, 15)
    assert layout.columns == (1, 23)


def test_wells_may_be_spelt_in_any_usual_way(tmp_path: Path) -> None:
    layout = plate_montage({"b2": thumbnail(1)}, tmp_path / "m.png", wells_expected=["B02"], title="t", failed=["b3"])
    assert (layout.rows, layout.columns) == ((1,), (1, 2))


def test_the_window_is_over_all_wells_and_ignores_single_hot_pixels_and_nan() -> None:
    rng = np.random.default_rng(0)
    images = [thumbnail(0, 100) for _ in range(4)]
    for number, image in enumerate(images):
        image[0] = rng.uniform(100 * number, 100 * number + 100, (100, 100))
    images[0][0, 0, :3] = 60_000, np.inf, np.nan
    low, high = display_window(images) or (0, 0)
    assert 0 < low < 10
    assert 390 < high < 400
    assert display_window([np.full((2, 3, 3), np.nan)]) is None


def test_the_window_of_very_many_pixels_is_nearly_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    images = [np.stack([rng.gamma(2, 100, (200, 200))] * 2) for _ in range(3)]
    exact = display_window(images)
    monkeypatch.setattr(montage, "SAMPLED_PIXELS", 30_000)
    assert display_window(images) == pytest.approx(exact, rel=0.05)


def test_the_caption_states_the_window_and_what_the_image_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    draw = montage.Canvas.text
    monkeypatch.setattr(
        montage.Canvas, "text", lambda self, x, y, text, **s: (texts.append(text), draw(self, x, y, text, **s))
    )
    thumbnails = {"A01": thumbnail(110), "A02": thumbnail(3210)}
    plate_montage(thumbnails, tmp_path / "m.png", wells_expected=thumbnails, title="My plate", image_label="DAPI max")
    assert "My plate" in texts
    caption = " ".join(texts)
    assert "black 110, white 3,210" in caption
    assert "DAPI max" in caption


def test_a_failed_well_is_marked_even_if_it_has_a_thumbnail(tmp_path: Path) -> None:
    thumbnails = {well: thumbnail(value) for well, value in {"A01": 1, "A02": 2}.items()}
    layout = plate_montage(thumbnails, tmp_path / "m.png", wells_expected=thumbnails, title="t", failed=["A02"])
    failed = tile(tmp_path / "m.png", layout, "A02")
    assert is_grey(tile(tmp_path / "m.png", layout, "A01"))
    red, green, blue = np.median(failed.reshape(-1, 3), axis=0)
    assert red > green + 20
    assert red > blue + 20
    inner = failed[10:-10, 10:-10]
    assert (inner.min(axis=-1) < 100).any()  # the word


def test_a_well_without_thumbnail_says_no_image(tmp_path: Path) -> None:
    layout = plate_montage(
        {"A01": thumbnail(1), "A03": np.full((2, 40, 40), np.nan)},
        tmp_path / "m.png",
        wells_expected=["A01", "A02", "A03", "B01"],
        title="t",
    )
    without, empty = (tile(tmp_path / "m.png", layout, well) for well in ("A02", "B03"))
    assert (without.min(axis=-1) < 150).any()  # the words
    assert np.ptp(empty) == 0  # no such well
    assert np.median(without) < np.median(empty)
    assert np.ptp(tile(tmp_path / "m.png", layout, "A03")) == 0


def test_words_on_marked_tiles_are_the_right_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    draw = montage.Canvas.text
    monkeypatch.setattr(
        montage.Canvas, "text", lambda self, x, y, text, **s: (texts.append(text), draw(self, x, y, text, **s))
    )
    plate_montage({}, tmp_path / "m.png", wells_expected=["A01", "A02"], title="t", failed=["A02"])
    assert texts.count("failed") == 1
    assert texts.count("no") == texts.count("image") == 1


def test_outlines_are_drawn_in_colour(tmp_path: Path) -> None:
    ringed = thumbnail(1, 120)
    ringed[1, 30, 30:90] = 1
    layout = plate_montage({"A01": ringed}, tmp_path / "m.png", wells_expected=["A01"], title="t")
    found = tile(tmp_path / "m.png", layout, "A01")
    assert layout.scale == 1
    np.testing.assert_allclose(found[30, 40], np.multiply(OUTLINE, 0.9), atol=2)
    assert is_grey(found[40:])


def test_a_missing_field_is_neither_black_nor_white_nor_outlined(tmp_path: Path) -> None:
    image = np.concatenate([thumbnail(5, 60), np.full((2, 60, 60), np.nan, np.float32)], axis=2)
    layout = plate_montage({"A01": image}, tmp_path / "m.png", wells_expected=["A01"], title="t")
    found = tile(tmp_path / "m.png", layout, "A01")
    middle = found.shape[1] // 2
    assert (found[:, : middle - 1] == 0).all()
    assert (found[:, middle + 1 :] == montage.NO_DATA_GREY).all()


@pytest.mark.parametrize(
    ("rows", "columns", "shape"), [(16, 24, (96, 96)), (32, 48, (30, 50)), (2, 3, (700, 300)), (1, 1, (2000, 64))]
)
def test_no_picture_is_larger_than_1500_pixels(rows: int, columns: int, shape: tuple[int, int], tmp_path: Path) -> None:
    wells = all_wells(rows, columns)
    image = np.zeros((2, *shape), np.float32)
    layout = plate_montage(dict.fromkeys(wells, image), tmp_path / "m.png", wells_expected=wells, title="t " * 100)
    height, width, _ = pixels(tmp_path / "m.png").shape
    assert max(height, width) <= MAX_SIDE
    y, x = layout.corner(wells[-1])
    assert y + layout.tile[0] < height
    assert x + layout.tile[1] < width
    ratio = layout.tile[0] / layout.tile[1]
    assert ratio == pytest.approx(shape[0] / shape[1], rel=0.1)


@pytest.mark.parametrize("title", TITLES)
def test_titles_are_taken_literally_and_never_fail(title: str, tmp_path: Path) -> None:
    plate_montage({"A01": thumbnail(1)}, tmp_path / "m.png", wells_expected=["A01"], title=title, image_label=title)
    assert pixels(tmp_path / "m.png").shape[1] <= MAX_SIDE


def test_equal_input_gives_equal_bytes_without_date_or_program(tmp_path: Path) -> None:
    thumbnails = {"A01": thumbnail(1), "A02": thumbnail(7)}
    for name, order in (("a.png", ["A01", "A02"]), ("b.png", ["A02", "A01"])):
        plate_montage(
            {well: thumbnails[well] for well in order}, tmp_path / name, wells_expected=order, title="t", failed={"B01"}
        )
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert set(image.info) <= {"dpi"}


def test_a_plate_without_any_well_still_gives_a_picture(tmp_path: Path) -> None:
    plate_montage({}, tmp_path / "m.png", wells_expected=[], title="t")
    assert pixels(tmp_path / "m.png").size


def test_an_array_that_is_no_thumbnail_is_refused_by_the_name_of_its_well(tmp_path: Path) -> None:
    with pytest.raises(ArrayShapeError, match="B07"):
        plate_montage({"B07": np.zeros((40, 40))}, tmp_path / "m.png", wells_expected=["B07"], title="t")
    assert not list(tmp_path.iterdir())


def test_many_infinite_pixels_do_not_make_the_window_infinite() -> None:
    image = thumbnail(5)
    image[0, :10], image[0, 10:20], image[0, 20:30] = np.inf, -np.inf, 9
    assert display_window([image]) == (5, 9)
