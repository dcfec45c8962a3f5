"""MetaXpress ``.HTD`` files: what an ImageXpress acquisition was set up to take."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from wellfield.errors import MetadataError
from wellfield.plate.wells import well_name

_LINE = re.compile(r'^"([^"\n]+)",[ \t]*(.*?)[ \t]*$', re.MULTILINE)
_VALUE = re.compile(r'[ \t]*(?:"([^"]*)"|([^,]*))[^,]*(?:,|$)')
_NUMBER = re.compile(r"[0-9]{1,4}")  # a count; anything longer is garbage, and would fill the memory


@dataclass(frozen=True)
class Htd:
    """The promises of one ``.HTD`` file. A number is ``None`` where the file does not say.

    Parameters
    ----------
    wells:
        Canonical names of the wells selected.
    wave_names:
        Channel number → name.
    z_steps, timepoints, sites:
        How many of each; ``sites`` counts the selected cells of the site grid.
    site_grid:
        Rows and columns of the site grid.
    """

    wells: tuple[str, ...] = ()
    wave_names: dict[int, str] | None = None
    z_steps: int | None = None
    timepoints: int | None = None
    sites: int | None = None
    site_grid: tuple[int, int] | None = None

    def lines(self) -> list[str]:
        """Say what is promised, one line per axis."""
        grid = f" on a {self.site_grid[0]} x {self.site_grid[1]} grid" if self.site_grid else ""
        waves = ", ".join(f"{number} {name}" for number, name in (self.wave_names or {}).items())
        facts = (
            ("wells", f"{len(self.wells)} ({', '.join(self.wells)})" if self.wells else None),
            ("fields per well", f"{self.sites}{grid}" if self.sites else None),
            ("channels", waves or None),
            ("z steps", self.z_steps),
            ("timepoints", self.timepoints),
        )
        return [f"{name}: {value}" for name, value in facts if value is not None]


def read_htd(path: str | os.PathLike[str]) -> Htd:
    """Read an ``.HTD`` file, whatever bytes it holds; lines that are not understood are passed over.

    Raises
    ------
    MetadataError
        The file cannot be read at all.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise MetadataError(f"{os.fspath(path)} cannot be read: {error.strerror}") from error
    # Descriptions hold bytes of unknown code pages; latin-1 takes all of them and the keys are ASCII.
    text = content.decode("latin-1").replace("\r\n", "\n").replace("\r", "\n")
    values: dict[str, list[str]] = {
        key: [quoted or bare.strip() for quoted, bare in _VALUE.findall(rest)] for key, rest in _LINE.findall(text)
    }

    def number(key: str) -> int | None:
        found = values.get(key, [""])[0]
        return int(found) if _NUMBER.fullmatch(found) else None

    def flag(key: str) -> bool:
        return values.get(key, [""])[0].upper() == "TRUE"

    def selection(prefix: str) -> list[list[bool]]:
        rows: list[list[bool]] = []
        while (row := values.get(f"{prefix}{len(rows) + 1}")) is not None:
            rows.append([cell.upper() == "TRUE" for cell in row])
        return rows

    wells = tuple(
        well_name(row, column)
        for row, cells in enumerate(selection("WellsSelection")[:32])
        for column, chosen in enumerate(cells[:48])
        if chosen
    )
    mask = selection("SiteSelection")
    waves = number("NWavelengths") if flag("Waves") or "Waves" not in values else 1
    names = {n: values.get(f"WaveName{n}", [f"w{n}"])[0] for n in range(1, (waves or 0) + 1)}
    z_steps = number("ZSteps") if flag("ZSeries") else (1 if "ZSeries" in values else None)
    rows, columns = number("YSites"), number("XSites")
    return Htd(
        wells=wells,
        wave_names=names or None,
        z_steps=z_steps,
        timepoints=number("TimePoints"),
        sites=(sum(map(sum, mask)) or 1) if mask else (1 if "Sites" in values else None),
        site_grid=(rows, columns) if rows and columns else None,
    )
