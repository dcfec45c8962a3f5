"""The results of a plate on disk: paths, staged wells, manifests, records, removal."""
