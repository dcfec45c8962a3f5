"""The pipelines and special outputs of the architecture document, as it spells them (with this project's imports)."""

import numpy as np
import pytest
from skimage.morphology import disk

from wellfield.errors import PipelineError
from wellfield.materialization import CsvOptions, JsonOptions, MaterializationSpec, ROIOptions
from wellfield.pipeline import FunctionStep, run_pipeline, special_inputs, special_outputs

IMAGE = np.random.default_rng(3).poisson(50, (2, 60, 70)).astype(np.uint16)
IMAGE[:, 20:32, 30:42] += 900


def test_the_pipeline_with_a_threshold_runs_as_spelled():
    pipeline = [
        FunctionStep(func="gaussian_filter", sigma=2.0),
        FunctionStep(func="threshold_otsu"),
        FunctionStep(func="binary_opening", footprint=disk(3)),
    ]
    opened = run_pipeline(pipeline, IMAGE).images["binary_opening"][1]
    assert opened.dtype == bool
    assert opened[:, 26, 36].all()
    assert not opened[:, 5, 5].any()


def test_the_pipeline_without_a_threshold_names_it():
    pipeline = [
        FunctionStep(func="gaussian_filter", sigma=2.0),
        FunctionStep(func="binary_opening", footprint=disk(3)),
        FunctionStep(func="label", connectivity=2),
    ]
    with pytest.raises(PipelineError, match=r"step 2 \(binary_opening\): binary_opening takes mask.*threshold_otsu"):
        run_pipeline(pipeline, IMAGE)
    pipeline.insert(1, FunctionStep(func="threshold_otsu"))
    labels = run_pipeline(pipeline, IMAGE).images["label"][1]
    assert labels.max() == 1


def test_special_outputs_in_memory_only():
    @special_outputs("positions", "metadata")
    def generate_positions(image_stack):
        return image_stack, [(0, 0), (5, 5)], {"grid": (1, 2)}

    @special_inputs("positions", "metadata")
    def place(image_stack, *, positions, metadata):
        assert (positions, metadata) == ([(0, 0), (5, 5)], {"grid": (1, 2)})
        return image_stack

    result = run_pipeline([FunctionStep(generate_positions), FunctionStep(place)], IMAGE)
    assert result.outputs == {"positions": [(0, 0), (5, 5)], "metadata": {"grid": (1, 2)}}


def test_special_outputs_with_specs():
    @special_outputs(
        ("cell_counts", MaterializationSpec(CsvOptions(filename_suffix="_details.csv"))),
        ("masks", MaterializationSpec(ROIOptions())),
    )
    def count_cells_with_materialization(image_stack):
        masks = (image_stack > 500).astype(np.int32)
        return image_stack, {"Count": [int(masks.max())]}, masks

    result = run_pipeline([FunctionStep(count_cells_with_materialization)], IMAGE)
    assert result.outputs["cell_counts"] == {"Count": [1]}
    np.testing.assert_array_equal(result.outputs["masks"], IMAGE > 500)


def test_special_outputs_of_both_sorts():
    @special_outputs("debug_info", ("analysis_results", MaterializationSpec(CsvOptions(filename_suffix=".csv"))))
    def analyze_with_mixed_outputs(image_stack):
        return image_stack, {"steps": 3}, [{"mean": float(image_stack.mean())}]

    outputs = run_pipeline([FunctionStep(analyze_with_mixed_outputs)], IMAGE).outputs
    assert outputs == {"debug_info": {"steps": 3}, "analysis_results": [{"mean": IMAGE.mean()}]}


def test_a_summary_in_json_and_details_in_csv():
    spec = MaterializationSpec(
        JsonOptions(source="summary", filename_suffix=".json"),
        CsvOptions(source="details", filename_suffix="_details.csv"),
        primary=0,
    )
    assert [option.source for option in spec.options] == ["summary", "details"]


def test_a_function_instead_of_a_spec_is_refused():
    def materialize_cell_counts(data, path, filemanager):
        return path

    with pytest.raises(PipelineError, match=r"'cell_counts' is paired with .*MaterializationSpec"):
        special_outputs(("cell_counts", materialize_cell_counts))
