rule materialize_well:
    input:
        staged=results(STAGING, "{well}.json"),
        plan=ancient(results(PlateFile.PLAN)),
        plan_digest=results(PlateFile.MATERIALIZE_DIGEST),
        index=ancient(results(PlateFile.INDEX)),
    output:
        manifest=results(WellFile.MANIFEST),
    log:
        log_of("materialize_well", "{well}"),
    benchmark:
        benchmark_of("materialize_well", "{well}")
    # Before wells that are not begun: no more are staged than are worked on at a time.
    priority: 1
    group:
        WELL_GROUP
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=materialize_mem_mb,
        runtime=materialize_runtime,
    params:
        code=VALUES.code("materialize"),
    message:
        "{wildcards.plate} {wildcards.well}: writing results"
    script:
        "../scripts/materialize_well.py"
