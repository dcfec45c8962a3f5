"""The functions that the Snakemake rules call: one module for each rule, and digests, resources and run hooks."""
