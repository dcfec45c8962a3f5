"""Draw the heatmap, the montage and the dose–response of a plate; write its statistics and its summary."""

from wellfield.workflow.jobs import job

with job(snakemake.log[0], threads=snakemake.threads, writes=snakemake.output) as logger:
    from wellfield.results.records import write_plate_record
    from wellfield.workflow.report_plate import report_plate

    report_plate(
        snakemake.params.results,
        snakemake.input.index,
        snakemake.params.wells,
        vanished=snakemake.params.vanished,
        plate_map=snakemake.input.get("plate_map") or None,
        heatmap=snakemake.output.heatmap,
        montage=snakemake.output.montage,
        statistics=snakemake.output.statistics,
        dose_response=snakemake.output.dose_response,
        summary=snakemake.output.summary,
    )
    of = {"wells": snakemake.params.wells}
    write_plate_record(snakemake.params.results, "report_plate", snakemake.output, of=of)
    logger.info("%d wells", len(snakemake.params.wells))
