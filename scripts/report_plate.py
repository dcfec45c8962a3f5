"""Draw the heatmap, the montage and the dose–response of a plate; write its statistics and its summary."""

from wellfield.workflow.jobs import job

with job(snakemake.log[0], threads=snakemake.threads, writes=snakemake.output) as logger:
    from wellfield.results.records import write_plate_record
    from wellfield.workflow.report_plate import report_plate

    report_plate(
        snakemake.params.results,
        snakemake.params.wells,
        vanished=snakemake.params.vanished,
        plate_map=snakemake.input.get("plate_map") or None,
    )
    of = {"wells": snakemake.params.wells}
    write_plate_record(snakemake.params.results, "report_plate", snakemake.output, of=of)
    logger.info("%d wells", len(snakemake.params.wells))
