checkpoint ingest_plate:
    input:
        stale=redo_stale,
    output:
        **outputs_of("ingest_plate"),
    log:
        log_of("ingest_plate", "{plate}"),
    benchmark:
        benchmark_of("ingest_plate", "{plate}")
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=plate_mem_mb,
        runtime=lambda wildcards, attempt: 30 * attempt,
        wells_at_once=wells_at_once,
    params:
        folder=lambda wildcards: PLATES[wildcards.plate].folder,
        microscope=lambda wildcards: PLATES[wildcards.plate].microscope,
        layout=lambda wildcards: VALUES.layout(wildcards.plate),
        raw=asked(lambda wildcards: VALUES.raw(wildcards.plate)),
        ingest_generation=ingest_generation,
        code=VALUES.code("ingest"),
    message:
        "{wildcards.plate}: ingesting the plate"
    script:
        "../scripts/ingest_plate.py"


# A checkpoint, so that a plan that comes out as it was runs no well again. Wells follow the two digests and not the plan,
# which holds estimates of memory too.
checkpoint compile_plan:
    input:
        index=ancient(results(PlateFile.INDEX)),
        stale=redo_stale,
    output:
        **outputs_of("compile_plan"),
    log:
        log_of("compile_plan", "{plate}"),
    benchmark:
        benchmark_of("compile_plan", "{plate}")
    conda:
        PIPELINE_ENVIRONMENT
    threads: 1
    resources:
        mem_mb=plate_mem_mb,
        runtime=lambda wildcards, attempt: 10 * attempt,
        wells_at_once=wells_at_once,
    params:
        pipeline=PIPELINE,
        plate=asked(lambda wildcards: VALUES.plan_facts(index_path(wildcards.plate))),
        code=VALUES.code("plan"),
        functions=FUNCTIONS,
    message:
        "{wildcards.plate}: compiling the pipeline"
    script:
        "../scripts/compile_plan.py"
