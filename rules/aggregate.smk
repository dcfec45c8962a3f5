rule aggregate_plate:
    input:
        index=ancient(results("index.parquet")),
        # Manifests name the plan that their wells are of.
        plan=ancient(results("plan.json")),
        manifests=well_files(results("wells", "{well}.json")),
        plate_map=plate_map,
    output:
        counts_csv=report(
            results("cell_counts.csv"),
            caption="../report/cell_counts.rst",
            category="{plate}",
            labels={"what": "Cell counts"},
        ),
        counts=results("cell_counts.parquet"),
        objects=results("objects.parquet"),
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
        code=code_of("aggregate"),
    message:
        "{wildcards.plate}: joining the tables of all wells"
    script:
        "../scripts/aggregate_plate.py"


rule report_plate:
    input:
        index=ancient(results("index.parquet")),
        ingest=results("ingest_report.json"),
        counts=results("cell_counts.parquet"),
        objects=results("objects.parquet"),
        manifests=well_files(results("wells", "{well}.json")),
        # Made with the manifest, whose content says whether anything changed.
        thumbnails=well_files(results("report", "thumbnails", "{well}.npy"), ancient),
        plate_map=plate_map,
    output:
        heatmap=report(
            results("report", "heatmap.png"),
            caption="../report/heatmap.rst",
            category="{plate}",
            labels={"what": "Heatmap of the count"},
        ),
        montage=report(
            results("report", "montage.png"),
            caption="../report/montage.rst",
            category="{plate}",
            labels={"what": "Montage of all wells"},
        ),
        statistics=report(
            results("report", "plate_statistics.csv"),
            caption="../report/plate_statistics.rst",
            category="{plate}",
            labels={"what": "Statistics of the controls"},
        ),
        dose_response=report(
            results("report", "dose_response.png"),
            caption="../report/dose_response.rst",
            category="{plate}",
            labels={"what": "Dose–response"},
        ),
        summary=report(
            results("report", "summary.html"),
            caption="../report/summary.rst",
            category="{plate}",
            labels={"what": "Summary, and what went wrong"},
        ),
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
        code=code_of("aggregate"),
    message:
        "{wildcards.plate}: drawing the report"
    script:
        "../scripts/report_plate.py"


rule check_plate:
    input:
        counts=results("cell_counts.csv"),
        summary=results("report", "summary.html"),
        manifests=well_files(results("wells", "{well}.json")),
    output:
        results("check_plate.json"),
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
        code=code_of("check"),
    message:
        "{wildcards.plate}: checking that every well is done"
    script:
        "../scripts/check_plate.py"
