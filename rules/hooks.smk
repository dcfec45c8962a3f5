# What a run says before its first job, and when it ends. Snakemake calls hooks in the processes of single jobs too, where
# these functions do nothing. It calls none of a module: there redo_stale adds them to those of the user's Snakefile.


onstart:
    from wellfield.workflow.run_sheet import keep_sheet
    from wellfield.workflow.run_summary import begin_run

    RUN["before"] = begin_run(
        workflow,
        results=RESULTS,
        plates=PLATES,
        wells_at_once=wells_at_once(None),
        scratch=bool(CONFIG.scratch),
        keep_staged=CONFIG.keep_staged,
    )
    # Last: where there is no room for the run, no copy is left.
    RUN["sheet"] = keep_sheet(workflow, config, SHEET)


onsuccess:
    from wellfield.workflow.run_summary import end_run

    end_run(workflow, log, succeeded=True, **RUN)


onerror:
    from wellfield.workflow.run_summary import end_run

    end_run(workflow, log, succeeded=False, **RUN)


# Snakemake calls no hook if there is nothing to do. By then it may have left this working directory.
if IS_MAIN:
    import atexit

    from wellfield.workflow.run_jobs import remove_stale_pages

    atexit.register(remove_stale_pages, workflow, Path(RESULTS).absolute())
