"""Fail if any well of the plate failed."""

from wellfield.workflow.jobs import job

with job(snakemake.log[0], threads=snakemake.threads, writes=snakemake.output) as logger:
    from wellfield.formats.json_files import write_json
    from wellfield.results.records import write_plate_record
    from wellfield.workflow.check_plate import check_plate

    summary = check_plate(snakemake.params.results, snakemake.params.wells, vanished=snakemake.params.vanished)
    write_json(snakemake.output[0], summary)
    of = {"wells": snakemake.params.wells}
    write_plate_record(snakemake.params.results, "check_plate", snakemake.output, of=of)
    logger.info("%s", summary)
