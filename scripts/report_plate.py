"""Draw the heatmap and the montage of a plate and write its summary."""

from wellfield.workflow.jobs import job

with job(snakemake.log[0], threads=snakemake.threads) as logger:
    from wellfield.workflow.report import report_plate

    report_plate(
        snakemake.params.results,
        snakemake.input.index,
        snakemake.params.wells,
        plate_map=snakemake.input.get("plate_map") or None,
        heatmap=snakemake.output.heatmap,
        montage=snakemake.output.montage,
        summary=snakemake.output.summary,
    )
    logger.info("%d wells", len(snakemake.params.wells))
