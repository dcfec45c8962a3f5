"""Names and keys of what is on a plate, and the plate index. No other part of the project is imported here."""
