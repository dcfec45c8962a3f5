"""Run the pipeline over one well and stage its results."""

from pathlib import Path

from wellfield.workflow.gpus import reserve_gpus
from wellfield.workflow.jobs import job

with (
    job(snakemake.log[0], threads=snakemake.threads, writes=[]) as logger,
    reserve_gpus(snakemake.resources.get("gpu", 0)) as gpus,
):
    from wellfield.workflow.process_well import process_well
    from wellfield.workflow.scratch import own_scratch, scratch_folder

    asked = snakemake.resources
    logger.info("%d MB and %d GPUs asked for; GPUs %s", asked.mem_mb, asked.get("gpu", 0), ", ".join(gpus) or "none")
    fitted = snakemake.input.get("illumination")
    scratch = scratch_folder(snakemake.config.get("scratch"), snakemake.output.staged)
    if scratch is not None:
        logger.info("staged in %s", scratch)
    with own_scratch(scratch, snakemake.output.staged):
        staged = process_well(
            snakemake.input.index,
            snakemake.input.plan,
            snakemake.wildcards.well,
            snakemake.output.staged,
            illumination=Path(fitted).parent if fitted else None,
            scratch=scratch,
        )
    logger.info("well %s: %s, %d planes used", staged.well, staged.status, staged.planes.used)
