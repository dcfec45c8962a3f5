"""Microscopes: how the folders of each vendor become one plate table."""

from wellfield.microscopes.handler import MICROSCOPES, MicroscopeHandler
from wellfield.microscopes.handler_registry import detect_microscope, get_microscope_handler

__all__ = ["MICROSCOPES", "MicroscopeHandler", "detect_microscope", "get_microscope_handler"]
