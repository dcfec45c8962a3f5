"""Map one raw plate: metadata, index and ingest report; of a plate that has a plan, see that its results have room."""

import os
from pathlib import Path

from wellfield.workflow.jobs import job, say

with job(snakemake.log[0], threads=snakemake.threads, writes=snakemake.output) as logger:
    from wellfield.config.load import load_config
    from wellfield.config.plate_sheet import read_plate_sheet
    from wellfield.results.records import from_results, write_plate_record
    from wellfield.workflow.ingest_plate import acquisition_notes, chosen_wells, ingest_plate, plate_map_notes
    from wellfield.workflow.space import last_plan, plan_space, space_lines
    from wellfield.workflow.vanished import vanished_note, vanished_wells

    # From the sheet and not from params: asking for other wells does not map the plate again.
    config = load_config(snakemake.config)
    entry = read_plate_sheet(config.plates, layouts=config.layouts, check_files=False)[snakemake.wildcards.plate]
    folder = Path(snakemake.output.index).parent
    info = ingest_plate(
        snakemake.params.folder,
        plate=snakemake.wildcards.plate,
        microscope=snakemake.params.microscope,
        results=folder,
        wells=entry.wells,
        layouts=config.plate_layouts(),
        acquisition_minutes=config.acquisition_minutes,
        mapped_again=snakemake.params.mapped_again,
    )
    of = {
        "folder": os.path.realpath(snakemake.params.folder),
        "from_results": from_results(snakemake.params.folder, folder),
        "microscope": snakemake.params.microscope,
        "layout": snakemake.params.layout,
    }
    write_plate_record(folder, "ingest_plate", snakemake.output, of=of)
    vanished = vanished_wells(folder, info, entry.wells)
    notes = acquisition_notes(snakemake.output.ingest_report)
    for note in [*notes, *plate_map_notes(entry.plate_map, info, entry.wells, vanished=vanished)]:
        say(logger, f"warning: {info.name}: {note}")
    if vanished:
        say(logger, f"warning: {info.name}: {vanished_note(vanished)}")
    # Whether the plan is compiled again is decided after this job; that of a fresh plate, or another one, says its own.
    if plan := last_plan(folder):
        wells = chosen_wells(info, entry.wells, vanished=vanished)
        need = plan_space(plan, snakemake.output.index, wells, folder, scratch=bool(config.scratch))
        at_once = snakemake.resources.wells_at_once
        by_plan = "to do by the last plan"
        for line in space_lines([need], config.results, wells_at_once=at_once, at_most=True, to_do=by_plan):
            say(logger, line)
    logger.info("%s: %d wells, %d planes", info.name, len(info.wells), sum(info.planes_per_well.values()))
