rule process_well:
    input:
        index=ancient(results(PlateFile.INDEX)),
        plan=ancient(results(PlateFile.PLAN)),
        plan_digest=results(PlateFile.PROCESS_DIGEST),
        illumination=ILLUMINATION,
        stale=redo_stale,
    output:
        staged=staged_wells(),
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
        attempt=lambda wildcards, attempt: attempt,
    params:
        planes=planes,
        code=VALUES.code("process"),
        functions=FUNCTIONS,
    message:
        "{wildcards.plate} {wildcards.well}: running the pipeline"
    script:
        "../scripts/process_well.py"
