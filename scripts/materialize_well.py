"""Write the files of the staged wells of a job, and their manifests."""

from wellfield.workflow.jobs import job

with job(snakemake.log[0], threads=snakemake.threads, writes=snakemake.output):
    from wellfield.workflow.materialize_well import materialize_job

    materialize_job(
        snakemake.input.staged,
        snakemake.input.plan,
        snakemake.input.index,
        snakemake.output.manifest,
        keep_staged=bool(snakemake.config.get("keep_staged")),
    )
