"""A plate from its TIFFs to images and tables: Wellfield, OpenHCS, and a script without a framework (SPEC X6, J4).

All of them run the functions of ``benchmarks/peers/counting.py`` on the same plate and cores. They must find the same
number of nuclei in each well and write all images; the pixels of one field are compared (not in OpenHCS's Zarr stores,
which have their own layout). None of them waits until the images are on the disk. The time is that of the whole command
with its start-up; the memory is that of all its processes together. ``the functions alone`` only compute, on planes in
memory: nothing can be faster.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from benchmarks.against_peers import environment
from benchmarks.data import cores
from benchmarks.harness import HERE, WORK, Statistics, Table, compare
from benchmarks.outputs import Outputs, in_tiffs, in_zarr
from benchmarks.process_tree import Ran, alternate, run_tree
from wellfield.example import ExamplePlate
from wellfield.plate.wells import well_name

ROOT = HERE.parent
FOLDER = WORK / "end-to-end"
PEERS = HERE / "peers"
OPENHCS = environment("openhcs")
SCRIPT, ALONE = "script by hand, zarr", "the functions alone"
STORES = ("zarr", "disk")

CONFIGURATION = {
    "schema_version": 1,
    "plates": "config/plates.tsv",
    "results": "results",
    "acquisition_minutes": 0,
    "source": "planes",
    "zarr": {"chunk_strategy": "field"},  # with pyramids, as the script writes them; disk has none
    "steps": [
        {"name": "projected", "func": f"{HERE}/counting_steps.py:project", "materialize": True},
        {
            "name": "nuclei",
            "func": f"{HERE}/counting_steps.py:segment",
            "channels": [1],
            "returns": "labels",
            "materialize": True,
        },
        {
            "name": "measured",
            "func": f"{HERE}/counting_steps.py:measure",
            "input": "projected",
            "inputs": {"labels": "nuclei"},
            "stack": "channel",
        },
    ],
}


def wellfield_with(store: str) -> str:
    """Return what the tables call Wellfield."""
    return f"Wellfield, {store}"


def openhcs_with(store: str) -> str:
    """Return what the tables call OpenHCS."""
    version = next(name for name in OPENHCS.requirements if name.startswith("openhcs==")).partition("==")[2]
    return f"OpenHCS {version}, {store}"


@dataclass(frozen=True)
class Plate:
    """A plate of the ImageXpress with realistic nuclei, written once."""

    wells: int
    fields: int = 9
    z: int = 3
    side: int = 2048
    at_most: float = 1.2

    @property
    def planes(self) -> int:
        """Number of planes."""
        return self.wells * self.fields * 2 * self.z

    @property
    def nbytes(self) -> int:
        """Bytes of pixels."""
        return self.planes * self.side**2 * 2

    def __str__(self) -> str:
        return (
            f"{self.wells} wells × {self.fields} fields × 2 channels × {self.z} z × {self.side}² uint16, "
            f"{self.nbytes / 1e9:.2g} GB"
        )

    def folder(self) -> Path:
        """Return the raw plate. Its HTD says the size of a pixel, without which OpenHCS opens none."""
        folder = FOLDER / f"raw-{self.wells}x{self.fields}x{self.z}x{self.side}"
        if not (folder / "ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            names = tuple(well_name(number // 12, number % 12) for number in range(self.wells))
            ExamplePlate(wells=names, fields=self.fields, channels=2, z=self.z, size=self.side).write(folder)
            for htd in folder.rglob("*.HTD"):
                with htd.open("ab") as file:
                    file.write(b'"PixelSizeUM", 0.65\r\n')
            (folder / "ready").touch()
        return next(path for path in folder.iterdir() if path.is_dir())


# An everyday screen: starting a job for each well would take longer than the well.
SMALL_WELLS = Plate(96, fields=1, z=1, side=1080, at_most=1.5)


@dataclass
class Race:
    """Runs the competitors on one plate, and sees that all count the same."""

    plate: Plate
    cores: int
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    outputs: dict[str, Outputs] = field(default_factory=dict)

    def wellfield(self, store: str = "zarr") -> Ran:
        """Run the workflow from nothing to its report; images go to an OME-Zarr plate or to TIFFs (``disk``)."""
        project = _fresh("wellfield")
        (project / "config").mkdir()
        configuration = CONFIGURATION | {"vfs": {"materialization_backend": store}}
        (project / "config" / "config.yaml").write_text(yaml.safe_dump(configuration, sort_keys=False))
        (project / "config" / "plates.tsv").write_text(f"plate\tfolder\nP1\t{self.plate.folder()}\n")
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory"]
        command += [str(project), "--cores", str(self.cores), "--nocolor"]
        ran = self._run(command, project)
        results = project / "results" / "P1"
        tables = (results / "tables").glob("*/objects.csv")
        self._count(wellfield_with(store), {path.parent.name: _lines(path) - 1 for path in tables})
        in_store = store == "zarr"
        self._check(
            wellfield_with(store),
            in_zarr(results / "plate.zarr") if in_store else in_tiffs(results / "images", "projected", "nuclei"),
        )
        return ran

    def by_hand(self) -> Ran:
        """Run the script."""
        output = _fresh("by-hand")
        command = [sys.executable, str(PEERS / "handwritten_wells.py"), str(self.plate.folder()), str(output)]
        ran = self._counted(SCRIPT, [*command, str(self.cores)], output)
        self._check(SCRIPT, in_zarr(output / "plate.zarr"))
        return ran

    def openhcs(self, store: str) -> Ran:
        """Run OpenHCS in its own environment, on a plate that it has not seen."""
        output = _fresh("openhcs")
        raw = output / self.plate.folder().name
        shutil.copytree(self.plate.folder(), raw, copy_function=os.link)  # it writes into the plate's folder
        command = [str(OPENHCS.python()), str(PEERS / "openhcs_wells.py"), str(raw), str(output / "out")]
        ran = self._counted(openhcs_with(store), [*command, str(self.cores), store], output)
        if store == "disk":  # its Zarr stores have a layout of their own
            self._check(openhcs_with(store), in_tiffs(output / "out", "projections", "labels"))
        return ran

    def alone(self) -> Ran:
        """Run the functions alone; the wall time is theirs, without reading the planes."""
        command = [sys.executable, str(PEERS / "functions_alone.py"), str(self.plate.folder()), str(self.cores)]
        ran = self._run(command, _fresh("alone"))
        answer = json.loads(ran.text.splitlines()[-1])
        self._count(ALONE, answer["counts"])
        return replace(ran, wall=float(answer["seconds"]))

    def _counted(self, name: str, command: list[str], folder: Path) -> Ran:
        ran = self._run(command, folder)
        self._count(name, json.loads(ran.text.strip().splitlines()[-1]))
        return ran

    def _run(self, command: list[str], folder: Path) -> Ran:
        """Run a command with a thread a process for what computes, as processes take the cores; the same for all."""
        return run_tree(command, cores=self.cores, folder=folder, output=folder / "printed.txt", threads=1)

    def _check(self, name: str, found: Outputs) -> None:
        self.outputs.setdefault(name, found)
        found.check(name, self.plate.wells * self.plate.fields, 2, next(iter(self.outputs.values())))

    def _count(self, name: str, counts: Mapping[str, int]) -> None:
        self.counts[name] = dict(sorted(counts.items()))
        first = next(iter(self.counts))
        if self.counts[name] != self.counts[first] or len(counts) != self.plate.wells or not all(counts.values()):
            raise RuntimeError(f"{name} counts {self.counts[name]}; {first} counts {self.counts[first]}")


def _fresh(name: str) -> Path:
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


def race(plate: Plate, on_cores: int, repeats: int) -> list[Table]:
    """Let all run on one plate in turn.

    OpenHCS writes zarr on one core only, as several of its workers fail then, now and then.
    """
    competing = Race(plate, on_cores)
    stores = STORES if on_cores == 1 else ("disk",)
    runs: dict[str, Callable[[], Ran]] = {SCRIPT: competing.by_hand}
    runs |= {wellfield_with(store): lambda store=store: competing.wellfield(store) for store in STORES}  # type: ignore[misc]
    runs |= {openhcs_with(store): lambda store=store: competing.openhcs(store) for store in stores}  # type: ignore[misc]
    plate.folder()
    found = alternate(runs | {ALONE: competing.alone}, repeats)
    wall = found["wall"]

    def units(name: str, of_case: Statistics) -> Mapping[str, str]:
        cpu = found["cpu"][name].median
        of_processes = {"CPU": f"{cpu:.1f} s", "CPU a well": f"{cpu / plate.wells:.2f} s"} if name in runs else {}
        return {"planes/s": f"{plate.planes / of_case.median:.1f}", **of_processes}

    on = f"{on_cores} core{'s' * (on_cores > 1)}"
    zarr, rivals = wellfield_with("zarr"), {wellfield_with(store): openhcs_with(store) for store in stores}
    tables = [
        compare(
            f"From TIFF to images and tables on {on}: {plate}",
            wall,
            baseline={zarr: SCRIPT, SCRIPT: ALONE},
            at_most={zarr: plate.at_most},
            units=units,
        ),
        compare(
            f"The same against OpenHCS on {on}: wall time",
            {name: wall[name] for pair in rivals.items() for name in pair},
            baseline=rivals,
            at_most=dict.fromkeys(rivals, 1.0),
        ),
        compare(
            f"The same on {on}: peak of the memory of all processes",
            {name: found["memory"][name] for name in runs},
            baseline=rivals | {SCRIPT: zarr},
            at_most=dict.fromkeys(rivals, 1.0),
            unit="B",
        ),
    ]
    tables[0].notes.append(f"All find the same {sum(competing.counts[zarr].values()):,} nuclei.")
    return tables


def run(*, quick: bool = False) -> list[Table]:
    """Let all run on eight wells on one core, on all cores with four wells a core, and on a plate of small wells."""
    plates = [(1, Plate(8)), (cores(), Plate(max(8, 4 * cores()))), (cores(), SMALL_WELLS)]
    if quick:
        plates = [(1, Plate(2, fields=2, side=512)), (cores(), Plate(12, fields=1, z=1, side=512, at_most=1.5))]
    return [table for number, plate in plates for table in race(plate, number, 1 if quick else 3)]
