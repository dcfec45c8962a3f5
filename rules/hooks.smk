# What a run says before its first job, and when it ends. Snakemake calls hooks in the processes of single jobs too, where
# end_run does nothing.


onstart:
    say_space()


onsuccess:
    end_run(workflow, log, succeeded=True, **RUN)


onerror:
    end_run(workflow, log, succeeded=False, **RUN)
