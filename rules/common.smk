"""Paths, checked configuration and input functions: the only rule file with definitions."""

import gc
import os
import sys
import time
from functools import cache
from pathlib import Path

# The package beside these rules, even where another one is installed. Not below workflow.basedir, which is the folder
# of the Snakefile that imports this workflow as a module.
LIB = Path(str(workflow.current_basedir)).parent / "lib"
sys.path.insert(0, str(LIB))
# Functions of the user's own: func: my_module:my_function
sys.path.append(str(Path.cwd()))

from snakemake.exceptions import WorkflowError

if not (LIB / "wellfield").is_dir():
    raise WorkflowError(
        f"no folder {LIB}/wellfield: the rules of Wellfield need the whole repository. Clone it, and name its Snakefile "
        "by its path, as in snakefile: /path/to/wellfield/Snakefile."
    )

import wellfield

if not Path(wellfield.__file__).resolve().is_relative_to(LIB.resolve()):
    raise WorkflowError(
        f"these rules need the package wellfield in {LIB}, but {wellfield.__file__} was imported before. Import the "
        "module before anything that imports wellfield."
    )

from wellfield.config.load import load_config, taken_for_configuration
from wellfield.config.plate_sheet import read_plate_sheet
from wellfield.errors import WellfieldError
from wellfield.microscopes.handler_registry import MICROSCOPES
from wellfield.microscopes.scan import scan_plate
from wellfield.pipeline.plane_selection import choose_sources
from wellfield.results.paths import (
    PLATE_RULES,
    STAGING,
    PlateFile,
    WellFile,
    files_of,
    job_benchmark,
    job_log,
)
from wellfield.results.staged_well import remove_broken_stages
from wellfield.plate.index import read_info, read_paths, read_place_digests
from wellfield.plate.platemap import plate_map_digest
from wellfield.formatting import visible
from wellfield.workflow import digests, environments, resources
from wellfield.workflow.ingest_plate import (
    chosen_wells,
    mapping_number,
    plate_map_notes,
    refuse_empty_plate,
)
from wellfield.workflow.refusals import refuse_unsafe
from wellfield.workflow.module_use import add_hooks, find_checkpoint, lead_scripts_to
from wellfield.workflow.run_jobs import force_outputs, is_run
from wellfield.workflow.stale_results import Asked, stale_lines, stale_outputs
from wellfield.workflow.vanished import refuse_lost_manifests, vanished_wells


def stop(error):
    """End this process: nothing has been run yet. Snakemake says no error with --quiet all, and adds lines to others."""
    hints = taken_for_configuration(workflow.overwrite_configfiles)
    print(
        f"error: {visible(error)}",
        *hints,
        "Nothing was run.",
        sep="\n",
        file=sys.stderr,
    )
    raise SystemExit(1)


def give_up(error):
    """Fail while jobs are being chosen, which Snakemake says itself unless it is to be quiet."""
    if "all" in map(str, workflow.output_settings.quiet or ()):
        print(f"error: {visible(error)}", file=sys.stderr)
    raise WorkflowError(visible(error)) from None


lead_scripts_to(LIB)

# Whether another Snakefile imports this one as a module, and the name that it gives to the rule that maps a plate.
IS_MODULE = not workflow.modifier.is_main_snakefile()
INGEST_RULE = workflow.modifier.modify_rulename("ingest_plate")

# What was imported is here to stay, and so are the jobs of a plate and its planes: the collector of cyclic garbage went
# through all of them again and again, for a fifth of the time.
gc.freeze()
gc.set_threshold(50_000)

try:
    CONFIG = load_config(config)
    PLATES = read_plate_sheet(
        CONFIG.plates,
        layouts=CONFIG.layouts,
        # The linter looks at the code: no plate needs to be there. What a job on another machine needs was checked by
        # the process that sent it.
        check_files=workflow.is_main_process and "--lint" not in sys.argv,
    )
    SHEET = Path(CONFIG.plates).read_bytes()
except WellfieldError as error:
    stop(error)

if workflow.modifier.modify_path(CONFIG.results) != CONFIG.results:
    raise WorkflowError(
        "the module of Wellfield has a prefix:, which its results do not follow. Remove it and set the folder by "
        "results: in the configuration."
    )

# Of a run that is under way, or was killed and is not unlocked yet.
LOCKED = any(Path(".snakemake", "locks").glob("*"))

# Neither looks at results, nor writes any.
LOOKS_AT_RESULTS = workflow.is_main_process and not {"--lint", "--unlock"} & set(
    sys.argv
)

# Before anything is written: snakemake --dry-run says it too.
if LOOKS_AT_RESULTS:
    try:
        read = [CONFIG.plates, *map(str, workflow.configfiles)]
        refuse_unsafe(CONFIG.results, PLATES, files=read, scratch=CONFIG.scratch)
    except WellfieldError as error:
        stop(error)

for plate, entry in PLATES.items() if LOOKS_AT_RESULTS else ():
    try:
        # A fresh plate's wells are checked by the job that maps it.
        index = Path(CONFIG.results, plate, PlateFile.INDEX)
        if index.exists():
            info = read_info(index)
            refuse_lost_manifests(index.parent, info, entry.wells)
            gone = vanished_wells(index.parent, info, entry.wells)
            chosen_wells(info, entry.wells, vanished=gone)
            plate_map_notes(entry.plate_map, info, entry.wells, vanished=gone)
        if not LOCKED:
            remove_broken_stages(Path(CONFIG.results, plate, STAGING))
    except WellfieldError as error:
        stop(error)

RESULTS = CONFIG.results
PIPELINE = CONFIG.deciding_results()
PIPELINE_ENVIRONMENT = f"../envs/{environments.pipeline_environment(CONFIG)}.yaml"
FUNCTIONS = digests.function_digest(resources.function_names(CONFIG))
# On a node's own disk a well is staged for a job on the same node.
WELL_GROUP = "well" if CONFIG.scratch else None
# What the hooks know of the run.
RUN = {
    "results": RESULTS,
    "plates": {plate: entry.wells for plate, entry in PLATES.items()},
    "started": time.time(),
    "before": {},
    "sheet": None,
}


# Of all rules that follow, with --sdm apptainer.
container: CONFIG.container


wildcard_constraints:
    plate="|".join(map(re.escape, PLATES)),
    well="[A-Z]{1,2}[0-9]{2}",


def results(*parts):
    return Path(RESULTS, "{plate}", *parts).as_posix()


PLATE_FOLDER = results()


def results_folder(wildcards):
    return PLATE_FOLDER.format(plate=wildcards.plate)


# The fitted illumination, where the pipeline corrects it; a new fit reruns the wells.
ILLUMINATION = (
    results(PlateFile.ILLUMINATION)
    if "correct_illumination" in resources.function_names(CONFIG)
    else []
)


def log_of(rule_name, name):
    return results(job_log(rule_name, name))


def benchmark_of(rule_name, name):
    return results(job_benchmark(rule_name, name))


def outputs_of(rule_name):
    """The files that a rule writes, by name; files of `snakemake --report` with label and caption."""

    def reported(file):
        return report(
            results(file),
            caption=f"../report/{file.caption}",
            category="{plate}",
            labels={"what": file.label},
        )

    return {
        file.output: reported(file) if file.label else results(file)
        for file in files_of(rule_name)
    }


@cache
def plate_scan(plate):
    try:
        return scan_plate(PLATES[plate].folder)
    except WellfieldError as error:
        give_up(error)


def _layout_digest(plate):
    layout = CONFIG.plate_layouts().get(PLATES[plate].microscope)
    return digests.digest_of(str(layout))


def layout_digest(wildcards):
    """Changes when the layout changes that the plate's file names are read by; presets are code."""
    return _layout_digest(wildcards.plate)


def raw_digest(wildcards):
    """Changes when files of the raw plate come or go, or when one of its metadata files changes."""
    if not workflow.is_main_process:
        return "of the main process"
    suffixes = tuple(
        {
            suffix
            for handler in MICROSCOPES.values()
            for suffix in handler.metadata_suffixes
        }
    )
    _refuse_empty(wildcards.plate)
    return plate_scan(wildcards.plate).names_digest(suffixes)


@cache
def _refuse_empty(plate):
    folder, layouts = Path(RESULTS, plate), CONFIG.plate_layouts()
    try:
        refuse_empty_plate(folder, PLATES[plate], plate_scan(plate), layouts=layouts)
    except WellfieldError as error:
        give_up(error)


@cache
def _mapped_again(plate):
    last = Path(RESULTS, plate, PlateFile.INGEST_REPORT)
    try:
        return mapping_number(last, plate_scan(plate).files)
    except WellfieldError as error:
        give_up(error)


def mapped_again(wildcards):
    """Changes once a plate is complete that was mapped while it was still being acquired: its report says so no more."""
    # Of the jobs on other machines only that which maps the plate looks at it.
    of_job = workflow.dag_settings.allowed_rules or ()
    looks = workflow.is_main_process or INGEST_RULE in of_job
    return _mapped_again(wildcards.plate) if looks else None


@cache
def index_path(plate):
    """The index of a plate; waits for the checkpoint. Once it is there, Snakemake is not asked again for every job."""
    ingest = find_checkpoint(
        workflow, checkpoints, "ingest_plate", results("index.parquet")
    )
    return str(ingest.get(plate=plate).output.index)


@cache
def _info(path, mtime_ns):
    return read_info(path)


@cache
def _planes(path, mtime_ns, wells):
    return read_paths(path, wells)


def _from_index(read, plate, *arguments):
    """What *read* returns of the plate's index as it is now."""
    path = index_path(plate)
    try:
        return read(path, os.stat(path).st_mtime_ns, *arguments)
    except WellfieldError as error:
        give_up(error)


def plate_info(wildcards):
    """What holds for the whole plate."""
    return _from_index(_info, wildcards.plate)


def plate_planes(wildcards):
    """The keys and paths of all planes of a plate by well."""
    return _from_index(_planes, wildcards.plate, None)


def well_planes(wildcards):
    """The keys and paths of a well's planes. A job on another machine reads no others."""
    if workflow.is_main_process:
        return plate_planes(wildcards).get(wildcards.well, [])
    well = wildcards.well
    return _from_index(_planes, wildcards.plate, (well,)).get(well, [])


def wells(wildcards):
    """The wells of a plate that are to be processed."""
    info = plate_info(wildcards)
    wanted = PLATES[wildcards.plate].wells
    return chosen_wells(info, wanted, vanished=vanished(wildcards))


def vanished(wildcards):
    """The wells that have results and no raw image any more: their results stay, and the plate's check fails."""
    info = plate_info(wildcards)
    folder = results_folder(wildcards)
    return vanished_wells(folder, info, PLATES[wildcards.plate].wells)


def wanted_wells(wildcards):
    """The wells that the plate sheet names; None where it names none."""
    return PLATES[wildcards.plate].wells


# Outputs to be made again whatever Snakemake's records say; known when this file is read.
STALE = set()


def redo_stale(wildcards):
    """Have outputs that are not of what is asked for made again: an input function without a file.

    Each rule has one, so that they are known whatever the target is.
    """
    force_outputs(workflow, STALE)
    if IS_MODULE:
        add_hooks(workflow, RESULTS, onstart, onsuccess, onerror)
    return []


def well_files(pattern, flag=str):
    """An input function: the file *pattern* of every well, with a flag such as ancient."""

    def files(wildcards):
        redo_stale(wildcards)
        plate = wildcards.plate
        return [
            flag(pattern.format(plate=plate, well=well)) for well in wells(wildcards)
        ]

    return files


def plate_facts(wildcards):
    """What a plan depends on beside the pipeline: channels, sources, calibration."""
    if not workflow.is_main_process:
        return "of the main process"
    info = plate_info(wildcards)
    keys = [key for planes in plate_planes(wildcards).values() for key, _ in planes]
    sources = choose_sources(keys, CONFIG.source)
    facts = [dict(info.channels), info.pixel_size_um, info.z_spacing_um]
    facts += [info.shape, info.dtype, info.field_count, info.stage_y_up]
    facts += [info.label_channels]
    facts += [
        [number, layers.z, layers.projection, layers.timepoints]
        for number, layers in sources.items()
    ]
    return digests.digest_of(facts)


def microscope_profiles(wildcards):
    """Changes when the microscope's own flat fields do, where they are used."""
    if CONFIG.illumination != "microscope":
        return ""
    info = plate_info(wildcards)
    return digests.digest_of([info.flatfields, info.shape, list(info.channels)])


@cache
def _present(plate):
    return digests.present_state(plate_scan(plate).files)


@cache
def _place_digests(path, mtime_ns):
    return read_place_digests(path)


def planes_digest(wildcards):
    """Changes when a plane of the well, its size in µm or its position changes. Jobs on other machines do not look at the whole plate again."""
    if not workflow.is_main_process:
        return "of the main process"
    places = _from_index(_place_digests, wildcards.plate).get(wildcards.well, "")
    planes = digests.planes_digest(well_planes(wildcards), _present(wildcards.plate))
    return digests.digest_of([planes, places])


def _fields(wildcards):
    return len({(key.field, key.timepoint) for key, _ in well_planes(wildcards)})


def process_mem_mb(wildcards, input, attempt):
    """What the plan estimates; known once the pipeline is compiled."""
    return resources.process_mb(
        input.plan, margin_mb=CONFIG.memory_margin_mb, attempt=attempt
    )


def materialize_mem_mb(wildcards, attempt):
    return resources.storing_mb(
        plate_info(wildcards),
        wildcards.well,
        _fields(wildcards),
        config=CONFIG,
        margin_mb=CONFIG.memory_margin_mb,
        attempt=attempt,
    )


def process_runtime(wildcards, input, attempt):
    return resources.process_minutes(
        input.plan,
        plate_info(wildcards),
        wildcards.well,
        _fields(wildcards),
        attempt=attempt,
    )


def materialize_runtime(wildcards, attempt):
    return resources.storing_minutes(
        plate_info(wildcards), wildcards.well, attempt=attempt
    )


def plate_mem_mb(wildcards, attempt):
    return resources.plate_mb(margin_mb=CONFIG.memory_margin_mb, attempt=attempt)


def tables_mem_mb(wildcards, input, attempt):
    """Grows with the plate; known once it is mapped."""
    info = _info(input.index, os.stat(input.index).st_mtime_ns)
    planes = sum(info.planes_per_well.values())
    return resources.plate_mb(
        margin_mb=CONFIG.memory_margin_mb, planes=planes, attempt=attempt
    )


def wells_at_once(wildcards):
    """How many wells a run works on at a time; a job on another machine does not know (0)."""
    settings = workflow.resource_settings
    return (settings.nodes or settings.cores or 1) if workflow.is_main_process else 0


def plate_map(wildcards):
    return PLATES[wildcards.plate].plate_map or []


def plate_targets():
    """Every file of the plates: Snakemake makes again only what it is asked for."""
    rules = [name for name in PLATE_RULES if name != "fit_illumination" or ILLUMINATION]
    files = [file for name in rules for file in files_of(name)]
    return [results(file).format(plate=plate) for plate in PLATES for file in files]


def find_stale(plate):
    """The files of a plate that do not fit what is asked for; prints which."""
    entry = PLATES[plate]
    asked = Asked(
        plate=plate,
        folder=entry.folder,
        microscope=entry.microscope,
        layout=_layout_digest(plate),
        pipeline=digests.digest_of(PIPELINE),
        functions=FUNCTIONS,
        wells=entry.wells,
        illumination=(CONFIG.source, CONFIG.illumination) if ILLUMINATION else None,
        plate_map=plate_map_digest(entry.plate_map),
    )
    folder = Path(RESULTS, plate)
    try:
        stale = stale_outputs(folder, asked, lambda: plate_scan(plate).files)
    except WellfieldError as error:
        stop(error)
    for line in stale_lines(plate, stale):
        print(visible(line), file=sys.stderr, flush=True)
    return [(folder / output).as_posix() for output in stale]


# Not while another run is under way, whose files come and go.
if is_run(workflow) and "--lint" not in sys.argv and not LOCKED:
    STALE.update(path for plate in PLATES for path in find_stale(plate))
