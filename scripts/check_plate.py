"""Fail if any well of the plate failed."""

from wellfield.workflow.jobs import job

with job(snakemake.log[0], threads=snakemake.threads) as logger:
    from wellfield.formats.json import write_json
    from wellfield.workflow.check import check_plate

    summary = check_plate(snakemake.params.results, snakemake.params.wells)
    write_json(snakemake.output[0], summary)
    logger.info("%s", summary)
