rule process_well:
    input:
        index=ancient(results("index.parquet")),
        plan=results("plan.json"),
    output:
        staged=temp(directory(results(".staging", "{well}"))),
    params:
        planes=planes_digest,
        code=digests.code_digest("process"),
        functions=FUNCTIONS,
    log:
        log_of("process_well", "{well}"),
    benchmark:
        benchmark_of("process_well", "{well}")
    resources:
        mem_mb=well_mem_mb,
        runtime=well_runtime,
    threads: 1
    conda:
        "../envs/base.yaml"
    message:
        "{wildcards.plate} {wildcards.well}: running the pipeline"
    script:
        "../scripts/process_well.py"
