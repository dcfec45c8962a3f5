"""Join the tables of all wells, write the plate's shared metadata, remove what no longer belongs to the plate."""

from wellfield.workflow.jobs import job

with job(snakemake.log[0], threads=snakemake.threads, writes=snakemake.output) as logger:
    from wellfield.workflow.aggregate_plate import aggregate_plate

    aggregate_plate(
        snakemake.params.results,
        snakemake.params.wells,
        vanished=snakemake.params.vanished,
        wanted=snakemake.params.wanted,
        plate_map=snakemake.input.get("plate_map") or None,
    )
    logger.info("%d wells", len(snakemake.params.wells))
