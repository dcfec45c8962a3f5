"""Compile the configured pipeline for one plate, see that its results have room, and store the plan with them."""

from pathlib import Path

from wellfield.workflow.jobs import job, say

with job(snakemake.log[0], threads=snakemake.threads, writes=snakemake.output) as logger:
    from wellfield.config.load import load_config
    from wellfield.config.plate_sheet import read_plate_sheet
    from wellfield.formats.json_files import write_json
    from wellfield.plate.index import read_info
    from wellfield.results.records import write_plate_record
    from wellfield.workflow.compile_plan import compile_plan, transmitted_notes
    from wellfield.workflow.digests import digest_of
    from wellfield.workflow.ingest_plate import chosen_wells
    from wellfield.workflow.space import plan_space, space_lines
    from wellfield.workflow.vanished import vanished_wells

    plan = compile_plan(snakemake.input.index, snakemake.params.pipeline)
    # From the sheet and not from params: asking for other wells does not compile the plan again.
    config = load_config(snakemake.config)
    entry = read_plate_sheet(config.plates, layouts=config.layouts, check_files=False)[snakemake.wildcards.plate]
    folder = Path(snakemake.output.plan).parent
    info = read_info(snakemake.input.index)
    for note in transmitted_notes(plan, info):
        say(logger, f"warning: {info.name}: {note}")
    wells = chosen_wells(info, entry.wells, vanished=vanished_wells(folder, info, entry.wells))
    need = plan_space(plan, snakemake.input.index, wells, folder, scratch=bool(config.scratch))
    for line in space_lines([need], config.results, wells_at_once=snakemake.resources.wells_at_once, at_most=True):
        say(logger, line)
    write_json(snakemake.output.plan, plan.to_json())
    of = {"pipeline": digest_of(snakemake.params.pipeline), "functions": snakemake.params.functions}
    write_plate_record(folder, "compile_plan", snakemake.output, of=of)
    logger.info("%d steps, plan %s", len(plan.steps), plan.digest())
