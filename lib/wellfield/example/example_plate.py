"""The example plate: a made-up dose–response experiment with the true number of nuclei.

A compound makes cells die and the survivors light up. The plate has its negative and positive controls and four doses
between them. The same arguments give the same bytes. Every field has its own random numbers, so that the files of a
well are the same whichever other wells are written.
"""

from __future__ import annotations

import csv
import json
import math
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wellfield.errors import ConfigError, StorageError
from wellfield.example.imagexpress_export import COLUMNS as PLATE_COLUMNS
from wellfield.example.imagexpress_export import PLATE_NAME, ROWS, ImageXpressExport, Wave
from wellfield.example.metaseries_tiff import encode_metaseries
from wellfield.example.nuclei import Nucleus, place_nuclei, render_field
from wellfield.formats.atomic import remove_empty
from wellfield.plate.keys import FieldKey
from wellfield.plate.platemap import COLUMNS, WellTreatment
from wellfield.plate.wells import canonical_well, split_well

WAVES = (
    Wave(name="DAPI", emission_nm=452),
    Wave(name="FITC", emission_nm=536),
    Wave(name="Texas Red", emission_nm=624),
    Wave(name="Cy5", emission_nm=692),
)
DOSES_UM = (0.1, 0.5, 2.0, 10.0)
HALF_MAXIMAL_UM, HILL_SLOPE = 1.0, 1.4
NUCLEI_UNTREATED, NUCLEI_KILLED = 60, 17
"""Mean number of nuclei in a field of 512 × 512 pixels without a response and with a full one."""

_FORMAT = 1  # raise it when the same arguments give other bytes than before
_NOTE = "synthetic.json"


class ExampleFiles(NamedTuple):
    """The example's files: the plate folder, the plate map and the true numbers of nuclei."""

    plate: Path
    plate_map: Path
    truth: Path


@dataclass(frozen=True, kw_only=True)
class ExamplePlate:
    """A synthetic plate with known truth.

    Parameters
    ----------
    wells:
        Wells to write. What is in a well follows from its position, see :func:`treatment_of`.
    fields, channels, z, timepoints:
        What is acquired in each well. Fields lie on the smallest grid that is about square. Channel 1 shows nuclei, the
        others markers. Timepoints are independent of each other.
    size:
        Height and width of a plane in pixels. The number of nuclei goes with the area; a field has at least one.
    touching:
        Fraction of nuclei placed against another.
    pixel_size_um, z_spacing_um:
        Calibration.
    seed:
        Source of everything random.

    Raises
    ------
    ConfigError
        An argument is out of range.
    """

    wells: tuple[str, ...] = ("B02", "B03", "B04", "B05", "C02", "C03", "C04", "C05")
    fields: int = 4
    channels: int = 2
    z: int = 3
    timepoints: int = 1
    size: int = 512
    touching: float = 0.35
    pixel_size_um: float = 0.65
    z_spacing_um: float = 3.0
    seed: int = 20240115

    def __post_init__(self) -> None:
        object.__setattr__(self, "wells", tuple(sorted(map(canonical_well, self.wells), key=split_well)))
        for name, lowest, highest in (
            ("fields", 1, 999),
            ("channels", 1, len(WAVES)),
            ("z", 1, 99),
            ("timepoints", 1, 999),
            ("size", 32, 4096),
            ("touching", 0, 1),
            ("seed", 0, math.inf),
        ):
            value = getattr(self, name)
            if not lowest <= value <= highest:
                raise ConfigError(f"example plate: {name} is {value}; expected {lowest} to {highest}")
        places = list(map(split_well, self.wells))
        if not places or len(set(places)) < len(places):
            raise ConfigError(f"example plate: wells are {self.wells}; expected at least one, each once")
        if any(row >= ROWS or column >= PLATE_COLUMNS for row, column in places):
            raise ConfigError(f"example plate: wells are {self.wells}; expected wells from A01 to H12")

    def layout(self) -> ImageXpressExport:
        """Return where the files lie and what their metadata says."""
        return ImageXpressExport(
            wells=self.wells,
            fields=self.fields,
            waves=WAVES[: self.channels],
            size=self.size,
            z_steps=self.z,
            timepoints=self.timepoints,
            pixel_size_um=self.pixel_size_um,
            z_spacing_um=self.z_spacing_um,
            seed=self.seed,
        )

    def nuclei(self, field: FieldKey) -> tuple[Nucleus, ...]:
        """Return the nuclei of a field; their centres lie in it."""
        rng = self._rng(field, 0)
        response = response_of(treatment_of(field.well))
        mean = (NUCLEI_UNTREATED + (NUCLEI_KILLED - NUCLEI_UNTREATED) * response) * (self.size / 512) ** 2
        count = max(1, round(rng.normal(mean, 0.5 * math.sqrt(mean))))
        return place_nuclei(rng, size=self.size, count=count, touching=self.touching, response=response)

    def pixels(self, field: FieldKey) -> NDArray[np.uint16]:
        """Return the planes of a field, ``[C, Z, Y, X]``."""
        return render_field(self.nuclei(field), self._rng(field, 1), size=self.size, channels=self.channels, z=self.z)

    def field_keys(self) -> list[FieldKey]:
        """Return all fields of the plate."""
        return [
            FieldKey(well, field, timepoint)
            for well in self.wells
            for field in range(1, self.fields + 1)
            for timepoint in range(1, self.timepoints + 1)
        ]

    def write(self, folder: str | os.PathLike[str]) -> ExampleFiles:
        """Write the plate, ``plate_map.csv`` and ``truth.csv`` into *folder*.

        The plate's files are dated an hour back, as if its acquisition were over. A complete example of the same
        arguments is left as it is; an incomplete one is written again.

        Raises
        ------
        StorageError
            The folder holds something else, or an example of other arguments.
        """
        folder, layout = Path(folder), self.layout()
        found = ExampleFiles(folder / PLATE_NAME, folder / "plate_map.csv", folder / "truth.csv")
        note = folder / _NOTE
        made = {"format": _FORMAT, "arguments": json.loads(json.dumps(asdict(self)))}
        if self._is_complete(folder, note, made):
            return found
        self._refuse_strangers(folder, note, made, found)
        was_complete = (_read_note(note) or {}).get("complete") is True

        folder.mkdir(parents=True, exist_ok=True)
        _replace(note, json.dumps({**made, "complete": False}, indent=2))

        for index in layout.index_files(folder):
            index.parent.mkdir(parents=True, exist_ok=True)
            index.write_bytes(layout.htd_bytes())
        field, pixels = None, np.empty(0, np.uint16)
        for path, key in layout.files(folder):
            if key.field_key != field:
                field, pixels = key.field_key, self.pixels(key.field_key)
            path.write_bytes(encode_metaseries(pixels[key.channel - 1, key.z - 1], layout.tags(key)))
        _age(found.plate)
        if not (was_complete and found.plate_map.exists()):  # which people edit
            write_plate_map(found.plate_map, self.wells)
        counts = ((*field, len(self.nuclei(field))) for field in self.field_keys())
        _write_csv(found.truth, ("well", "field", "timepoint", "nuclei"), counts)
        _replace(note, json.dumps({**made, "complete": True}, indent=2))
        return found

    def remove(self, folder: str | os.PathLike[str]) -> None:
        """Remove what :meth:`write` wrote, and folders that are empty then; a folder of something else stays."""
        folder, layout = Path(folder), self.layout()
        note = folder / _NOTE
        if _read_note(note) is None:
            return
        images = [*(file.path for file in layout.files(folder)), *layout.index_files(folder)]
        for path in [*images, folder / "plate_map.csv", folder / "truth.csv", note]:
            if path.is_file() and not path.is_symlink():
                path.unlink()
                remove_empty(path.parent, folder)

    def _rng(self, field: FieldKey, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *split_well(field.well), field.field, field.timepoint, stream])

    def _is_complete(self, folder: Path, note: Path, made: dict[str, object]) -> bool:
        layout = self.layout()
        return _read_note(note) == {**made, "complete": True} and all(
            path.is_file()
            for path in (
                folder / "plate_map.csv",
                folder / "truth.csv",
                *layout.index_files(folder),
                *(file.path for file in layout.files(folder)),
            )
        )

    def _refuse_strangers(self, folder: Path, note: Path, made: dict[str, object], found: ExampleFiles) -> None:
        if not folder.exists():
            return
        advice = "choose an empty folder, or remove what is in this one"
        if not folder.is_dir():
            raise StorageError(f"{folder} is a file, not a folder to write the example plate into")
        known = _read_note(note)
        if known is not None and {**known, "complete": True} != {**made, "complete": True}:
            raise StorageError(f"{folder} holds an example plate made with other arguments ({note.name}); {advice}")
        own = {note, _draft(note), *found} if known is not None else set()
        strangers = sorted(path.name for path in folder.iterdir() if path not in own)
        if known is not None and found.plate.exists():
            layout = self.layout()
            images = {file.path for file in layout.files(folder)}
            images |= set(layout.index_files(folder))
            inside = (path for path in found.plate.rglob("*") if not path.is_dir() and path not in images)
            strangers += sorted(str(path.relative_to(folder)) for path in inside)
        if strangers:
            more = f" and {len(strangers) - 3} more" if len(strangers) > 3 else ""
            raise StorageError(f"{folder} holds other things ({', '.join(strangers[:3])}{more}); {advice}")


def treatment_of(well: str) -> WellTreatment:
    """Return what is in a well.

    The pattern repeats every four columns from column 2 on: negative control, two doses, positive control. Odd and even
    rows take turns with the low and the high doses.
    """
    row, column = split_well(well)
    phase = (column - 1) % 4
    if phase == 0:
        return WellTreatment(well, "DMSO", None, "", "negative")
    if phase == 3:
        return WellTreatment(well, "staurosporine", 1.0, "µM", "positive")
    return WellTreatment(well, "compound A", DOSES_UM[2 * ((row - 1) % 2) + phase - 1], "µM", "")


def response_of(treatment: WellTreatment) -> float:
    """Return the mean response of cells to a treatment, from 0 to 1; for doses, Hill's equation."""
    if treatment.control:
        return 1.0 if treatment.control == "positive" else 0.0
    relative = math.pow((treatment.concentration or 0.0) / HALF_MAXIMAL_UM, HILL_SLOPE)
    return relative / (1 + relative)


def write_plate_map(path: Path, wells: Iterable[str]) -> None:
    """Write what is in each well as a plate map."""
    _write_csv(path, COLUMNS, map(_plate_map_row, wells))


def _plate_map_row(well: str) -> tuple[str, ...]:
    treatment = treatment_of(well)
    concentration = "" if treatment.concentration is None else f"{treatment.concentration:g}"
    return treatment.well, treatment.treatment, concentration, treatment.unit, treatment.control


def _write_csv(path: Path, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _read_note(note: Path) -> dict[str, object] | None:
    try:
        content = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _age(folder: Path) -> None:
    """Date all files below a folder an hour back."""
    then = time.time() - 3600
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))


def _replace(path: Path, text: str) -> None:
    """Write a small file in one go, so that it is never half there."""
    draft = _draft(path)
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(path)


def _draft(path: Path) -> Path:
    return path.with_suffix(".part")
