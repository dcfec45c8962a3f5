"""Map one raw plate: metadata, index and ingest report."""

from pathlib import Path

from wellfield.workflow.jobs import job, say

with job(snakemake.log[0], threads=snakemake.threads) as logger:
    from wellfield.config.load import load_config
    from wellfield.config.plates import read_plate_sheet
    from wellfield.workflow.ingest import acquisition_notes, ingest_plate

    # From the sheet and not from params: asking for other wells does not map the plate again.
    config = load_config(snakemake.config)
    entry = read_plate_sheet(config.plates, layouts=config.layouts, check_files=False)[snakemake.wildcards.plate]
    info = ingest_plate(
        snakemake.params.folder,
        plate=snakemake.wildcards.plate,
        microscope=snakemake.params.microscope,
        results=Path(snakemake.output.index).parent,
        wells=entry.wells,
        layouts=config.plate_layouts(),
        acquisition_minutes=config.acquisition_minutes,
        mapped_again=snakemake.params.mapped_again,
    )
    for note in acquisition_notes(snakemake.output.report):
        say(logger, f"warning: {info.plate}: {note}")
    logger.info("%s: %d wells, %d planes", info.plate, len(info.wells), sum(info.planes_per_well.values()))
