rule process_well:
    input:
        index=ancient(results(PlateFile.INDEX)),
        plan=ancient(results(PlateFile.PLAN)),
        plan_digest=results(PlateFile.PROCESS_DIGEST),
        illumination=ILLUMINATION,
        stale=redo_stale,
    output:
        staged=staged_well(),
    log:
        log_of("process_well", "{well}"),
    benchmark:
        benchmark_of("process_well", "{well}")
    group:
        WELL_GROUP
    conda:
        PIPELINE_ENVIRONMENT
    threads: 1
    resources:
        mem_mb=process_mem_mb,
        gpu=resources.gpus(CONFIG),
        runtime=process_runtime,
    params:
        planes=asked(
            lambda wildcards: VALUES.planes(
                wildcards.plate, wildcards.well, index_path(wildcards.plate)
            )
        ),
        code=VALUES.code("process"),
        functions=FUNCTIONS,
    message:
        "{wildcards.plate} {wildcards.well}: running the pipeline"
    script:
        "../scripts/process_well.py"
