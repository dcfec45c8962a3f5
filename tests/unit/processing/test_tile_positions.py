"""Where fields lie, against scenes cut at known places and a real plate."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from wellfield.errors import ArrayShapeError, ConfigError, PipelineError
from wellfield.microscopes.metaseries import read_tags
from wellfield.processing.declarations import declared_outputs
from wellfield.processing.function_registry import ImageKind, get_function
from wellfield.processing.tile_placement import place_fields
from wellfield.processing.tile_positions import generate_positions, grid_dimensions
from wellfield.processing.tile_registration import Edge, measure_signal

SHAPE = (120, 140)
STEP = (96, 112)  # y and x: 24 and 28 px of overlap
PIXEL_UM = 0.5
# Where the fields of a 2 x 3 grid really are from where the stage says, in pixels: y and x.
JITTER = np.array([[0, 0], [3, -5], [-4, 6], [2, 2], [-6, 1], [5, -3]])
GRID = [(row, column) for row in range(2) for column in range(3)]


def make_scene(shape=(260, 400), *, seed=0, noise=2.0):
    rng = np.random.default_rng(seed)
    blobs = gaussian_filter(rng.normal(size=shape), 3)
    return (1000 + 100 * blobs / blobs.std() + rng.normal(0, noise, shape)).astype(np.uint16)


def cut(scene, corners, shape=SHAPE):
    return np.stack([scene[y : y + shape[0], x : x + shape[1]] for y, x in corners])


def well(jitter=JITTER):
    """Return the planes of a 2 x 3 grid, their true corners, and their stage positions in µm."""
    nominal = np.array(GRID) * STEP
    corners = nominal + 8 + jitter
    return cut(make_scene(), corners), corners, nominal[:, ::-1] * PIXEL_UM + (5000.0, 7000.0)


def run(image, stage, **params):
    arguments = {"field_numbers": range(1, len(image) + 1), "pixel_size_um": PIXEL_UM} | params
    return generate_positions(image, stage_positions_um=stage, **arguments)


def found(positions):
    return np.stack([positions["y_position_px"], positions["x_position_px"]], axis=1)


def assert_same_table(one, other):
    assert list(one) == list(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


# --- scenes of known truth ---------------------------------------------------------------------------------------


def test_fields_are_found_where_they_were_cut():
    image, corners, stage = well()
    returned, positions, edges = run(image, stage)
    assert returned is image
    np.testing.assert_allclose(found(positions), corners - corners.min(axis=0), atol=0.2)
    assert positions["Metadata_Site"].tolist() == [1, 2, 3, 4, 5, 6]
    assert positions["Metadata_Site"].dtype == np.int32
    assert positions["algorithm"] == ["phase_correlation"] * 6
    assert positions["grid_dimensions"] == ["2x3"] * 6
    # Three pairs side by side in each of two rows less one, three below each other.
    pairs = list(zip(edges["field_1"].tolist(), edges["field_2"].tolist(), strict=True))
    assert pairs == [(1, 2), (1, 4), (2, 3), (2, 5), (3, 6), (4, 5), (5, 6)]
    assert edges["used"].all()
    assert (edges["quality"] > 0.95).all()
    assert (edges["signal"] > 5).all()
    assert edges["predicted_overlap_px"].tolist() == [28, 24, 28, 24, 24, 28, 28]
    steps = np.stack([edges["measured_y_px"], edges["measured_x_px"]], axis=1)
    truth = np.array([corners[b - 1] - corners[a - 1] for a, b in pairs])
    np.testing.assert_allclose(steps, truth, atol=0.2)
    np.testing.assert_allclose(edges["measured_overlap_px"], (SHAPE - np.abs(truth)).min(axis=1), atol=0.2)


def test_refined_positions_are_in_the_stage_system():
    image, corners, stage = well()
    _, positions, _ = run(image, stage)
    refined = np.stack([positions["x_position_um"], positions["y_position_um"]], axis=1)
    truth = corners[:, ::-1] * PIXEL_UM
    np.testing.assert_allclose(refined - refined.mean(axis=0), truth - truth.mean(axis=0), atol=0.1)
    np.testing.assert_allclose(refined.mean(axis=0), stage.mean(axis=0), atol=1e-3)


@pytest.mark.parametrize(("flip_x", "flip_y"), [(True, False), (False, True), (True, True)])
def test_a_stage_axis_that_points_the_other_way_is_turned(flip_x, flip_y):
    image, corners, stage = well()
    turned = stage * (-1 if flip_x else 1, -1 if flip_y else 1)
    _, positions, edges = run(image, turned, flip_x=flip_x, flip_y=flip_y)
    np.testing.assert_allclose(found(positions), corners - corners.min(axis=0), atol=0.2)
    refined = np.stack([positions["x_position_um"], positions["y_position_um"]], axis=1)
    assert np.abs(refined - turned).max() < 7 * PIXEL_UM
    assert edges["used"].all()
    # With the wrong sign the neighbours along that axis are not each other's.
    _, _, wrong = run(image, turned)
    along_x = wrong["field_2"] - wrong["field_1"] == 1
    assert not wrong["used"][(flip_x & along_x) | (flip_y & ~along_x)].any()
    for wrong_sign, here, hint in [(flip_x, along_x, "set flip_x: true"), (flip_y, ~along_x, "set flip_y: true")]:
        hinted = np.array([hint in reason for reason in wrong["reason"]])
        np.testing.assert_array_equal(hinted, wrong_sign & here)


def test_fractions_of_a_pixel_are_found():
    scene = gaussian_filter(make_scene((400, 700), noise=0).astype(np.float64), 2)
    # Every third pixel: what is a whole step of the scene is a third of a pixel.
    image = np.stack([scene[20:320:3, 10:400:3], scene[24:324:3, 310:700:3]])
    _, _, edges = run(image, [[0, 0], [102 * PIXEL_UM, 0]])
    assert edges["measured_x_px"][0] == pytest.approx(100, abs=0.1)
    assert edges["measured_y_px"][0] == pytest.approx(4 / 3, abs=0.1)


def test_order_of_the_fields_does_not_matter():
    image, _, stage = well()
    _, positions, edges = run(image, stage)
    order = [3, 0, 5, 1, 4, 2]
    _, shuffled, shuffled_edges = run(image[order], stage[order], field_numbers=[k + 1 for k in order])
    assert_same_table(shuffled, positions)
    assert_same_table(shuffled_edges, edges)


def test_the_input_is_not_changed_and_results_repeat():
    image, _, stage = well()
    before = image.copy(), stage.copy()
    first, second = run(image, stage), run(image, stage)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(stage, before[1])
    assert_same_table(first[1], second[1])


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64])
def test_any_dtype_will_do(dtype):
    image, corners, stage = well()
    _, positions, _ = run(
        (image - 500).clip(0).astype(dtype) if dtype != np.uint8 else (image // 8).astype(dtype), stage
    )
    np.testing.assert_allclose(found(positions), corners - corners.min(axis=0), atol=0.3)


# --- where content says nothing ----------------------------------------------------------------------------------


def test_noise_leaves_the_fields_where_the_stage_says():
    rng = np.random.default_rng(3)
    image = rng.normal(500, 10, (6, *SHAPE)).astype(np.float32)
    _, _, stage = well()
    _, positions, edges = run(image, stage)
    assert positions["algorithm"] == ["stage"] * 6
    np.testing.assert_allclose(found(positions), np.array(GRID) * STEP, atol=1e-6)
    np.testing.assert_allclose(positions["x_position_um"], stage[:, 0])
    assert not edges["used"].any()
    assert all("no signal" in reason for reason in edges["reason"])
    assert np.isnan(edges["quality"]).all()
    np.testing.assert_allclose(edges["signal"], 1, atol=0.2)


@pytest.mark.parametrize("value", [0, 700])
def test_even_planes_have_no_signal(value):
    _, _, stage = well()
    _, positions, edges = run(np.full((6, *SHAPE), value, np.uint16), stage)
    assert positions["algorithm"] == ["stage"] * 6
    assert (edges["signal"] == 0).all()


def test_fields_that_show_different_things_are_not_believed():
    image = np.stack([make_scene(SHAPE, seed=seed) for seed in range(2)])
    _, positions, edges = run(image, [[0, 0], [112 * PIXEL_UM, 0]])
    assert positions["algorithm"] == ["stage"] * 2
    assert edges["signal"][0] > 5
    assert edges["quality"][0] < 0.5
    assert "do not agree" in edges["reason"][0]


def test_likeness_that_may_be_chance_is_not_believed():
    scene = gaussian_filter(make_scene(noise=0).astype(np.float64), 3)
    image = cut(scene, [(0, 0), (0, 31)], (9, 40))
    _, _, edges = run(image, [[0, 0], [31 * PIXEL_UM, 0]], search_margin=1)
    assert edges["quality"][0] == pytest.approx(1)
    assert not edges["used"][0]
    assert "by chance" in edges["reason"][0]


@pytest.mark.parametrize("blur", [2, 4, 6, 8, 12, 20])
@pytest.mark.parametrize(("gap", "noise"), [(0, 2), (0, 15), (5, 2), (-4, 2), (-4, 15)])
def test_blurred_fields_that_abut_stay_where_the_stage_says(blur, gap, noise):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        blobs = gaussian_filter(rng.normal(size=(200, 460)), blur)
        scene = 1000 + 300 * blobs / blobs.std() + rng.normal(0, noise, blobs.shape)
        _, positions, edges = run(
            cut(scene.astype(np.float32), [(0, 0), (0, 200 + gap)], (200, 200)), [[0, 0], [200 * PIXEL_UM, 0]]
        )
        assert edges["reason"][0] != "accepted"
        assert positions["algorithm"] == ["stage"] * 2
        assert positions["x_position_px"].tolist() == [0, 200]


@pytest.mark.parametrize("overlap", [12, 16, 19])
def test_an_overlap_that_the_stage_does_not_predict_is_found_where_fields_are_equal_there(overlap):
    image = cut(make_scene(), [(0, 0), (2, SHAPE[1] - overlap)])
    _, positions, edges = run(image, [[0, 0], [SHAPE[1] * PIXEL_UM, 0]])
    assert edges["predicted_overlap_px"][0] == pytest.approx(0)
    assert edges["measured_overlap_px"][0] == pytest.approx(overlap, abs=0.2)
    assert positions["algorithm"] == ["phase_correlation"] * 2


def test_defocused_fields_of_a_real_plate_that_abut_stay_where_the_stage_says(real_plates):
    import tifffile

    folder = real_plates / "imagexpress/Projection-Mix"
    planes = [path for path in folder.rglob("ZStep_1/*_E07_s*.tif") if "thumb" not in path.name]
    files = {tuple(re.search(r"_s(\d)_w(\d)", path.name).groups()): path for path in planes}
    for wave in {wave for _, wave in files}:
        paths = [files[site, wave] for site in "12"]
        tags = [read_tags(path) for path in paths]
        _, positions, edges = run(
            np.stack([tifffile.imread(path) for path in paths]),
            [[tag.stage_x_um, tag.stage_y_um] for tag in tags],
            pixel_size_um=tags[0].pixel_size_um,
            min_quality=0.6,  # which the strips of both sides of the border reach
        )
        assert positions["algorithm"] == ["stage"] * 2
        assert not edges["used"].any()


def test_an_offset_beyond_the_margin_is_not_taken():
    image, corners, stage = well(np.array([[0, 0], [0, 12], [0, 0], [0, 0], [0, 0], [0, 0]]))
    _, near, _ = run(image[:2], stage[:2], search_margin=15)
    np.testing.assert_allclose(found(near)[1], corners[1] - corners[0], atol=0.2)
    _, far, edges = run(image[:2], stage[:2], search_margin=6)
    assert far["algorithm"] == ["stage"] * 2
    assert edges["reason"][0] != "accepted"


def test_fields_without_signal_hang_on_the_stage_from_their_neighbours():
    # A row of three whose first two are 6 px closer than the stage says; the third shows nothing.
    nominal = np.array([[0, 0], [0, 112], [0, 224]])
    image = cut(make_scene(), [(0, 0), (0, 106), (0, 224)])
    image[2] = np.random.default_rng(0).normal(1000, 2, SHAPE)
    _, positions, edges = run(image, nominal[:, ::-1] * PIXEL_UM)
    assert positions["algorithm"] == ["phase_correlation", "phase_correlation", "stage"]
    assert edges["used"].tolist() == [True, False]
    x = positions["x_position_px"]
    assert x[1] - x[0] == pytest.approx(106, abs=0.2)
    assert x[2] - x[1] == pytest.approx(112, abs=0.05)


def test_fields_far_apart_have_no_edges():
    image, _, stage = well()
    far = (stage - stage[0]) * 3
    _, positions, edges = run(image, far)
    assert positions["algorithm"] == ["stage"] * 6
    np.testing.assert_allclose(positions["x_position_px"], far[:, 0] / PIXEL_UM)
    assert {name: len(values) for name, values in edges.items()} == dict.fromkeys(edges, 0)


def test_fields_of_an_irregular_mask_are_placed_too():
    image, corners, stage = well()
    kept = [0, 2, 4, 5]  # 1 shares only corners, 3-6 and 5-6 are neighbours
    _, positions, edges = run(image[kept], stage[kept], field_numbers=[1, 3, 5, 6])
    assert positions["algorithm"] == ["stage", "phase_correlation", "phase_correlation", "phase_correlation"]
    pairs = list(zip(edges["field_1"].tolist(), edges["field_2"].tolist(), strict=True))
    assert pairs == [(3, 6), (5, 6)]
    place = found(positions)
    np.testing.assert_allclose(place[1:] - place[1], (corners[kept] - corners[2])[1:], atol=0.2)


def test_one_field_is_where_it_is():
    image, _, _ = well()
    for position, pixel_size in (([[12.5, -3.0]], PIXEL_UM), ([[math.nan, math.nan]], None)):
        _, positions, edges = run(image[:1], position, pixel_size_um=pixel_size, field_numbers=[7])
        np.testing.assert_array_equal([positions["x_position_um"], positions["y_position_um"]], np.transpose(position))
        assert (positions["Metadata_Site"], positions["algorithm"]) == ([7], ["stage"])
        assert positions["grid_dimensions"] == ["1x1"]
        assert found(positions).tolist() == [[0, 0]]
        assert {len(values) for values in edges.values()} == {0}


# --- placement and its parts -------------------------------------------------------------------------------------


def test_an_offset_that_the_others_contradict_is_dropped():
    stage = np.array([[y, x] for y in (0.0, 100.0, 200.0) for x in (0.0, 100.0, 200.0)])
    edges = []
    for i, j in [(0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (7, 8), (0, 3), (3, 6), (1, 4), (4, 7), (2, 5), (5, 8)]:
        y, x = stage[j] - stage[i]
        wrong = 15.0 if (i, j) == (4, 5) else 0.0
        edges.append(Edge(i, j, (y, x), (y + 1.0, x + wrong), 10.0, 0.9 if not wrong else 0.6, True, "accepted"))
    # The others agree: each step is 1 px too far down.
    truth = np.array([[y + (x + y) / 100, x] for y, x in stage])
    positions, judged = place_fields(stage, edges)
    np.testing.assert_allclose(positions - positions[0], truth - truth[0], atol=0.02)
    assert [(e.first, e.second) for e in judged if not e.used] == [(4, 5)]
    assert "px elsewhere" in next(e.reason for e in judged if not e.used)


@pytest.mark.parametrize("wrong", [4.0, 8.0, 30.0])
def test_the_worst_edge_of_a_single_closed_path_is_dropped_if_it_does_not_close(wrong):
    stage = np.array([[0.0, 0.0], [0.0, 100.0], [100.0, 0.0], [100.0, 100.0]])
    edges = []
    for i, j in [(0, 1), (0, 2), (1, 3), (2, 3)]:
        y, x = stage[j] - stage[i]
        bad = (i, j) == (1, 3)
        edges.append(Edge(i, j, (y, x), (y + wrong * bad, x), 10.0, 0.75 if bad else 0.9, True, "accepted"))
    positions, judged = place_fields(stage, edges)
    np.testing.assert_allclose(positions, stage, atol=0.02)
    assert [(e.first, e.second) for e in judged if not e.used] == [(1, 3)]
    assert f"{wrong:.1f} px elsewhere" in judged[2].reason


def test_edges_that_nothing_but_the_stage_contradicts_are_kept():
    stage = np.array([[0.0, 0.0], [0.0, 100.0], [100.0, 0.0], [100.0, 100.0]])
    measured = Edge(0, 1, (0.0, 100.0), (6.0, 90.0), 10.0, 0.9, True, "accepted")
    others = [Edge(i, j, tuple(stage[j] - stage[i])) for i, j in [(0, 2), (1, 3), (2, 3)]]
    positions, judged = place_fields(stage, [measured, *others])
    assert judged[0].used
    np.testing.assert_allclose(positions[1] - positions[0], (6, 90), atol=0.02)


@pytest.mark.parametrize(("rows", "columns"), [(5, 1), (1, 5), (3, 4), (1, 2)])
def test_jitter_does_not_change_the_grid(rows, columns):
    jitter = np.random.default_rng(0).uniform(-0.3, 0.3, (rows * columns, 2))
    grid = np.array([(y * 315.0, x * 200.0) for y in range(rows) for x in range(columns)])
    assert grid_dimensions(grid + jitter) == f"{rows}x{columns}"


def test_signal_of_white_noise_is_one_whatever_its_strength():
    rng = np.random.default_rng(0)
    for strength in (1.0, 300.0):
        noise = rng.normal(0, strength, (400, 400))
        smooth = gaussian_filter(noise, 1) - gaussian_filter(noise, 8)
        assert measure_signal(noise, smooth) == pytest.approx(1, abs=0.05)


# --- bad input ---------------------------------------------------------------------------------------------------


def test_what_is_unknown_is_asked_for():
    image, _, stage = well()
    with pytest.raises(PipelineError, match=r"pixel_size_um is None; .* set pixel_size_um"):
        run(image, stage, pixel_size_um=None)
    holes = stage.copy()
    holes[[1, 4], 0] = math.nan
    with pytest.raises(PipelineError, match=r"stage position of fields \[2, 5\] is unknown; .* Leave these fields out"):
        run(image, holes)


def test_fields_at_one_place_or_twice_are_refused():
    image, _, stage = well()
    stage[4] = stage[2] + 0.1
    with pytest.raises(PipelineError, match="fields 3 and 5 were taken at the same stage position"):
        run(image, stage)
    with pytest.raises(PipelineError, match="expected each field once"):
        run(image[:2], stage[:2], field_numbers=[4, 4])


def test_arrays_that_do_not_fit_together_are_refused():
    image, _, stage = well()
    with pytest.raises(ArrayShapeError, match="6 planes, but 2 field numbers"):
        run(image, stage, field_numbers=[1, 2])
    with pytest.raises(ArrayShapeError, match=r"shape \[5, 2\]; expected \[6, 2\]"):
        run(image, stage[:5])
    with pytest.raises(ArrayShapeError):
        run(image[0], stage)
    with pytest.raises(ArrayShapeError, match="at least one plane"):
        run(image[:0], stage[:0])


def test_no_intensity_image_and_pixels_that_are_no_numbers_are_refused():
    image, _, stage = well()
    with pytest.raises(PipelineError, match="generate_positions takes an intensity image"):
        run(image > 1000, stage)
    broken = image.astype(np.float32)
    broken[2, 50, 60] = np.nan
    with pytest.raises(PipelineError, match="1 of 100800 pixels are NaN or infinite"):
        run(broken, stage)


@pytest.mark.parametrize("params", [{"search_margin": 0}, {"min_signal": -1.0}, {"min_quality": 1.5}])
def test_parameters_out_of_range_are_refused(params):
    image, _, stage = well()
    with pytest.raises(ConfigError, match=f"{next(iter(params))}="):
        run(image, stage, **params)


def test_it_is_known_by_its_name_and_says_what_it_makes():
    info = get_function("generate_positions")
    assert (info.needs_fields, info.merges_fields, info.returns) == (True, False, ImageKind.INTENSITY)
    assert [name for name, spec in declared_outputs(info.function) if spec] == ["positions", "position_edges"]


# --- a real plate ------------------------------------------------------------------------------------------------


def real_well(real_plates: Path, name: str):
    """Run on the maximum projections of wave 1 of both sites, with the stage positions of their own files."""
    import tifffile

    folder = real_plates / "imagexpress/9987_Plate_3434/TimePoint_1/ZStep_0"
    paths = [folder / f"9987_{name}_s{site}_w1.TIF" for site in (1, 2)]
    tags = [read_tags(path) for path in paths]
    return run(
        np.stack([tifffile.imread(path) for path in paths]),
        [[tag.stage_x_um, tag.stage_y_um] for tag in tags],
        pixel_size_um=tags[0].pixel_size_um,
    )


def test_nuclei_of_a_real_well_put_the_overlap_at_24_pixels(real_plates):
    _, positions, edges = real_well(real_plates, "B03")
    assert edges["predicted_overlap_px"][0] == pytest.approx(25.6, abs=0.1)
    assert edges["measured_overlap_px"][0] == pytest.approx(24, abs=1)
    assert 256 - np.diff(positions["x_position_px"])[0] == pytest.approx(24, abs=1)
    assert abs(np.diff(positions["y_position_px"])[0]) < 1
    assert (edges["used"].tolist(), edges["reason"]) == ([True], ["accepted"])
    assert edges["quality"][0] > 0.9
    assert positions["algorithm"] == ["phase_correlation"] * 2
    assert positions["grid_dimensions"] == ["1x2"] * 2


def test_a_real_overlap_without_cells_falls_back_to_the_stage(real_plates):
    _, positions, edges = real_well(real_plates, "B02")
    assert positions["algorithm"] == ["stage"] * 2
    assert np.diff(positions["x_position_px"])[0] == pytest.approx(315 / 1.3672)
    assert edges["used"].tolist() == [False]
    assert "no signal in the overlap" in edges["reason"][0]
