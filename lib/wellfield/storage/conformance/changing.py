"""Behaviours of changes: batches, save, delete, copy, move. A failed operation changes nothing."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wellfield.errors import DataNotFoundError, DestinationExistsError, StorageError, WellfieldError
from wellfield.storage.conformance.checks import assert_holds, assert_same, at_once, needs, some
from wellfield.storage.conformance.subject import Capability, Subject, value


class ChangingBehaviours:
    """An object is replaced as a whole; a failed operation leaves everything as it was."""

    # --- batches ---

    @needs(Capability.BATCHES)
    def test_a_batch_replaces_what_was_there_as_a_whole(self, subject: Subject) -> None:
        """The new values have their own size and dtype."""
        subject.fill(some(subject, (1, 2)))
        content = {subject.path(number): value(number + 10, "u1", (7, 5)) for number in (1, 2)}
        assert_holds(subject.fill(content), subject.folder, content)

    @needs(Capability.BATCHES)
    def test_a_batch_needs_a_path_for_every_value(self, subject: Subject) -> None:
        """The numbers of values and paths are compared before anything is stored."""
        content = some(subject, (1, 2))
        files = subject.fill(content)
        for values, numbers in (([value(3)], (1, 3)), ([value(3), value(4)], (3,))):
            with pytest.raises(StorageError):
                files.save_batch(values, [subject.path(number) for number in numbers], **subject.options("A01"))
        assert_holds(files, subject.folder, content)

    @needs(Capability.BATCHES)
    def test_a_failing_batch_names_the_value_it_failed_at(self, subject: Subject) -> None:
        """The old value at that path is still there."""
        content = some(subject, (1, 2))
        files = subject.fill(content)
        if subject.can(Capability.ANY_OBJECT):
            bad, bad_value = subject.folder, value(9)
        else:
            bad, bad_value = subject.path(2), np.array(["text"], dtype=object)
        with pytest.raises(WellfieldError) as caught:
            files.save_batch([value(1), bad_value], [subject.path(1), bad], **subject.options("A01"))
        assert subject.mentions(str(caught.value), bad)
        assert_holds(files, subject.folder, content)

    @needs(Capability.BATCHES)
    @pytest.mark.parametrize(
        ("dtype", "shape"), [("f4", (24, 32)), ("u2", (5, 32)), ("u2", (2, 24, 32)), ("u2", (32,))]
    )
    def test_unequal_values_in_a_batch_are_kept_as_they_are_or_refused(
        self, subject: Subject, dtype: str, shape: tuple[int, ...]
    ) -> None:
        """No value is cast, cropped or padded to match the others."""
        content = some(subject, (1, 2))
        files = subject.fill(content)
        mixed = {subject.path(1): value(5), subject.path(2): value(6, dtype, shape)}
        try:
            files.save_batch(list(mixed.values()), list(mixed), **subject.options("A01"))
        except WellfieldError:
            loaded = files.load(subject.path(2))
            assert_same(loaded, content[subject.path(2)])
        else:
            assert_holds(files, subject.folder, mixed)

    @needs(Capability.BATCHES)
    def test_many_threads_may_write(self, subject: Subject) -> None:
        """Each thread writes its own well, while other threads read and list."""
        content = some(subject, (1, 2), "H12")
        files = subject.fill(content, "H12")

        def write(number: int) -> None:
            well = f"B{number:02d}"
            for turn in range(3):
                mine = {subject.path(n, well): value(10 * number + turn + n) for n in (1, 2)}
                files.save_batch(list(mine.values()), list(mine), **subject.options(well))
                assert files.list_files(subject.folder)
                assert_same(files.load(subject.path(2, "H12")), value(2))
                for path, array in mine.items():
                    assert_same(files.load(path), array)

        at_once(write, range(1, 7))
        for number in range(1, 7):
            content |= {subject.path(n, f"B{number:02d}"): value(10 * number + 2 + n) for n in (1, 2)}
        assert_holds(files, subject.folder, content)

    @needs(Capability.OBJECTS, Capability.FOLDERS, Capability.TREES)
    def test_threads_at_one_place_get_whole_values_or_errors_that_say_why(self, subject: Subject) -> None:
        """Threads save, move, remove and list the same paths at the same time; no unfinished write is left."""
        files = subject.fill(some(subject, (1, 2)))
        wholes = [value(seed) for seed in range(4)]

        def work(seed: int) -> None:
            choose = random.Random(seed)
            for _ in range(25):
                source, destination = (subject.path(choose.randrange(1, 4)) for _ in range(2))
                operation, arguments = choose.choice(
                    [
                        ("save", (wholes[choose.randrange(4)], source)),
                        ("load", (source,)),
                        ("stat", (source,)),
                        ("delete", (source,)),
                        ("copy", (source, destination)),
                        ("move", (source, destination)),
                        ("list_files", (str(subject.root),)),
                        ("list_dir", (subject.folder,)),
                        ("delete_all", (subject.folder,)),
                    ]
                )
                recursive = {"recursive": True} if operation == "list_files" else {}
                try:
                    result = getattr(files, operation)(*arguments, **recursive)
                except WellfieldError as error:
                    assert str(error)
                else:
                    assert operation != "load" or any(np.array_equal(result, whole) for whole in wholes)

        at_once(work, range(6))
        if files.is_dir(subject.folder):
            for path in files.list_files(subject.folder, recursive=True):
                assert any(np.array_equal(files.load(path), whole) for whole in wholes)
        assert not list(subject.root.rglob("*.part"))

    # --- single objects ---

    @needs(Capability.OBJECTS)
    def test_an_object_is_saved_under_its_path(self, subject: Subject) -> None:
        """The folders above the path are made."""
        files = subject.open()
        files.save(value(1), subject.path(1))
        files.save(value(2), Path(subject.path(2)))
        assert_holds(files, subject.folder, some(subject, (1, 2)))

    @needs(Capability.OBJECTS)
    def test_saving_again_replaces_the_object_as_a_whole(self, subject: Subject) -> None:
        """Nothing of a larger old object is left, and an array loaded before does not change."""
        files = subject.fill(some(subject, (1, 2)))
        before = files.load(subject.path(1))
        files.save(value(5, "u1", (3, 2)), subject.path(1))
        assert_holds(files, subject.folder, {subject.path(1): value(5, "u1", (3, 2)), subject.path(2): value(2)})
        assert_same(before, value(1))

    @needs(Capability.OBJECTS)
    def test_a_save_that_fails_leaves_what_was_there(self, subject: Subject) -> None:
        """A folder is never replaced by an object, nor an object by a folder."""
        content = some(subject, (1, 2))
        files = subject.fill(content)
        attempts: list[tuple[Any, str]] = [
            (value(3), subject.folder),
            (value(3), f"{subject.path(1)}/below{subject.suffix}"),
        ]
        if not subject.can(Capability.ANY_OBJECT):
            attempts.append((object(), subject.path(1)))
        for data, path in attempts:
            with pytest.raises(WellfieldError):
                files.save(data, path)
            assert_holds(files, subject.folder, content)

    @needs(Capability.ANY_OBJECT)
    @pytest.mark.parametrize(
        "thing", [None, 0, "text", b"", {"a": [1]}, object()], ids=lambda thing: type(thing).__name__
    )
    def test_any_object_is_a_value(self, subject: Subject, thing: Any) -> None:
        """``None`` is a value too: the object exists, and it is ``None``."""
        files = subject.open()
        files.save(thing, subject.path(1))
        assert files.load(subject.path(1)) is thing
        assert files.is_file(subject.path(1))

    @needs(Capability.OBJECTS)
    def test_a_deleted_object_is_gone_and_its_folder_stays(self, subject: Subject) -> None:
        """Deleting the object again is an error that names it."""
        files = subject.fill(some(subject, (1, 2)))
        files.delete(subject.path(1))
        assert_holds(files, subject.folder, some(subject, (2,)))
        assert not files.exists(subject.path(1))
        for operation in (files.load, files.delete):
            with pytest.raises(DataNotFoundError) as caught:
                operation(subject.path(1))
            assert subject.mentions(str(caught.value), subject.path(1))
        files.delete(subject.path(2))
        assert files.is_dir(subject.folder)
        assert files.list_dir(subject.folder) == []

    @needs(Capability.OBJECTS)
    def test_a_copy_is_a_value_of_its_own(self, subject: Subject) -> None:
        """A change of one does not affect the other; the folders above the copy are made."""
        files = subject.fill(some(subject, (1,)))
        copied = f"{subject.beside('copies')}/deep/copy{subject.suffix}"
        files.copy(subject.path(1), copied)
        files.save(value(5), subject.path(1))
        assert_same(files.load(copied), value(1))
        files.delete(copied)
        assert_same(files.load(subject.path(1)), value(5))

    @needs(Capability.OBJECTS)
    def test_a_moved_object_has_one_path(self, subject: Subject) -> None:
        """The object has only its new path; the old folder stays."""
        files = subject.fill(some(subject, (1,)))
        moved = f"{subject.beside('moved')}/deep/there{subject.suffix}"
        files.move(subject.path(1), moved)
        assert_same(files.load(moved), value(1))
        assert not files.exists(subject.path(1))
        assert files.list_dir(subject.folder) == []

    @needs(Capability.OBJECTS)
    @pytest.mark.parametrize("operation", ["copy", "move"])
    def test_a_destination_is_never_overwritten(self, subject: Subject, operation: str) -> None:
        """The destination stays as it was, and so does the source, even if both are the same path."""
        content = some(subject, (1, 2))
        files = subject.fill(content)
        for destination in (subject.path(2), subject.folder, subject.path(1)):
            with pytest.raises(DestinationExistsError) as caught:
                getattr(files, operation)(subject.path(1), destination)
            assert isinstance(caught.value, FileExistsError)
            assert subject.mentions(str(caught.value), destination)
            assert_holds(files, subject.folder, content)

    @needs(Capability.OBJECTS)
    @pytest.mark.parametrize("operation", ["copy", "move"])
    def test_a_copy_or_move_that_fails_leaves_nothing(self, subject: Subject, operation: str) -> None:
        """It fails if the source does not exist, or if the destination is below an object."""
        content = some(subject, (1, 2))
        files = subject.fill(content)
        with pytest.raises(DataNotFoundError) as caught:
            getattr(files, operation)(subject.path(9), f"{subject.beside('new')}/x{subject.suffix}")
        assert subject.mentions(str(caught.value), subject.path(9))
        with pytest.raises(StorageError):
            getattr(files, operation)(subject.path(1), f"{subject.path(2)}/x{subject.suffix}")
        assert_holds(files, subject.folder, content)
        assert not files.exists(subject.beside("new"))
