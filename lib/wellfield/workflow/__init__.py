"""What the Snakemake rules need beside the library: a function per rule, digests, resources, the job's surroundings."""
