"""Paths, checked configuration and input functions: the only rule file with definitions.

What decides something is in wellfield.workflow.rule_values; a function here only takes wildcards apart.
"""

import functools
import gc
import re
import sys
import time
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
from wellfield.formatting import visible
from wellfield.results.paths import (
    PLATE_RULES,
    STAGING,
    PlateFile,
    WellFile,
    files_of,
    job_benchmark,
    job_log,
)
from wellfield.results.well_jobs import JOB_PATTERN
from wellfield.workflow import environments, resources, snakemake_api
from wellfield.workflow.refusals import refuse_unsafe
from wellfield.workflow.rule_values import RuleValues, remove_broken


def stop(error):
    """End this process: nothing has been run yet. Snakemake prints no error with --quiet all, and adds lines to others."""
    hints = taken_for_configuration(snakemake_api.files_after_configfile(workflow))
    print(
        f"error: {visible(error)}",
        *hints,
        "Nothing was run.",
        sep="\n",
        file=sys.stderr,
    )
    raise SystemExit(1)


def asked(function):
    """An error of ours, while Snakemake chooses jobs, becomes one of Snakemake's, which prints it unless it is quiet."""

    @functools.wraps(function)
    def answer(*arguments, **named):
        try:
            return function(*arguments, **named)
        except WellfieldError as error:
            if snakemake_api.is_silent(workflow):
                print(f"error: {visible(error)}", file=sys.stderr)
            raise WorkflowError(visible(error)) from None

    return answer


def say(line):
    print(visible(line), file=sys.stderr, flush=True)


snakemake_api.lead_scripts_to(LIB)

# Modules, and the jobs of a plate and its planes, live as long as the process. The collector of cyclic garbage would look
# at all of them again and again, which took a fifth of the time.
gc.freeze()
gc.set_threshold(50_000)

try:
    IS_MAIN = snakemake_api.is_main_process(workflow)
    IS_MODULE = snakemake_api.is_module(workflow)
    # Another run is at work here, and Snakemake is about to refuse this one.
    IS_REFUSED = IS_MAIN and snakemake_api.is_locked()
    INGEST_RULE = snakemake_api.given_name(workflow, "ingest_plate")
    CONFIG = load_config(config)
    if snakemake_api.has_prefix(workflow, CONFIG.results):
        raise WorkflowError(
            "the module of Wellfield has a prefix:, which its results do not follow. Remove it and set the folder by "
            "results: in the configuration."
        )
    PLATES = read_plate_sheet(
        CONFIG.plates,
        layouts=CONFIG.layouts,
        # The linter looks at the code: no plate needs to be there. What a job on another machine needs was checked by
        # the process that sent it.
        check_files=IS_MAIN and "--lint" not in sys.argv,
    )
    SHEET = Path(CONFIG.plates).read_bytes()
    VALUES = RuleValues(CONFIG, PLATES, is_main=IS_MAIN)
    # Outputs to be made again whatever Snakemake's records say, and lists of staged wells that no job can go on with.
    STALE, BROKEN = set(), []
    # Before anything is written: a dry run finds it too.
    if IS_MAIN and not {"--lint", "--unlock"} & set(sys.argv):
        read = [CONFIG.plates, *snakemake_api.config_files(workflow)]
        refuse_unsafe(CONFIG.results, PLATES, files=read, scratch=CONFIG.scratch)
        for plate in PLATES:
            VALUES.check_plate(plate)
        # Not while another run is at work, whose files come and go.
        for plate in PLATES if not snakemake_api.is_locked() else ():
            STALE.update(VALUES.stale(plate, say))
            BROKEN += VALUES.broken_jobs(plate)
        STALE.update(VALUES.unfinished(BROKEN))
except WellfieldError as error:
    stop(error)

SNAKEFILE = Path(str(workflow.current_basedir)).parent / "Snakefile"
RESULTS = CONFIG.results
PIPELINE = VALUES.pipeline
PIPELINE_ENVIRONMENT = f"../envs/{environments.pipeline_environment(CONFIG)}.yaml"
FUNCTIONS = VALUES.functions
# On a node's own disk a well is staged for a job on the same node.
WELL_GROUP = "well" if CONFIG.scratch else None
# What the hooks know of the run.
RUN = {
    "results": RESULTS,
    "plates": {plate: entry.wells for plate, entry in PLATES.items()},
    "keep_staged": CONFIG.keep_staged,
    "started": time.time(),
    "before": {},
    "progress": None,
    "sheet": None,
}


# Of all rules that follow, with --sdm apptainer.
container: CONFIG.container


wildcard_constraints:
    plate="|".join(map(re.escape, PLATES)),
    # A job of one well, or of several: B03, A01-A12.
    well=JOB_PATTERN,


# --- paths -------------------------------------------------------------------------------------------------------------


def results(*parts):
    return Path(RESULTS, "{plate}", *parts).as_posix()


PLATE_FOLDER = results()


def results_folder(wildcards):
    return PLATE_FOLDER.format(plate=wildcards.plate)


# The fitted illumination, where the pipeline corrects it; a new fit reruns the wells.
ILLUMINATION = results(PlateFile.ILLUMINATION) if VALUES.corrects_illumination else []


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


def staged_wells():
    """What process hands to materialize: the list of its staged wells, which lie beside it. It may be kept."""
    listed = results(STAGING, "{well}.json")
    return listed if CONFIG.keep_staged else temp(listed)


def plate_map(wildcards):
    return PLATES[wildcards.plate].plate_map or []


def plate_targets():
    """Every file of the plates: Snakemake makes again only what it is asked for."""
    rules = [name for name in PLATE_RULES if name != "fit_illumination" or ILLUMINATION]
    files = [file for name in rules for file in files_of(name)]
    return [results(file).format(plate=plate) for plate in PLATES for file in files]


# --- wells -------------------------------------------------------------------------------------------------------------


@functools.cache
def index_path(plate):
    """The index of a plate; waits for the checkpoint. Once it is there, Snakemake is not asked again for every job."""
    ingest = snakemake_api.find_checkpoint(
        workflow, checkpoints, "ingest_plate", results(PlateFile.INDEX)
    )
    return str(ingest.get(plate=plate).output.index)


@functools.cache
def plan_path(plate):
    """The plan of a plate; waits for the checkpoint."""
    plan = snakemake_api.find_checkpoint(
        workflow, checkpoints, "compile_plan", results(PlateFile.PLAN)
    )
    return str(plan.get(plate=plate).output.plan)


@asked
def wells(wildcards):
    return VALUES.wells(wildcards.plate, index_path(wildcards.plate))


@functools.cache
def choose_jobs(plate):
    """Decide which wells of a plate share a job, before its jobs are chosen."""
    return VALUES.choose_jobs(
        plate,
        index_path(plate),
        lambda: plan_path(plate),
        cores=snakemake_api.local_cores(workflow),
        targets=snakemake_api.target_files(workflow),
        forced=snakemake_api.forced_by_user(workflow),
        write=snakemake_api.will_run(workflow) and not IS_REFUSED,
    )


@asked
def vanished(wildcards):
    return VALUES.vanished(wildcards.plate, index_path(wildcards.plate))


def wanted_wells(wildcards):
    """The wells that the plate sheet names; None where it names none."""
    return PLATES[wildcards.plate].wells


@functools.cache
def show_progress():
    """Print the progress of a run in place of Snakemake's output for each job; a module leaves the output alone."""
    if IS_MODULE:
        return
    from wellfield.workflow.progress import Progress

    jobs = {
        "wells_of": lambda plate, name: VALUES.jobs(plate).wells(name),
        "to_do": lambda: snakemake_api.needed_jobs(workflow, with_finished=True),
    }
    RUN["progress"] = snakemake_api.replace_output(
        workflow, functools.partial(Progress, results=RESULTS, **jobs)
    )


def redo_stale(wildcards):
    """Have stale outputs made again, and remove broken ones of a run that is about to start: no file is needed for it.

    Each rule has this input function, so that it is called whatever the target is, and before jobs are chosen.
    """
    if snakemake_api.will_run(workflow) and not snakemake_api.is_locked():
        remove_broken(BROKEN)
        BROKEN.clear()
        show_progress()
    # As a module of another workflow, these are settings of the other workflow's rules too.
    if snakemake_api.is_main_workflow(workflow, SNAKEFILE):
        snakemake_api.ignore_script_times(workflow)
    again = VALUES.stages_of(snakemake_api.forced_by_user(workflow))
    snakemake_api.force_outputs(workflow, [*STALE, *again])
    if IS_MODULE:
        snakemake_api.add_hooks(workflow, RESULTS, onstart, onsuccess, onerror)
    return []


@asked
def manifests(wildcards):
    """The files that stand for the jobs of all wells of a plate: manifests of wells, and lists of several wells."""
    redo_stale(wildcards)
    plate = wildcards.plate
    names = choose_jobs(plate).names(wells(wildcards))
    return [results(WellFile.MANIFEST).format(plate=plate, well=name) for name in names]


# --- params: a job runs again when one of them changes -----------------------------------------------------------------


# Rules name a method of RuleValues for each: asked(lambda wildcards: VALUES.raw(wildcards.plate)).
@asked
def planes(wildcards):
    plate = wildcards.plate
    choose_jobs(plate)
    return VALUES.planes(plate, wildcards.well, index_path(plate))


@asked
def ingest_generation(wildcards):
    """Jobs on other machines do not look at the raw plate, except the job that ingests it."""
    looks = snakemake_api.does_rule(workflow, INGEST_RULE)
    return VALUES.ingest_generation(wildcards.plate) if looks else None


# --- resources ---------------------------------------------------------------------------------------------------------


@asked
def process_mem_mb(wildcards, input, attempt):
    """Known once the pipeline is compiled."""
    return VALUES.process_mb(input.plan, attempt)


@asked
def process_runtime(wildcards, input, attempt):
    plate = wildcards.plate
    return VALUES.process_minutes(
        input.plan, plate, wildcards.well, index_path(plate), attempt
    )


@asked
def materialize_mem_mb(wildcards, attempt):
    plate = wildcards.plate
    return VALUES.materialize_mb(plate, wildcards.well, index_path(plate), attempt)


@asked
def materialize_runtime(wildcards, attempt):
    plate = wildcards.plate
    return VALUES.materialize_minutes(plate, wildcards.well, index_path(plate), attempt)


def plate_mem_mb(wildcards, attempt):
    return VALUES.plate_mb(attempt)


@asked
def tables_mem_mb(wildcards, input, attempt):
    """Known once the plate is mapped."""
    return VALUES.tables_mb(input.index, attempt)


def wells_at_once(wildcards):
    return snakemake_api.jobs_at_once(workflow)
