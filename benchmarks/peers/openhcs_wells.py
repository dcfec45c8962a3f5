"""OpenHCS counts nuclei in a whole ImageXpress plate, headless, from raw files to stored results.

``python openhcs_wells.py PLATE_FOLDER OUTPUT_FOLDER WORKERS [disk|zarr]``; the last line is a JSON object, well →
number of objects. The HTD of the plate needs a ``PixelSizeUM`` line (docs/explanation/openhcs.md). OpenHCS writes its
mapping into the plate folder, and below ``OUTPUT_FOLDER/<plate>_openhcs``:

``projections``
    The maximum over z of all channels.
``labels``
    The nuclei of channel 1, int32, under the name of channel 1.
``labels_results``
    A CSV of the objects with their intensities in all channels. OpenHCS has one table a field where others have one a
    well: a function that sees all channels at once is called field by field.

The settings are those that cost least: intermediate images in memory; no summary of all tables; no image written twice
(both kinds of images are checkpoints of their steps, and what a pipeline writes without being asked is left out);
warnings logged and nothing else. ``disk`` is OpenHCS's default, TIFF without compression; ``zarr`` has zstd at level 1
and a plane a chunk. With OpenHCS 0.8.6 ``zarr`` is for one worker: it reads the metadata of all wells after each step
of each well, which takes longer the more wells there are, and fails when another worker is amid a well ("declares
missing image groups").

Wells are shared out beforehand, in turn, to worker processes, which are forked: OpenHCS's default, ``spawn``, imports
everything again in each. With one worker everything runs in this process. A worker goes through all fields of a well
step by step, so that it holds the planes of the well; OpenHCS 0.8.6 has a mode that goes field by field
(``SequentialProcessingConfig``), but it fails before the first well ("worker_assignments mismatch").
"""

from __future__ import annotations

import csv
import json
import logging
import multiprocessing
import os
import sys
import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ["OPENHCS_CPU_ONLY"] = "1"

import counting
import numpy as np
from objectstate.lazy_factory import ensure_global_config_context
from openhcs.constants.constants import GroupBy, Microscope, VariableComponents
from openhcs.core.config import (
    AnalysisConsolidationConfig,
    GlobalPipelineConfig,
    LazyProcessingConfig,
    LazyStepMaterializationConfig,
    MaterializationBackend,
    MultiprocessingStartMethod,
    PathPlanningConfig,
    VFSConfig,
    ZarrChunkStrategy,
    ZarrCompressor,
    ZarrConfig,
)
from openhcs.core.memory import numpy as numpy_function
from openhcs.core.orchestrator.orchestrator import PipelineOrchestrator
from openhcs.core.pipeline.function_contracts import special_outputs
from openhcs.core.progress import set_progress_queue
from openhcs.core.steps.function_step import FunctionStep
from openhcs.processing.backends.lib_registry.unified_registry import ProcessingContract
from openhcs.processing.materialization import CsvOptions, MaterializationSpec

START = MultiprocessingStartMethod.FORK


@numpy_function(contract=ProcessingContract.VOLUMETRIC_TO_SLICE)
def project(stack: np.ndarray) -> np.ndarray:
    return counting.project(stack)[0]


@numpy_function(contract=ProcessingContract.VOLUMETRIC_TO_SLICE)
@special_outputs(("objects", MaterializationSpec(CsvOptions(filename_suffix=".csv"))))
def count(channels: np.ndarray) -> tuple[np.ndarray, list[dict[str, float]]]:
    labels = counting.segment(channels[:1])
    table = counting.measure(labels, channels)
    rows = zip(*(column.tolist() for column in table.values()), strict=True)
    return labels[0], [dict(zip(table, row, strict=True)) for row in rows]


STEPS = (
    (project, VariableComponents.Z_INDEX, "projections"),
    (count, VariableComponents.CHANNEL, "labels"),
)


def run(plate: Path, output: Path, workers: int, store: MaterializationBackend) -> None:
    """Run the pipeline on all wells.

    Raises
    ------
    RuntimeError
        A well failed.
    """
    config = GlobalPipelineConfig(
        num_workers=workers,
        microscope=Microscope.IMAGEXPRESS,
        use_threading=False,
        multiprocessing_start_method=START,
        vfs_config=VFSConfig(materialization_backend=store),
        zarr_config=ZarrConfig(
            compressor=ZarrCompressor.ZSTD, compression_level=1, chunk_strategy=ZarrChunkStrategy.FILE
        ),
        path_planning_config=PathPlanningConfig(global_output_folder=output, well_filter=0),
        analysis_consolidation_config=AnalysisConsolidationConfig(enabled=False),
    )
    ensure_global_config_context(GlobalPipelineConfig, config)
    steps = [
        FunctionStep(
            func=function,
            name=folder,
            processing_config=LazyProcessingConfig(variable_components=[axis], group_by=GroupBy.NONE),
            step_materialization_config=LazyStepMaterializationConfig(enabled=True, sub_dir=folder),
        )
        for function, axis, folder in STEPS
    ]
    orchestrator = PipelineOrchestrator(plate).initialize()
    with progress() as queue:
        results = orchestrator.execute_compiled_plate(
            orchestrator.compile_pipelines(steps),
            progress_queue=queue,
            progress_context={"execution_id": "benchmark", "plate_id": str(plate), "axis_id": ""},
        )
    failed = {well: result.error_message for well, result in results.items() if not result.is_success()}
    if failed or not results:
        raise RuntimeError(f"OpenHCS failed: {failed or 'no wells'}")


@contextmanager
def progress() -> Iterator[Any]:
    """Give OpenHCS the queue that it insists on; nobody looks at what it says."""
    queue = multiprocessing.get_context(START.value).Queue()
    listener = threading.Thread(target=lambda: deque(iter(queue.get, None), maxlen=0), daemon=True)
    listener.start()
    set_progress_queue(queue)
    try:
        yield queue
    finally:
        set_progress_queue(None)
        queue.put(None)
        listener.join()


def counts(results: Path) -> dict[str, int]:
    """Return the number of objects in each well, from the tables that OpenHCS wrote."""
    found: Counter[str] = Counter()
    for path in sorted(results.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            found[path.name.partition("_")[0]] += sum(1 for _ in csv.DictReader(file))
    return dict(found)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("ome_zarr").setLevel(logging.ERROR)  # it warns of the version of what OpenHCS asks it to read
    plate, output = (Path(argument).resolve() for argument in sys.argv[1:3])
    (plate / "openhcs_metadata.json").unlink(missing_ok=True)  # else an earlier run's mapping is read, not the folder
    run(plate, output, int(sys.argv[3]), MaterializationBackend(*sys.argv[4:5] or ["disk"]))
    print(json.dumps(counts(output / f"{plate.name}_openhcs" / "labels_results")))
