"""The microscope's own flat fields: evaluated where the pixels are, and taken out of real images."""

from __future__ import annotations

import numpy as np
import pytest

from wellfield.errors import PipelineError
from wellfield.microscopes import get_microscope_handler
from wellfield.plate.flatfield import FlatfieldProfile, Polynomial
from wellfield.plate.index import read_index
from wellfield.processing.flatfield_correction import evaluate, illumination_of_profile
from wellfield.processing.illumination_model import correct_illumination
from wellfield.storage import VirtualWorkspaceBackend

SHAPE = (6, 8)
FOREGROUND = Polynomial(((1.0,), (0.1, -0.2), (0.0, 0.05, -0.3)), SHAPE, (3.5, 2.5), (0.125, 0.125))


def test_a_polynomial_is_evaluated_at_columns_and_rows() -> None:
    image = evaluate(FOREGROUND, SHAPE)
    assert (image.shape, image.dtype) == (SHAPE, np.float32)
    for y, x in ((0, 0), (5, 7), (1, 6)):
        u, v = (x - 3.5) * 0.125, (y - 2.5) * 0.125
        expected = 1 + 0.1 * u - 0.2 * v + 0 * u**2 + 0.05 * u * v - 0.3 * v**2
        assert image[y, x] == pytest.approx(expected, rel=1e-6)


def test_correction_undoes_the_model_of_the_profile() -> None:
    background = Polynomial(((1.1,), (0.0, 0.3), (-0.4, 0.0, -0.2)), SHAPE, (3.5, 2.5), (0.125, 0.125))
    signal = np.random.default_rng(0).uniform(50, 900, SHAPE)
    seen = 300 * evaluate(background, SHAPE) + evaluate(FOREGROUND, SHAPE) * signal
    illumination = illumination_of_profile(FlatfieldProfile(300.0, background, FOREGROUND), SHAPE)
    corrected = correct_illumination(np.stack([seen, seen]), illumination=illumination)
    np.testing.assert_allclose(corrected, np.stack([signal, signal]), rtol=1e-4)


def test_a_constant_profile_fits_images_of_any_size() -> None:
    flat = illumination_of_profile(FlatfieldProfile(0.0, Polynomial(((1.0,),)), Polynomial(((1.0,),))), (3, 5))
    assert (flat.flatfield == 1).all()
    assert flat.background == 0.0


def test_a_profile_of_another_size_or_without_light_is_refused() -> None:
    with pytest.raises(PipelineError, match=r"of images of \(6, 8\) pixels, the plate's have \(5, 8\)"):
        evaluate(FOREGROUND, (5, 8))
    dark = FlatfieldProfile(0.0, Polynomial(((1.0,),)), Polynomial(((-1.0,),)))
    with pytest.raises(PipelineError, match="falls to -1"):
        illumination_of_profile(dark, SHAPE)


@pytest.mark.realdata
def test_real_profiles_have_mean_one_and_even_out_real_backgrounds(real_plates, tmp_path) -> None:  # type: ignore[no-untyped-def]
    root = real_plates / "opera_phenix" / "phenix_V5_1field_6ch"
    info = get_microscope_handler(root)[0].initialize_workspace(tmp_path, plate="P")
    _, planes = read_index(tmp_path / "index.parquet")
    workspace = VirtualWorkspaceBackend(root, {plane.path: plane.path for plane in planes})
    for number, profile in info.flatfields.items():
        for polynomial in (profile.background, profile.foreground):
            assert evaluate(polynomial, info.shape).mean(dtype=float) == pytest.approx(1, abs=2e-3)
        if info.channels[number] == "Brightfield":
            continue
        image = workspace.load(planes[number - 1].path)
        corrected = correct_illumination(image[None], illumination=illumination_of_profile(profile, info.shape))[0]
        assert unevenness(corrected, profile.level) < 0.5 * unevenness(image, 0)


def unevenness(image, offset):  # type: ignore[no-untyped-def]
    """Return how far the dark pixels of the 16 parts of an image differ, against their mean."""
    parts = image.reshape(4, 270, 4, 270).transpose(0, 2, 1, 3).reshape(16, -1)
    dark = np.percentile(parts, 20, axis=1) + offset
    return dark.std() / dark.mean()
