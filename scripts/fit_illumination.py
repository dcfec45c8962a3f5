"""Fit the illumination of a plate's channels on a sample of its raw planes."""

from pathlib import Path

from wellfield.workflow.jobs import job

with job(snakemake.log[0], threads=snakemake.threads, writes=snakemake.output) as logger:
    from wellfield.workflow.fit_illumination import fit_plate

    fitted = fit_plate(
        snakemake.input.index,
        Path(snakemake.output.illumination).parent,
        source=snakemake.params.source,
        method=snakemake.params.method,
    )
    for channel, entry in fitted["channels"].items():
        if "error" in entry:
            logger.warning("channel %s: %s", channel, entry["error"])
            continue
        if entry["method"] == "microscope":
            logger.info("channel %s: as the microscope measured it, background %.1f", channel, entry["background"])
            continue
        logger.info(
            "channel %s: background %.1f, flat field within %.1f %%, %d pixels clipped, %d planes skipped",
            channel,
            entry["background"],
            100 * entry["uncertainty"],
            entry["clipped_pixels"],
            len(entry["skipped"]),
        )
