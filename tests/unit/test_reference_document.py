"""Every code example of the architecture document, in order, spelled as there but for the import root and root folder.

The document has lost its line breaks. They are put back here; where the document is at hand, a test compares the two.
"""

from __future__ import annotations

import abc
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import pytest
from skimage.morphology import disk

from tests.libraries import need
from wellfield import memory, pipeline, storage
from wellfield.errors import PipelineError, StorageError
from wellfield.formats.tiff import write_tiff
from wellfield.microscopes import MicroscopeHandler
from wellfield.pipeline import run_pipeline
from wellfield.storage import Backend, FileManager, VirtualWorkspaceBackend, create_storage_registry

ROOTS = {
    "openhcs.core.memory": "wellfield.memory",
    "openhcs.core.pipeline.function_contracts": "wellfield.pipeline",
    "openhcs.processing.materialization": "wellfield.materialization",
    "polystore.backend_registry": "wellfield.storage",
    "polystore": "wellfield.storage",
}

BLOCKS = [
    r"""
# Same API regardless of where data is stored
filemanager.save(data, "path/to/data", Backend.MEMORY)
filemanager.save(data, "path/to/data", Backend.DISK)
filemanager.save(data, "path/to/data", Backend.ZARR)
# Load from any backend
data = filemanager.load("path/to/data", Backend.MEMORY)
data = filemanager.load("path/to/data", Backend.DISK)
""",
    r'''
# Base interface for all data destinations
class DataSink(ABC):
    """Minimal interface for sending data to any destination."""
    @abstractmethod
    def save(self, data: Any, identifier: Union[str, Path], **kwargs) -> None:
        """Send data to the destination."""
        pass
    @abstractmethod
    def save_batch(self, data_list: List[Any], identifiers: List[Union[str, Path]], **kwargs) -> None:
        """Send multiple data objects in a single operation."""
        pass
# Backends with real filesystems (disk, memory, zarr)
class StorageBackend(DataSink):
    """Persistent storage with file-like semantics and retrieval capabilities."""
    @abstractmethod
    def load(self, file_path: Union[str, Path], **kwargs) -> Any:
        """Load data from storage."""
        pass
# Backends without real filesystems (OMERO, cloud storage)
class VirtualBackend(DataSink):
    """Virtual filesystem semantics - generates file listings on-demand."""
    @abstractmethod
    def list_files(self, directory: str, **kwargs) -> List[str]:
        """Generate file list from metadata (not real filesystem)."""
        pass
    @abstractmethod
    def generate_filename(self, metadata: Dict, **kwargs) -> str:
        """Generate filename from metadata."""
        pass
''',
    r"""
# Metadata-based mapping (stored in openhcs_metadata.json)
{
    "workspace_mapping": {
        "images/A01_s001_w1_z001_t001.tif": "TimePoint_1/ZStep_1/A01_s001_w1.tif",
        "images/A01_s001_w1_z001_t002.tif": "TimePoint_2/ZStep_1/A01_s001_w1.tif"
    }
}
# VirtualWorkspaceBackend translates paths on-the-fly
backend.load("images/A01_s001_w1_z001_t001.tif")
# → Actually loads "TimePoint_1/ZStep_1/A01_s001_w1.tif"
""",
    r'''
def _build_virtual_mapping(self, plate_path: Path, filemanager: FileManager) -> Path:
    """Build virtual workspace mapping for nested folder structures."""
    workspace_mapping = {}
    # Scan for TimePoint/ZStep folders and build mappings
    for subdir in subdirs:
        self._flatten_timepoints(subdir, filemanager, workspace_mapping, plate_path)
        self._flatten_zsteps(subdir, filemanager, workspace_mapping, plate_path)
    # Save mapping to metadata
    metadata_writer.update_metadata( plate_path, {"workspace_mapping": workspace_mapping} )
    return plate_path
''',
    r"""
{ "subdirectories": {
    ".": {
        "workspace_mapping": {...},
        "available_backends": {"disk": true, "virtual_workspace": true},
        "main": false
    },
    "zarr": {
        "image_files": [...],
        "available_backends": {"zarr": true},
        "main": true
    }
} }
""",
    r"""
# Conceptual example - not actual OpenHCS API
# Step 1: Load TIFF → process with CuPy function
# System converts numpy → cupy automatically
# Step 2: Process with PyTorch function
# System converts cupy → torch automatically
# Step 3: Process with NumPy function → save to disk
# System converts torch → numpy automatically
""",
    r"""
# Actual OpenHCS FunctionStep API
pipeline = [
    FunctionStep(func="gaussian_filter", sigma=2.0),
    # CuPy function
    FunctionStep(func="threshold_otsu"),
    # scikit-image function
    FunctionStep(func="binary_opening", footprint=disk(3))
    # CuPy function
]
""",
    r'''
from openhcs.core.memory.decorators import numpy, cupy, torch, jax, pyclesperanto
@numpy
def process_cpu(image_stack):
    """CPU processing with NumPy arrays."""
    import numpy as np
    return np.median(image_stack, axis=0, keepdims=True)
@cupy
def process_gpu_cupy(image_stack):
    """GPU processing with CuPy arrays."""
    import cupy as cp
    return cp.median(image_stack, axis=0, keepdims=True)
@torch(oom_recovery=True)
def process_gpu_torch(image_stack):
    """GPU processing with PyTorch tensors and automatic OOM recovery."""
    import torch
    return torch.median(image_stack, dim=0, keepdim=True)[0]
@pyclesperanto(oom_recovery=True)
def process_gpu_opencl(image_stack):
    """GPU processing with pyclesperanto OpenCL arrays."""
    import pyclesperanto_prototype as cle
    return cle.median_sphere(image_stack, radius_x=1, radius_y=1, radius_z=0)
''',
    r'''
from openhcs.core.memory.decorators import memory_types
# Mixed input/output types
@memory_types(input_type="numpy", output_type="torch")
def neural_network_inference(image_stack):
    """Convert NumPy input to PyTorch for GPU inference."""
    import torch
    # Function receives NumPy array, returns PyTorch tensor
    model = torch.load('model.pt')
    return model(image_stack)
# Explicit type specification with custom settings
@torch(input_type="torch", output_type="torch", oom_recovery=True)
def memory_intensive_operation(image_stack):
    """GPU operation with automatic OOM recovery."""
    # Automatic GPU memory management and thread-local CUDA streams
    return torch.nn.functional.conv3d(image_stack, kernel)
''',
    r"""
# Conceptual example of stack/unstack operations
# Convert list of 2D images to 3D array with specified memory type
stack_3d = stack_slices(
    slices=[img1_2d, img2_2d, img3_2d],
    # List of 2D arrays (any memory type)
    memory_type="torch",
    # Target memory type
    gpu_id=0
    # GPU device ID
)
# Returns: torch.Tensor of shape [3, Y, X] on GPU 0
# Convert 3D array back to list of 2D slices
slices_2d = unstack_slices(
    array=stack_3d, # 3D array (any memory type)
    memory_type="numpy",
    # Target memory type for output slices
    gpu_id=0
    # GPU device ID
)
""",
    r'''
# Zero-copy conversions (preferred)
def _cupy_to_torch_dlpack(data, device_id=None):
    """Convert CuPy to PyTorch using DLPack (zero-copy)."""
    import torch
    dlpack = data.toDlpack()
    return torch.from_dlpack(dlpack)
def _torch_to_cupy_dlpack(data, device_id=None):
    """Convert PyTorch to CuPy using DLPack (zero-copy)."""
    import cupy as cp
    dlpack = data.__dlpack__()
    return cp.fromDlpack(dlpack)
# CUDA Array Interface conversions
def _cupy_to_pyclesperanto_cuda(data, device_id=None):
    """Convert CuPy to pyclesperanto using CUDA Array Interface."""
    import pyclesperanto_prototype as cle
    cle.select_device(device_id or 0)
    return cle.asarray(data)
    # Uses __cuda_array_interface__
''',
    r'''
class MemoryConversionError(Exception):
    """Raised when memory type conversion fails."""
    def __init__(self, source_type: str, target_type: str, method: str, reason: str):
        self.source_type = source_type
        self.target_type = target_type
        self.method = method
        self.reason = reason
        super().__init__(f"Failed to convert {source_type} → {target_type} via {method}: {reason}")
''',
    r'''
def cleanup_gpu_memory_by_framework(memory_type: str, device_id: Optional[int] = None):
    """Clean up GPU memory based on OpenHCS memory type."""
    if memory_type == "torch":
        cleanup_pytorch_gpu(device_id)
    elif memory_type == "cupy":
        cleanup_cupy_gpu(device_id)
    elif memory_type == "pyclesperanto":
        cleanup_pyclesperanto_gpu(device_id)
    # ... other frameworks
def cleanup_all_gpu_frameworks(device_id: Optional[int] = None):
    """Comprehensive GPU cleanup for all frameworks."""
    cleanup_pytorch_gpu(device_id)
    cleanup_cupy_gpu(device_id)
    cleanup_tensorflow_gpu(device_id)
    cleanup_jax_gpu(device_id)
    cleanup_pyclesperanto_gpu(device_id)
''',
    r'''
from openhcs.core.pipeline.function_contracts import special_outputs, special_inputs
@special_outputs("positions", "metadata")
def generate_positions(image_stack):
    """Function that produces special outputs stored in memory."""
    positions = calculate_positions(image_stack)
    metadata = extract_metadata(image_stack)
    # Return: (main_output, special_output_1, special_output_2, ...)
    return processed_image, positions, metadata
''',
    r'''
from openhcs.processing.materialization import MaterializationSpec, CsvOptions, ROIOptions
@special_outputs(
    ("cell_counts", MaterializationSpec(CsvOptions(filename_suffix="_details.csv"))),
    ("masks", MaterializationSpec(ROIOptions()))
)
def count_cells_with_materialization(image_stack):
    """Function with materialized special outputs."""
    processed_image, cell_counts, segmentation_masks = analyze_cells(image_stack)
    # cell_counts and masks are automatically materialized to disk
    return processed_image, cell_counts, segmentation_masks
''',
    r'''
from openhcs.processing.materialization import MaterializationSpec, CsvOptions
@special_outputs("debug_info", ("analysis_results", MaterializationSpec(CsvOptions(filename_suffix=".csv"))))
def analyze_with_mixed_outputs(image_stack):
    """Function with both memory-only and materialized outputs."""
    # debug_info stays in memory, analysis_results gets materialized
    return processed_image, debug_info, analysis_results
''',
    r"""
from openhcs.processing.materialization import MaterializationSpec, CsvOptions, JsonOptions
# JSON summary + CSV details, JSON is primary
spec = MaterializationSpec(
    JsonOptions(source="summary", filename_suffix=".json"),
    CsvOptions(source="details", filename_suffix="_details.csv"),
    primary=0,
)
""",
    r"""
# During pipeline execution:
# 1. Function executes
@special_outputs(("cell_counts", materialize_cell_counts))
def count_cells(image_stack):
    return processed_image, cell_count_results
""",
    r"""
# Actual OpenHCS FunctionStep API
pipeline = [
    # Step 1: Load from disk → process → store in memory
    FunctionStep(func="gaussian_filter", sigma=2.0),
    # Step 2: Load from memory → GPU processing → store in memory
    FunctionStep(func="binary_opening", footprint=disk(3)),
    # Step 3: Load from memory → process → materialize to disk/zarr
    FunctionStep(func="label", connectivity=2)
]
""",
    r"""
# Batch loading for performance
file_paths = ["/memory/image_001.pkl", "/memory/image_002.pkl", "/memory/image_003.pkl"]
batch_data = filemanager.load_batch(file_paths, Backend.MEMORY.value)
# Batch saving with backend-specific optimizations
image_arrays = [array1, array2, array3]
output_paths = ["/zarr/output_001", "/zarr/output_002", "/zarr/output_003"]
filemanager.save_batch(image_arrays, output_paths, Backend.ZARR.value, chunk_name="well_A01", zarr_config=zarr_config)
""",
    r"""
# List files with natural sorting (handles numeric sequences correctly)
image_files = filemanager.list_image_files("/disk/plate/", Backend.DISK.value,
    extensions=['.tif', '.tiff'], recursive=True)
# Returns: ['image_001.tif', 'image_002.tif', ..., 'image_010.tif'] (not lexicographic)
# Directory listing with metadata
entries = filemanager.list_dir("/memory/step_outputs/", Backend.MEMORY.value)
# Directory mirroring with symlinks
filemanager.mirror_directory("/disk/source/", "/disk/target/", Backend.DISK.value, overwrite_symlinks_only=True)
""",
    r"""
# Atomic file operations
filemanager.move("/disk/temp/file.tif", "/disk/final/file.tif", Backend.DISK.value, replace_symlinks=False)
# Directory creation with backend validation
filemanager.ensure_directory("/zarr/new_experiment/", Backend.ZARR.value)
# File existence checking across backends
exists = filemanager.exists("/memory/intermediate_result.pkl", Backend.MEMORY.value)
""",
    r'''
# Backends are automatically registered when their classes are defined
from polystore.backend_registry import StorageBackendMeta, STORAGE_BACKENDS, create_storage_registry
from polystore.base import DataSink
# Example backend with automatic registration
class DiskStorageBackend(StorageBackend, metaclass=StorageBackendMeta):
    """Disk storage backend with automatic metaclass registration."""
    # Backend type from enum for registration
    _backend_type = Backend.DISK.value
    def __init__(self):
        # Backend initialization
        pass
# The metaclass automatically registers the backend in STORAGE_BACKENDS
# STORAGE_BACKENDS: Dict[str, Type[DataSink]] = {}
# Populated by metaclass
# Create registry with all discovered backends
def create_storage_registry() -> Dict[str, DataSink]:
    """
    Create storage registry with all registered backends.
    Returns: Dictionary mapping backend types to instances
    """
    # Ensure all backends are discovered
    discover_all_backends()
    registry = {}
    for backend_type in STORAGE_BACKENDS.keys():
        registry[backend_type] = get_backend_instance(backend_type)
    return registry
# Global singleton storage registry
from polystore.base import storage_registry
# Created at module import
''',
    r'''
# openhcs/io/__init__.py
def __getattr__(name: str):
    """Lazy import for GPU-heavy backends."""
    if name in ['zarr', 'napari_stream', 'fiji_stream']:
        # Return the class without importing the module
        # Module import happens later during discover_all_backends()
        return getattr(sys.modules[__name__], name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
''',
    r"""
import os
# Check if we're in subprocess runner mode
if os.getenv('OPENHCS_SUBPROCESS_NO_GPU') == '1':
    # Subprocess runner mode - only import essential backends
    from polystore import disk, memory
    # Skips: zarr, napari_stream, fiji_stream (avoid GPU library imports)
else:
    # Normal mode - discover all backends (including GPU-heavy ones)
    from polystore.backend_registry import discover_all_backends
    discover_all_backends()
""",
    r"""
zarr_config = ZarrConfig(
    chunk_strategy=ZarrChunkStrategy.WELL, compressor=ZarrCompressor.ZSTD, compression_level=1
)
""",
    r"""
zarr_config = ZarrConfig(
    chunk_strategy=ZarrChunkStrategy.FILE, compressor=ZarrCompressor.ZSTD, compression_level=1
)
""",
    r"""
/plate_openhcs/images/
├── .zgroup
# Root group metadata
├── .zattrs
# Plate-level OME-ZARR metadata
├── A/
# Row A
│ ├── 01/
# Column 01 (well A01)
""",
]

# Not run as Python, with the reason; what takes their place is checked here or elsewhere.
NOT_RUN = {
    2: "JSON and a call in one: both are tried by their own function",
    3: "a part of a class, over folders that it does not name; our handlers have the function",
    4: "JSON with '...' in it, tried with values in their place",
    10: "toDlpack and fromDlpack are deprecated: SPEC, where this differs; tests/unit/memory tries our conversions",
    12: "ends with '... other frameworks'; ours are called instead",
    17: "a function in the place of a MaterializationSpec, which the document replaced by specs; it is refused",
    23: "the other project's own lazy import; ours is tried in test_registry",
    27: "a drawing of Zarr v2 folders; SPEC: Zarr v3 and NGFF 0.5, tried in test_zarr_strategies",
}

IMAGE = np.random.default_rng(3).poisson(50, (2, 60, 70)).astype(np.uint16)
IMAGE[:, 20:32, 30:42] += 900

Names = dict[str, Any]


def own_imports(code: str) -> str:
    """Return code with our import root, and with paths below the working folder."""
    for theirs, ours in ROOTS.items():
        code = re.sub(rf"(?m)^(\s*from ){re.escape(theirs)}\b", rf"\g<1>{ours}", code)
    return re.sub('"/(disk|memory|zarr)/', r'"\1/', code)  # no test writes into the root folder


def with_values(names: Names, number: int) -> None:
    """Put into *names* what a block takes for given."""
    manager: FileManager = names["filemanager"]
    if number == 19:
        manager.save_batch([1, 2, 3], [f"memory/image_00{n}.pkl" for n in (1, 2, 3)], "memory")
        names |= {f"array{n}": IMAGE[0] + n for n in (1, 2, 3)}
    elif number == 20:
        for name in ("image_010.tif", "image_002.tif", "sub/image_001.tif", "notes.txt"):
            write_tiff(Path("disk/plate", name), IMAGE[0])
        manager.save(1, "memory/step_outputs/a", "memory")
        write_tiff(Path("disk/source/deep/a.tif"), IMAGE[0])
    elif number == 21:
        write_tiff(Path("disk/temp/file.tif"), IMAGE[0])


# --- what each block must have done -----------------------------------------------------------------------------------


def one_path_in_three_backends(names: Names) -> None:
    for backend in ("memory", "disk", "zarr"):
        np.testing.assert_array_equal(names["filemanager"].load("path/to/data", backend), IMAGE)


def the_classes_have_these_methods(names: Names) -> None:
    for cls in ("DataSink", "StorageBackend", "VirtualBackend"):
        ours = getattr(storage, cls)
        for method in names[cls].__abstractmethods__:
            code, expected = getattr(ours, method).__code__, getattr(names[cls], method).__code__
            assert code.co_varnames[: expected.co_argcount] == expected.co_varnames[: expected.co_argcount]
        names[cls] = ours


def the_flat_form_is_a_plate(names: Names) -> None:
    source = BLOCKS[2].partition("# Metadata-based mapping (stored in openhcs_metadata.json)")[2]
    content = json.loads(source.partition("#")[0])
    for timepoint in (1, 2):
        write_tiff(Path(f"flat/TimePoint_{timepoint}/ZStep_1/A01_s001_w1.tif"), IMAGE[0] + timepoint)
    Path("flat/openhcs_metadata.json").write_text(json.dumps(content))
    (call,) = re.findall(r"^backend\.load.*$", source, re.MULTILINE)
    loaded = eval(call, {"backend": VirtualWorkspaceBackend("flat")})
    np.testing.assert_array_equal(loaded, IMAGE[0] + 1)
    assert MicroscopeHandler.get_primary_backend("flat") is Backend.VIRTUAL_WORKSPACE
    assert MicroscopeHandler.get_image_files("flat") == list(content["workspace_mapping"])


def a_handler_builds_the_mapping(names: Names) -> None:
    assert callable(MicroscopeHandler._build_virtual_mapping)


def the_main_subdirectory_decides(names: Names) -> None:
    content = BLOCKS[4].replace("{...}", '{"a.tif": "b.tif"}').replace("[...]", '["zarr/a.tif"]')
    Path("nested").mkdir()
    Path("nested/openhcs_metadata.json").write_text(content)
    assert MicroscopeHandler.get_primary_backend("nested") is Backend.ZARR
    assert MicroscopeHandler.get_image_files("nested") == ["zarr/a.tif"]


def the_pipeline_runs(names: Names) -> None:
    opened = run_pipeline(names["pipeline"], IMAGE).images["binary_opening"][1]
    assert opened[:, 26, 36].all()
    assert not opened[:, 5, 5].any()


def the_pipeline_lacks_a_threshold(names: Names) -> None:
    with pytest.raises(PipelineError, match="threshold_otsu"):
        run_pipeline(names["pipeline"], IMAGE)


def decorated_functions_run(names: Names) -> None:
    expected = np.median(IMAGE, axis=0, keepdims=True)
    np.testing.assert_array_equal(names["process_cpu"](IMAGE), expected)
    lower = np.sort(IMAGE, axis=0)[:1].astype("f4")  # torch takes the lower of two middle values
    np.testing.assert_array_equal(memory.to_numpy(names["process_gpu_torch"](IMAGE.astype("f4"))), lower)


def slices_come_back(names: Names) -> None:
    for plane, index in zip(names["slices_2d"], range(3), strict=True):
        np.testing.assert_array_equal(plane, names[f"img{index + 1}_2d"])


def the_error_is_the_same(names: Names) -> None:
    classes = names["MemoryConversionError"], memory.MemoryConversionError
    theirs, ours = (cls("numpy", "torch", "dlpack", "why") for cls in classes)
    assert (str(theirs), vars(theirs)) == (str(ours), vars(ours))


def cleanup_runs(names: Names) -> None:
    for name in set(re.findall(r"cleanup_\w+", BLOCKS[12])) - {"cleanup_gpu_memory_by_framework"}:
        getattr(memory, name)(None)
    memory.cleanup_gpu_memory_by_framework("numpy", None)


def outputs_come_out(function: str, *expected: str) -> Callable[[Names], None]:
    def check(names: Names) -> None:
        outputs = run_pipeline([pipeline.FunctionStep(names[function])], IMAGE).outputs
        assert list(outputs) == list(expected)

    return check


def a_spec_has_two_options(names: Names) -> None:
    assert [option.source for option in names["spec"].options] == ["summary", "details"]


def a_function_is_no_spec(names: Names) -> None:
    with pytest.raises(PipelineError, match="MaterializationSpec"):
        exec(BLOCKS[17], {**names, "materialize_cell_counts": lambda data, path, filemanager: path})


def batches_are_there(names: Names) -> None:
    assert names["batch_data"] == [1, 2, 3]
    for path, plane in zip(names["output_paths"], names["image_arrays"], strict=True):
        np.testing.assert_array_equal(names["filemanager"].load(path, "zarr"), plane)


def folders_are_listed_and_mirrored(names: Names) -> None:
    assert [Path(path).name for path in names["image_files"]] == ["image_002.tif", "image_010.tif", "image_001.tif"]
    assert names["entries"] == ["a"]
    assert Path("disk/target/deep/a.tif").is_symlink()


def the_file_is_moved(names: Names) -> None:
    assert (Path("disk/final/file.tif").exists(), Path("disk/temp/file.tif").exists()) == (True, False)
    assert Path("zarr/new_experiment").is_dir()
    assert names["exists"] is False


CHECKS: Mapping[int, Callable[[Names], None]] = {
    0: one_path_in_three_backends,
    1: the_classes_have_these_methods,
    2: the_flat_form_is_a_plate,
    3: a_handler_builds_the_mapping,
    4: the_main_subdirectory_decides,
    6: the_pipeline_runs,
    7: decorated_functions_run,
    9: slices_come_back,
    11: the_error_is_the_same,
    12: cleanup_runs,
    13: outputs_come_out("generate_positions", "positions", "metadata"),
    14: outputs_come_out("count_cells_with_materialization", "cell_counts", "masks"),
    15: outputs_come_out("analyze_with_mixed_outputs", "debug_info", "analysis_results"),
    16: a_spec_has_two_options,
    17: a_function_is_no_spec,
    18: the_pipeline_lacks_a_threshold,
    19: batches_are_there,
    20: folders_are_listed_and_mirrored,
    21: the_file_is_moved,
}

# What blocks raise as spelled, and rightly: no GPU is there, and one name for two backends is an error (SPEC V3).
RAISES: Mapping[int, tuple[type[Exception], str]] = {
    9: (memory.MemoryConversionError, "torch sees 0 CUDA devices"),
    22: (StorageError, "two storage backends are named 'disk'"),
}


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Names:
    """Return what the blocks may name, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    given: Names = {name: getattr(storage, name) for name in storage.__all__}
    given |= {name: getattr(memory, name) for name in ("stack_slices", "unstack_slices")}
    given |= {"ABC": abc.ABC, "abstractmethod": abc.abstractmethod, "Any": Any, "Dict": dict, "List": list}
    given |= {"Optional": Optional, "Union": Union, "Path": Path, "FunctionStep": pipeline.FunctionStep, "disk": disk}
    given |= {f"img{number}_2d": IMAGE[0] + number for number in (1, 2, 3)}
    mask = (IMAGE > 500).astype(np.int32)
    return given | {
        "__name__": "reference",
        "filemanager": FileManager(create_storage_registry()),
        "data": IMAGE,
        "processed_image": IMAGE,
        "calculate_positions": lambda image: [(0, 0)],
        "extract_metadata": lambda image: {"grid": (1, 1)},
        "analyze_cells": lambda image: (image, {"Count": [int(mask.max())]}, mask),
        "debug_info": {"steps": 3},
        "analysis_results": [{"mean": 1.5}],
    }


def test_every_block_runs_in_order(names: Names) -> None:
    need("torch")
    names["zarr_config"] = storage.ZarrConfig()  # block 19 uses what block 25 makes
    no_gpu = not _has_gpu()
    for number, block in enumerate(BLOCKS):
        if number not in NOT_RUN:
            with_values(names, number)
            code = compile(own_imports(block), f"block {number} of the document", "exec")
            if number in RAISES and (number != 9 or no_gpu):
                error, message = RAISES[number]
                with pytest.raises(error, match=message):
                    exec(code, names)
                continue
            exec(code, names)
        if number in CHECKS:
            CHECKS[number](names)


def test_the_blocks_are_all_those_of_the_document(reference_document: str) -> None:
    """Nothing is left out, and nothing is changed but spaces and line breaks."""
    found = re.split(r"\.\. code(?:-block)?:: \w+", reference_document)[1:]
    assert len(found) == len(BLOCKS)
    for number, (text, block) in enumerate(zip(found, BLOCKS, strict=True)):
        assert _packed(text).startswith(_packed(block)), f"block {number} is spelled otherwise"


def _packed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
