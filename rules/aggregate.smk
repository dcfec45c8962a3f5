rule aggregate_plate:
    input:
        index=ancient(results(PlateFile.INDEX)),
        # Manifests name the plan that their wells are of.
        plan=ancient(results(PlateFile.PLAN)),
        manifests=manifests,
        plate_map=plate_map,
    output:
        **outputs_of("aggregate_plate"),
    log:
        log_of("aggregate_plate", "{plate}"),
    benchmark:
        benchmark_of("aggregate_plate", "{plate}")
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=tables_mem_mb,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        results=results_folder,
        wells=wells,
        vanished=vanished,
        wanted=wanted_wells,
        code=VALUES.code("aggregate"),
    message:
        "{wildcards.plate}: joining the tables of all wells"
    script:
        "../scripts/aggregate_plate.py"


rule report_plate:
    input:
        index=ancient(results(PlateFile.INDEX)),
        # Snakemake looks at a job again after a checkpoint where the job has its output as an input.
        plan=ancient(results(PlateFile.PLAN)),
        ingest=results(PlateFile.INGEST_REPORT),
        counts=results(PlateFile.COUNTS),
        objects=results(PlateFile.OBJECTS),
        manifests=manifests,
        plate_map=plate_map,
    output:
        **outputs_of("report_plate"),
    log:
        log_of("report_plate", "{plate}"),
    benchmark:
        benchmark_of("report_plate", "{plate}")
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=tables_mem_mb,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        results=results_folder,
        wells=wells,
        vanished=vanished,
        code=VALUES.code("aggregate"),
    message:
        "{wildcards.plate}: drawing the report"
    script:
        "../scripts/report_plate.py"


rule check_plate:
    input:
        plan=ancient(results(PlateFile.PLAN)),
        counts=results(PlateFile.COUNTS_CSV),
        summary=results(PlateFile.SUMMARY),
        manifests=manifests,
    output:
        **outputs_of("check_plate"),
    log:
        log_of("check_plate", "{plate}"),
    benchmark:
        benchmark_of("check_plate", "{plate}")
    # What it finds is the same the next time, whatever the profile says.
    retries: 0
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=plate_mem_mb,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        results=results_folder,
        wells=wells,
        vanished=vanished,
        code=VALUES.code("check"),
    message:
        "{wildcards.plate}: checking that every well is done"
    script:
        "../scripts/check_plate.py"
