"""State machines: hypothesis searches for a sequence of operations after which a backend and a dictionary disagree."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any, cast

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from wellfield.errors import DataNotFoundError, DestinationExistsError, StorageError
from wellfield.plate.keys import PlaneKey, plane_name
from wellfield.storage.conformance.checks import assert_same
from wellfield.storage.conformance.subject import Array, Subject, value

# Objects and folders use the same names, so that an object may meet a folder. The names are in natural order.
NAMES = ("n2", "n10")
DEPTH = 3

Place = tuple[str, ...]
Outcome = type[Exception] | None

places = st.lists(st.sampled_from(NAMES), min_size=1, max_size=DEPTH).map(tuple)


def run_machine(
    machine: Callable[[Subject], RuleBasedStateMachine],
    subject: Subject,
    *,
    examples: int = 25,
    steps: int = 25,
    shrink: bool = True,
) -> None:
    """Run a state machine on *subject*, always with the same sequences of operations: a failure can be repeated.

    Parameters
    ----------
    examples, steps:
        Number of sequences, and of operations in each.
    shrink:
        Search for the shortest failing sequence.
    """

    def make() -> RuleBasedStateMachine:
        subject.root.mkdir(parents=True, exist_ok=True)
        return machine(subject.at(Path(tempfile.mkdtemp(dir=subject.root))))

    run_state_machine_as_test(
        cast("type[RuleBasedStateMachine]", make),  # a factory does
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            phases=list(Phase) if shrink else [Phase.generate],
            derandomize=True,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


class _Machine(RuleBasedStateMachine):
    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self.subject = subject
        self.files = subject.open()

    def teardown(self) -> None:
        """Remove the files of the run from the disk."""
        shutil.rmtree(self.subject.root, ignore_errors=True)

    @staticmethod
    def ends_as(expected: Outcome, operation: Callable[..., Any], *args: Any) -> None:
        """Check that an operation raises the expected error, or none if none is expected."""
        if expected is None:
            operation(*args)
        else:
            with pytest.raises(expected):
                operation(*args)


class TreeMachine(_Machine):
    """Objects and folders of any depth: save, load, delete, copy, move."""

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self.objects: dict[Place, Array] = {}
        self.folders: set[Place] = {()}
        self.files.ensure_directory(subject.folder)

    def path(self, place: Place) -> str:
        """Return the path of a place."""
        return "/".join((self.subject.folder, *(name + self.subject.suffix for name in place)))

    def blocked(self, place: Place) -> bool:
        """Tell whether a place is below an object."""
        return any(place[:depth] in self.objects for depth in range(1, len(place)))

    def enter(self, place: Place) -> None:
        """Make the folders above a place."""
        self.folders |= {place[:depth] for depth in range(len(place))}

    def below(self, place: Place) -> list[Place]:
        """Return a place and all known places below it."""
        return [known for known in (*self.objects, *self.folders) if known[: len(place)] == place]

    @rule(place=places, seed=st.integers(0, 99))
    def save(self, place: Place, seed: int) -> None:
        """Save or replace an object."""
        array = value(seed, shape=(2, 3))
        expected = StorageError if place in self.folders or self.blocked(place) else None
        self.ends_as(expected, self.files.save, array, self.path(place))
        if expected is None:
            self.enter(place)
            self.objects[place] = array

    @rule(place=places)
    def load(self, place: Place) -> None:
        """Load an object, or fail as expected."""
        if place in self.objects:
            assert_same(self.files.load(self.path(place)), self.objects[place])
        else:
            expected = StorageError if place in self.folders else DataNotFoundError
            self.ends_as(expected, self.files.load, self.path(place))

    @rule(place=places)
    def ensure_directory(self, place: Place) -> None:
        """Make a folder."""
        expected = StorageError if place in self.objects or self.blocked(place) else None
        self.ends_as(expected, self.files.ensure_directory, self.path(place))
        if expected is None:
            self.enter(place)
            self.folders.add(place)

    @rule(place=places)
    def delete(self, place: Place) -> None:
        """Remove an object or an empty folder."""
        known = self.below(place)
        expected: Outcome = None if len(known) == 1 else StorageError if known else DataNotFoundError
        self.ends_as(expected, self.files.delete, self.path(place))
        if expected is None:
            self.forget(place)

    @rule(place=places)
    def delete_all(self, place: Place) -> None:
        """Remove a folder with everything in it."""
        known = place in self.folders
        expected = None if known else StorageError if place in self.objects else DataNotFoundError
        self.ends_as(expected, self.files.delete_all, self.path(place))
        if expected is None:
            self.forget(place)

    @rule(source=places, destination=places)
    def copy(self, source: Place, destination: Place) -> None:
        """Copy an object or a folder."""
        expected = self.transfer(source, destination)
        self.ends_as(expected, self.files.copy, self.path(source), self.path(destination))
        if expected is None:
            self.put(source, destination)

    @rule(source=places, destination=places)
    def move(self, source: Place, destination: Place) -> None:
        """Move an object or a folder."""
        expected = self.transfer(source, destination)
        self.ends_as(expected, self.files.move, self.path(source), self.path(destination))
        if expected is None:
            self.put(source, destination)
            self.forget(source)

    def transfer(self, source: Place, destination: Place) -> Outcome:
        """Return the expected error of a copy or move; if two things are wrong, either error may be raised."""
        wrong: list[type[Exception]] = []
        if not self.below(source):
            wrong.append(DataNotFoundError)
        if self.below(destination):
            wrong.append(DestinationExistsError)
        inside = destination[: len(source)] == source and destination != source
        if self.blocked(destination) or inside:
            wrong.append(StorageError)
        return wrong[0] if len(wrong) == 1 else StorageError if wrong else None

    def put(self, source: Place, destination: Place) -> None:
        """Record that everything at or below *source* is also at or below *destination*."""
        self.enter(destination)
        for known in self.below(source):
            new = destination + known[len(source) :]
            if known in self.objects:
                self.objects[new] = self.objects[known]
            else:
                self.folders.add(new)

    def forget(self, place: Place) -> None:
        """Forget everything at or below a place."""
        for known in self.below(place):
            self.objects.pop(known, None)
            self.folders.discard(known)

    @invariant()
    def every_path_is_what_it_should_be(self) -> None:
        """Check the kind of all places up to two levels, and of all known places."""
        for place in {*product(NAMES), *product(NAMES, NAMES), *self.objects, *self.folders}:
            path = self.path(place)
            kind = self.files.is_file(path), self.files.is_dir(path), self.files.exists(path)
            assert kind == (place in self.objects, place in self.folders, bool(self.below(place))), path

    @invariant()
    def listings_are_complete_and_in_order(self) -> None:
        """Check the listings of every folder, and the recursive listing of the top folder."""
        for folder in self.folders:
            children = [(*folder, name) for name in NAMES]
            objects = [self.path(child) for child in children if child in self.objects]
            names = [child[-1] + self.subject.suffix for child in children if self.below(child)]
            assert self.files.list_files(self.path(folder)) == objects
            assert self.files.list_dir(self.path(folder)) == names
        everything = self.files.list_files(self.path(()), recursive=True)
        assert sorted(everything) == sorted(map(self.path, self.objects))

    def teardown(self) -> None:
        """Load everything a last time."""
        for place, array in self.objects.items():
            assert_same(self.files.load(self.path(place)), array)
        super().teardown()


WELLS = ("A01", "B12")
KEYS = [(f, c, z, t) for f in (1, 2) for c in (1, 3) for z in (1, 2) for t in (1, 2)]
keys = st.sampled_from(KEYS)
wells = st.sampled_from(WELLS)


class WellMachine(_Machine):
    """A plate into which whole wells are written; any planes of a well may be missing."""

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self.wells: dict[str, dict[str, Array]] = {}

    def path(self, well: str, key: tuple[int, int, int, int]) -> str:
        """Return the path of a plane."""
        return f"{self.subject.folder}/{plane_name(PlaneKey(well, *key))}"

    @rule(
        well=wells,
        present=st.lists(keys, min_size=1, unique=True),
        dtype=st.sampled_from(["u1", "u2", "f4"]),
        shape=st.sampled_from([(1, 1), (6, 9)]),
        seed=st.integers(0, 99),
    )
    def write(
        self, well: str, present: list[tuple[int, int, int, int]], dtype: str, shape: tuple[int, int], seed: int
    ) -> None:
        """Write a well, or write it again; its planes come in any order."""
        planes = {
            self.path(well, key): value(seed + n, dtype, (6, 9))[: shape[0], : shape[1]]
            for n, key in enumerate(present)
        }
        self.files.save_batch(list(planes.values()), list(planes), **self.subject.options(well))
        self.wells[well] = planes

    @rule(wanted=st.lists(st.tuples(wells, keys), min_size=1, max_size=6))
    def load(self, wanted: list[tuple[str, tuple[int, int, int, int]]]) -> None:
        """Load planes of any wells together; a missing plane is an error."""
        paths = [self.path(well, key) for well, key in wanted]
        known = self.known()
        if all(path in known for path in paths):
            for path, loaded in zip(paths, self.files.load_batch(paths), strict=True):
                assert_same(loaded, known[path])
        else:
            self.ends_as(DataNotFoundError, self.files.load_batch, paths)

    @rule()
    def reopen(self) -> None:
        """Continue with another instance."""
        self.files = self.subject.open()

    @rule()
    def delete_all(self) -> None:
        """Remove the plate."""
        self.ends_as(None if self.wells else DataNotFoundError, self.files.delete_all, self.subject.folder)
        self.wells = {}

    def known(self) -> dict[str, Array]:
        """Return all planes of the plate."""
        return {path: plane for planes in self.wells.values() for path, plane in planes.items()}

    @invariant()
    def the_plate_holds_what_was_written(self) -> None:
        """Check this with ``exists``, ``list_files`` and ``load_batch``."""
        known = self.known()
        for well, key in product(WELLS, KEYS):
            assert self.files.exists(self.path(well, key)) is (self.path(well, key) in known)
        if self.wells:
            assert sorted(self.files.list_files(self.subject.folder)) == sorted(known)
        for path, loaded in zip(known, self.subject.open().load_batch(list(known)), strict=True):
            assert_same(loaded, known[path])
