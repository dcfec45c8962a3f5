from snakemake.utils import min_version

min_version("9.20")


configfile: "config/config.yaml"


include: "rules/common.smk"
include: "rules/hooks.smk"
include: "rules/ingest.smk"
include: "rules/illumination.smk"
include: "rules/process.smk"
include: "rules/materialize.smk"
include: "rules/aggregate.smk"


report: "report/workflow.rst"


rule all:
    input:
        plate_targets(),
