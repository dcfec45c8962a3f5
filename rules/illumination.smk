# Fitted once: neither other planes nor other code fit it again, only --forcerun fit_illumination or deleting its folder,
# and a plate that is complete after it was ingested during acquisition. The microscope's own flat fields are read again
# if the plate has others.
rule fit_illumination:
    input:
        index=ancient(results(PlateFile.INDEX)),
        stale=redo_stale,
    output:
        **outputs_of("fit_illumination"),
    log:
        log_of("fit_illumination", "{plate}"),
    benchmark:
        benchmark_of("fit_illumination", "{plate}")
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=plate_mem_mb,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        source=CONFIG.settings.source,
        method=CONFIG.illumination,
        profiles=asked(
            lambda wildcards: VALUES.microscope_profiles(index_path(wildcards.plate))
        ),
        ingest_generation=ingest_generation,
    message:
        "{wildcards.plate}: fitting the illumination"
    script:
        "../scripts/fit_illumination.py"
