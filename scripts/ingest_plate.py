"""Map one raw plate: metadata, index and ingest report."""

from pathlib import Path

from wellfield.workflow.jobs import job

with job(snakemake.log[0], threads=snakemake.threads) as logger:
    from wellfield.workflow.ingest import ingest_plate

    info = ingest_plate(
        snakemake.params.folder,
        plate=snakemake.wildcards.plate,
        microscope=snakemake.params.microscope,
        results=Path(snakemake.output.index).parent,
    )
    logger.info("%s: %d wells, %d planes", info.plate, len(info.wells), sum(info.planes_per_well.values()))
