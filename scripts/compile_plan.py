"""Compile the configured pipeline for one plate and store the plan with the results."""

from wellfield.workflow.jobs import job

with job(snakemake.log[0], threads=snakemake.threads) as logger:
    from wellfield.formats.json import write_json
    from wellfield.workflow.compile import compile_plan

    plan = compile_plan(snakemake.input.index, snakemake.params.pipeline)
    write_json(snakemake.output.plan, plan.to_json())
    logger.info("%d steps, plan %s", len(plan.steps), plan.digest())
