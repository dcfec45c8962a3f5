"""The Zarr storage backend: OME-Zarr plates (NGFF 0.5), one image ``tczyx`` per field. Imports no Zarr library."""
