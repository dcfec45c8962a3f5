"""Compile the configured pipeline for one plate and store the plan."""

from functools import partial

from wellfield.workflow.jobs import job, say

with job(snakemake.log[0], threads=snakemake.threads, writes=snakemake.output) as logger:
    from wellfield.workflow.compile_plan import plan_plate

    plan = plan_plate(
        snakemake.input.index,
        snakemake.wildcards.plate,
        snakemake.config,
        pipeline=snakemake.params.pipeline,
        functions=snakemake.params.functions,
        plan_file=snakemake.output.plan,
        process_digest=snakemake.output.process_digest,
        materialize_digest=snakemake.output.materialize_digest,
        wells_at_once=snakemake.resources.wells_at_once,
        say=partial(say, logger),
    )
    logger.info("%d steps, plan %s", len(plan.steps), plan.digest())
