"""Run the pipeline over one well and stage its results."""

from pathlib import Path

from wellfield.workflow.jobs import job

with job(snakemake.log[0], threads=snakemake.threads) as logger:
    from wellfield.workflow.process import process_well

    logger.info("%d MB asked for", snakemake.resources.mem_mb)
    fitted = snakemake.input.get("illumination")
    staged = process_well(
        snakemake.input.index,
        snakemake.input.plan,
        snakemake.wildcards.well,
        snakemake.output.staged,
        illumination=Path(fitted).parent if fitted else None,
    )
    logger.info("well %s: %s, %d planes used", staged.well, staged.status, staged.planes.used)
