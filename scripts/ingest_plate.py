"""Map one raw plate: metadata, index and ingest report."""

from functools import partial

from wellfield.workflow.jobs import job, say

with job(snakemake.log[0], threads=snakemake.threads, writes=snakemake.output) as logger:
    from wellfield.workflow.ingest_plate import map_plate

    info = map_plate(
        snakemake.params.folder,
        snakemake.wildcards.plate,
        snakemake.config,
        microscope=snakemake.params.microscope,
        layout=snakemake.params.layout,
        index=snakemake.output.index,
        outputs=snakemake.output,
        ingest_generation=snakemake.params.ingest_generation,
        wells_at_once=snakemake.resources.wells_at_once,
        say=partial(say, logger),
    )
    logger.info("%s: %d wells, %d planes", info.name, len(info.wells), sum(info.planes_per_well.values()))
