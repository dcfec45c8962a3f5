"""Specs: every mistake is told when the spec is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from wellfield.errors import MaterializationError, PipelineError
from wellfield.materialization import (
    CsvOptions,
    JsonOptions,
    MaterializationSpec,
    ParquetOptions,
    ROIOptions,
    TextOptions,
    TiffStackOptions,
)
from wellfield.materialization.spec import select
from wellfield.pipeline import special_outputs

SUFFIXES = {
    CsvOptions: ".csv",
    ParquetOptions: ".parquet",
    JsonOptions: ".json",
    ROIOptions: ".roi.zip",
    TiffStackOptions: ".tif",
    TextOptions: ".txt",
}


@pytest.mark.parametrize("option", SUFFIXES, ids=lambda option: option.__name__)
def test_every_option_needs_no_argument_and_has_the_suffix_of_its_format(option: Any) -> None:
    (made,) = MaterializationSpec(option()).options
    assert (made.filename_suffix, made.source) == (SUFFIXES[option], None)


@pytest.mark.parametrize("option", SUFFIXES, ids=lambda option: option.__name__)
@pytest.mark.parametrize("suffix", ["", "_details", ".xlsx", ".csv.gz", ".zip", None, 3])
def test_a_suffix_that_is_not_of_the_format_is_refused(option: Any, suffix: Any) -> None:
    with pytest.raises(
        MaterializationError, match=rf"{option.__name__}: filename_suffix=.* does not end with \{SUFFIXES[option]}"
    ):
        MaterializationSpec(option(filename_suffix=suffix))


@pytest.mark.parametrize("suffix", ["/x.csv", "_a/b.csv", "\\b.csv", "/../x.csv", "\0.csv"])
def test_a_suffix_with_a_path_in_it_is_refused(suffix: str) -> None:
    with pytest.raises(MaterializationError, match="holds a path"):
        MaterializationSpec(CsvOptions(filename_suffix=suffix))


@pytest.mark.parametrize("suffix", [".tif", ".tiff", ".ome.tif", ".ome.tiff", "_masks.OME.TIF"])
def test_images_may_have_any_suffix_of_tiff(suffix: str) -> None:
    assert MaterializationSpec(TiffStackOptions(filename_suffix=suffix)).options[0].filename_suffix == suffix


@pytest.mark.parametrize("pixels", [-1, 1.5, True, "3", None])
def test_a_smallest_area_that_is_no_number_of_pixels_is_refused(pixels: Any) -> None:
    with pytest.raises(MaterializationError, match=r"ROIOptions: min_area=.*; expected a number of pixels, 0 or more"):
        MaterializationSpec(ROIOptions(min_area=pixels))


def test_no_option_is_refused() -> None:
    with pytest.raises(MaterializationError, match=r"at least one option, such as CsvOptions\(\)"):
        MaterializationSpec()


@pytest.mark.parametrize("option", [print, CsvOptions, ".csv", None, {"filename_suffix": ".csv"}], ids=str)
def test_what_is_no_option_is_refused_with_those_there_are(option: Any) -> None:
    with pytest.raises(
        MaterializationError, match=r"is not a writer option; expected one of CsvOptions\(\), .*TextOptions"
    ):
        MaterializationSpec(option)


def test_two_options_for_one_file_are_refused() -> None:
    for other in (".csv", ".CSV"):
        with pytest.raises(MaterializationError, match=r"same file.*filename_suffix, such as '_details\.csv'"):
            MaterializationSpec(CsvOptions(), CsvOptions(source="rows", filename_suffix=other))


@pytest.mark.parametrize("primary", [-1, 2, True, 1.0, "0", None])
def test_a_primary_that_is_no_option_is_refused(primary: Any) -> None:
    with pytest.raises(MaterializationError, match="names none of the 2 options; expected 0 to 1"):
        MaterializationSpec(CsvOptions(), JsonOptions(), primary=primary)


@pytest.mark.parametrize("source", ["", ".", "a..b", "a.", 3])
def test_a_source_that_is_no_path_is_refused(source: Any) -> None:
    with pytest.raises(MaterializationError, match="expected names with dots between them"):
        MaterializationSpec(JsonOptions(source=source))


@pytest.mark.parametrize("fields", ["area", (), ("area", "area"), ("area", 3), 3], ids=str)
def test_fields_that_are_no_names_are_refused(fields: Any) -> None:
    for option in (CsvOptions, ParquetOptions):
        with pytest.raises(MaterializationError, match=f"{option.__name__}: fields=.*expected different names"):
            MaterializationSpec(option(fields=fields))


def test_fields_may_be_a_list() -> None:
    assert MaterializationSpec(CsvOptions(fields=["b", "a"])) == MaterializationSpec(CsvOptions(fields=("b", "a")))


def test_an_unknown_compression_is_refused() -> None:
    with pytest.raises(MaterializationError, match="unknown compression 'jpeg'; expected one of"):
        MaterializationSpec(TiffStackOptions(compression="jpeg"))


@pytest.mark.parametrize("backends", ["disk", ()], ids=str)
def test_allowed_backends_are_several_names(backends: Any) -> None:
    with pytest.raises(MaterializationError, match=r"expected several names such as \('disk',\)"):
        MaterializationSpec(CsvOptions(), allowed_backends=backends)


def test_a_backend_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(MaterializationError, match=r"no backend 'dics'; known: disk, .*memory.*zarr"):
        MaterializationSpec(CsvOptions(), allowed_backends=["disk", "dics"])
    assert MaterializationSpec(CsvOptions(), allowed_backends=["disk"]).allowed_backends == ("disk",)


def test_a_callable_beside_an_output_is_refused_with_the_spec_to_write_instead() -> None:
    with pytest.raises(PipelineError, match=r'\("counts", MaterializationSpec\(CsvOptions\(\)\)\)'):
        special_outputs(("counts", print))  # type: ignore[arg-type]


# --- source -------------------------------------------------------------------------------------------------------


@dataclass
class Cell:
    area: float


DATA = {"cells": [Cell(1.5), Cell(2.5)], "by": {"0": "first"}}


@pytest.mark.parametrize(
    ("source", "part"), [(None, DATA), ("cells.1.area", 2.5), ("by.0", "first"), ("cells.0", Cell(1.5))]
)
def test_a_source_goes_through_keys_attributes_and_positions(source: str | None, part: Any) -> None:
    assert select(DATA, source) == part


@pytest.mark.parametrize("source", ["cells.2", "cells.x", "cells.-1", "cells.0.volume", "none", "by.0.0"])
def test_a_part_that_is_not_there_is_named(source: str) -> None:
    with pytest.raises(
        MaterializationError, match=rf"source '{source}': a .* has no part '{source.rpartition('.')[2]}'"
    ):
        select(DATA, source)
