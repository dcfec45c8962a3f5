"""Wells, plane keys, calibration, the facts of a plate, the plate index and the plate map."""
