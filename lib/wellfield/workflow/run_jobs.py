"""Remove outdated pages of plates in a run without jobs. Every run imports this module, so it imports little."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from wellfield.results.paths import PlateFile
from wellfield.workflow import snakemake_api


def remove_stale_pages(workflow: Any, results: str | os.PathLike[str]) -> None:
    """Remove the page of each plate that had no jobs: it is finished.

    Call it when the process ends, because Snakemake calls no hook if there is nothing to do. Such a page remains if a
    run redid a well of a finished plate and its job died. Never raises.
    """
    with suppress(Exception):
        if snakemake_api.has_scheduled(workflow) and snakemake_api.will_run(workflow):
            jobs = snakemake_api.run_jobs(workflow)
            plates = jobs.whole - {job.plate for job in jobs.finished | jobs.pending}
            for plate in [plate for plate in plates if Path(results, plate, PlateFile.UNFINISHED_PAGE).exists()]:
                from wellfield.results.removal import remove_page  # a run without such a page does without it

                remove_page(Path(results, plate))
