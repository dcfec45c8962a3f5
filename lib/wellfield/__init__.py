"""Wellfield: from the folders a plate microscope wrote to checked, open results.

The package is the library behind the Snakemake workflow at the repository root. Importing it imports nothing but the
error tree; each layer is imported by name: :mod:`wellfield.storage`, :mod:`wellfield.memory`,
:mod:`wellfield.microscopes`, :mod:`wellfield.pipeline`, :mod:`wellfield.materialization`.
"""

from wellfield.errors import WellfieldError

__all__ = ["WellfieldError", "__version__"]

__version__ = "0.2.0"
