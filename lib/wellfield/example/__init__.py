"""The example plate that ``make demo`` processes: ``python -m wellfield.example FOLDER`` writes it."""

from wellfield.example.example_plate import ExampleFiles, ExamplePlate

__all__ = ["ExampleFiles", "ExamplePlate"]
