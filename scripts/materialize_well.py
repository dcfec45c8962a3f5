"""Write the files of one staged well and its manifest."""

from wellfield.workflow.jobs import job, say

with job(snakemake.log[0], threads=snakemake.threads, writes=snakemake.output) as logger:
    from wellfield.workflow.materialize_well import materialize_well, progress_line

    staged = materialize_well(
        snakemake.input.staged,
        snakemake.input.plan,
        snakemake.input.index,
        snakemake.params.results,
        manifest=snakemake.output.manifest,
        thumbnail=snakemake.output.thumbnail,
        keep_staged=bool(snakemake.config.get("keep_staged")),
    )
    logger.info("well %s: %s", staged.well, staged.status)
    say(logger, progress_line(staged))
