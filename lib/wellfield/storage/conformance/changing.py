"""Behaviours of backends that can be changed: save, delete, copy, move, links. Whatever fails changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wellfield.errors import DataNotFoundError, DestinationExistsError, StorageError, WellfieldError
from wellfield.storage.base import ObjectKind
from wellfield.storage.conformance.checks import assert_holds, assert_same, at_once, needs, some
from wellfield.storage.conformance.subject import Array, Capability, Subject, value


class ChangingBehaviours:
    """What is replaced is replaced as a whole, what fails leaves everything as it was."""

    # --- batches ---

    @needs(Capability.BATCHES)
    def test_a_batch_replaces_what_was_there_as_a_whole(self, subject: Subject) -> None:
        """Size and dtype included."""
        subject.fill(some(subject, (1, 2)))
        content = {subject.path(number): value(number + 10, "u1", (7, 5)) for number in (1, 2)}
        assert_holds(subject.fill(content), subject.folder, content)

    @needs(Capability.BATCHES)
    def test_a_batch_needs_a_path_for_every_value(self, subject: Subject) -> None:
        """Before anything is stored."""
        content = some(subject, (1, 2))
        files = subject.fill(content)
        for values, numbers in (([value(3)], (1, 3)), ([value(3), value(4)], (3,))):
            with pytest.raises(StorageError):
                files.save_batch(values, [subject.path(number) for number in numbers], **subject.options("A01"))
        assert_holds(files, subject.folder, content)

    @needs(Capability.BATCHES)
    def test_a_failing_batch_names_the_value_it_failed_at(self, subject: Subject) -> None:
        """And what its path held is still there."""
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
    def test_many_threads_may_write(self, subject: Subject) -> None:
        """Each its own well, beside others that read and list."""
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

    # --- single objects ---

    @needs(Capability.OBJECTS)
    def test_an_object_is_saved_under_its_path(self, subject: Subject) -> None:
        """The folders above it are made."""
        files = subject.open()
        files.save(value(1), subject.path(1))
        files.save(value(2), Path(subject.path(2)))
        assert_holds(files, subject.folder, some(subject, (1, 2)))

    @needs(Capability.OBJECTS)
    def test_saving_again_replaces_the_object_as_a_whole(self, subject: Subject) -> None:
        """A larger one leaves nothing of itself behind, and what was loaded before stays what it was."""
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
        """``None`` as well: it is there, and it is nothing."""
        files = subject.open()
        files.save(thing, subject.path(1))
        assert files.load(subject.path(1)) is thing
        assert files.is_file(subject.path(1))

    @needs(Capability.OBJECTS)
    def test_a_deleted_object_is_gone_and_its_folder_stays(self, subject: Subject) -> None:
        """Deleting it again is an error that names it."""
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
        """Neither sees what becomes of the other; the folders above it are made."""
        files = subject.fill(some(subject, (1,)))
        copied = f"{subject.beside('copies')}/deep/copy{subject.suffix}"
        files.copy(subject.path(1), copied)
        files.save(value(5), subject.path(1))
        assert_same(files.load(copied), value(1))
        files.delete(copied)
        assert_same(files.load(subject.path(1)), value(5))

    @needs(Capability.OBJECTS)
    def test_a_moved_object_has_one_path(self, subject: Subject) -> None:
        """The new one; its old folder stays."""
        files = subject.fill(some(subject, (1,)))
        moved = f"{subject.beside('moved')}/deep/there{subject.suffix}"
        files.move(subject.path(1), moved)
        assert_same(files.load(moved), value(1))
        assert not files.exists(subject.path(1))
        assert files.list_dir(subject.folder) == []

    @needs(Capability.OBJECTS)
    @pytest.mark.parametrize("operation", ["copy", "move"])
    def test_a_destination_is_never_overwritten(self, subject: Subject, operation: str) -> None:
        """An object or a folder there stays as it was, and so does the source: even if it is itself."""
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
        """Of nothing, or to below an object."""
        content = some(subject, (1, 2))
        files = subject.fill(content)
        with pytest.raises(DataNotFoundError) as caught:
            getattr(files, operation)(subject.path(9), f"{subject.beside('new')}/x{subject.suffix}")
        assert subject.mentions(str(caught.value), subject.path(9))
        with pytest.raises(StorageError):
            getattr(files, operation)(subject.path(1), f"{subject.path(2)}/x{subject.suffix}")
        assert_holds(files, subject.folder, content)
        assert not files.exists(subject.beside("new"))

    # --- folders ---

    @needs(Capability.FOLDERS)
    def test_a_folder_is_made_with_those_above_it(self, subject: Subject) -> None:
        """It is there while it is empty, and making it again is no error."""
        files = subject.open()
        for _ in range(2):
            files.ensure_directory(f"{subject.folder}/a/b")
        assert files.list_dir(subject.folder) == ["a"]
        assert files.list_dir(f"{subject.folder}/a/b") == []
        assert files.list_files(subject.folder, recursive=True) == []
        assert (files.is_dir(f"{subject.folder}/a"), files.is_file(f"{subject.folder}/a")) == (True, False)

    @needs(Capability.FOLDERS, Capability.OBJECTS)
    def test_a_folder_does_not_take_the_place_of_an_object(self, subject: Subject) -> None:
        """Nor can it be below one."""
        files = subject.fill(some(subject, (1,)))
        for path in (subject.path(1), f"{subject.path(1)}/sub"):
            with pytest.raises(StorageError):
                files.ensure_directory(path)
        assert_holds(files, subject.folder, some(subject, (1,)))

    @needs(Capability.FOLDERS, Capability.OBJECTS)
    def test_only_an_empty_folder_is_deleted(self, subject: Subject) -> None:
        """One that holds something is refused, and keeps it."""
        files = subject.fill(some(subject, (1,)))
        with pytest.raises(StorageError) as caught:
            files.delete(subject.folder)
        assert not isinstance(caught.value, DataNotFoundError)
        assert_holds(files, subject.folder, some(subject, (1,)))
        files.delete(subject.path(1))
        files.delete(subject.folder)
        assert not files.exists(subject.folder)

    @needs(Capability.TREES)
    def test_delete_all_removes_a_folder_and_nothing_beside_it(self, subject: Subject) -> None:
        """However the other's name begins."""
        files = subject.fill(some(subject, (1, 2)))
        kept = self._sibling(subject)
        files.delete_all(subject.folder)
        assert not files.exists(subject.folder)
        assert not files.exists(subject.path(1))
        assert_holds(files, subject.beside("images_2"), kept)
        with pytest.raises(DataNotFoundError):
            files.delete_all(subject.folder)

    @needs(Capability.TREES)
    def test_delete_all_is_for_folders(self, subject: Subject) -> None:
        """An object is left alone."""
        files = subject.fill(some(subject, (1, 2)))
        with pytest.raises(WellfieldError):
            files.delete_all(subject.path(1))
        assert_holds(files, subject.folder, some(subject, (1, 2)))

    @needs(Capability.TREES)
    def test_a_folder_is_copied_with_everything_in_it(self, subject: Subject) -> None:
        """And the copy is its own."""
        content = some(subject, (1, 2))
        files = subject.fill(content)
        files.copy(subject.folder, subject.beside("other"))
        assert_holds(files, subject.folder, content)
        assert_holds(files, subject.beside("other"), _moved(content, subject, "other"))
        files.delete_all(subject.folder)
        assert_holds(files, subject.beside("other"), _moved(content, subject, "other"))

    @needs(Capability.TREES)
    def test_a_folder_is_moved_with_everything_in_it(self, subject: Subject) -> None:
        """Nothing stays behind."""
        content = some(subject, (1, 2))
        files = subject.fill(content)
        files.move(subject.folder, subject.beside("other"))
        assert not files.exists(subject.folder)
        assert_holds(files, subject.beside("other"), _moved(content, subject, "other"))

    @needs(Capability.TREES, Capability.NESTED, Capability.FOLDERS)
    def test_the_whole_depth_of_a_folder_goes_along(self, subject: Subject) -> None:
        """Empty folders too."""
        files = subject.fill({f"{subject.folder}/a/b/1{subject.suffix}": value(1)})
        files.ensure_directory(f"{subject.folder}/a/empty")
        files.copy(f"{subject.folder}/a", subject.beside("copied"))
        files.move(f"{subject.folder}/a", subject.beside("moved"))
        for name in ("copied", "moved"):
            assert files.list_dir(subject.beside(name)) == ["b", "empty"]
            assert_holds(files, subject.beside(name), {f"{subject.beside(name)}/b/1{subject.suffix}": value(1)})
        assert files.list_dir(subject.folder) == []

    @needs(Capability.TREES)
    @pytest.mark.parametrize("operation", ["copy", "move"])
    def test_a_folder_is_not_put_over_another_nor_into_itself(self, subject: Subject, operation: str) -> None:
        """Both stay as they were."""
        content = some(subject, (1, 2))
        files = subject.fill(content)
        kept = self._sibling(subject)
        for destination in (subject.beside("images_2"), subject.folder):
            with pytest.raises(DestinationExistsError):
                getattr(files, operation)(subject.folder, destination)
        with pytest.raises(WellfieldError):
            getattr(files, operation)(subject.folder, f"{subject.folder}/inside")
        assert_holds(files, subject.folder, content)
        assert_holds(files, subject.beside("images_2"), kept)

    @staticmethod
    def _sibling(subject: Subject) -> dict[str, Array]:
        content = _moved(some(subject, (1,)), subject, "images_2")
        subject.fill(content)
        return content

    # --- status ---

    @needs(Capability.STATUS)
    def test_stat_tells_object_from_folder(self, subject: Subject) -> None:
        """A folder has no size of its own; what is not there is an error that names it."""
        files = subject.fill(some(subject, (1,)))
        status = files.stat(subject.path(1))
        assert status.kind is ObjectKind.FILE
        assert status.size > 0
        folder = files.stat(Path(subject.folder))
        assert (folder.kind, folder.size) == (ObjectKind.FOLDER, 0)
        with pytest.raises(DataNotFoundError) as caught:
            files.stat(subject.path(9))
        assert subject.mentions(str(caught.value), subject.path(9))

    @needs(Capability.STATUS, Capability.OBJECTS)
    def test_the_size_grows_with_what_is_stored(self, subject: Subject) -> None:
        """Noise cannot be compressed."""
        files = subject.fill({subject.path(1): value(1, "u1", (16, 16)), subject.path(2): value(1, "u1", (64, 64))})
        small, large = (files.stat(subject.path(number)).size for number in (1, 2))
        assert 16 * 16 <= small < 64 * 64 <= large

    # --- symbolic links ---

    @needs(Capability.SYMLINKS)
    def test_a_symbolic_link_is_loaded_as_its_source(self, subject: Subject) -> None:
        """But it is a link to ``stat``, and deleting it leaves the source."""
        files = subject.fill(some(subject, (1,)))
        files.create_symlink(subject.path(1), subject.path(2))
        assert_same(files.load(subject.path(2)), value(1))
        assert files.stat(subject.path(2)).kind is ObjectKind.SYMLINK
        assert files.list_files(subject.folder) == [subject.path(1), subject.path(2)]
        files.delete(subject.path(2))
        assert_holds(files, subject.folder, some(subject, (1,)))

    @needs(Capability.SYMLINKS)
    def test_a_symbolic_link_needs_a_source_and_a_free_path(self, subject: Subject) -> None:
        """What is there is not replaced."""
        content = some(subject, (1, 2))
        files = subject.fill(content)
        with pytest.raises(DestinationExistsError):
            files.create_symlink(subject.path(1), subject.path(2))
        with pytest.raises(DataNotFoundError):
            files.create_symlink(subject.path(9), subject.path(3))
        assert_holds(files, subject.folder, content)
        assert not files.exists(subject.path(3))

    @needs(Capability.SYMLINKS)
    def test_a_move_replaces_a_symbolic_link_only_when_asked(self, subject: Subject) -> None:
        """And never a file."""
        files = subject.fill(some(subject, (1, 2)))
        files.create_symlink(subject.path(2), subject.path(3))
        with pytest.raises(DestinationExistsError):
            files.move(subject.path(1), subject.path(3))
        with pytest.raises(DestinationExistsError):
            files.move(subject.path(1), subject.path(2), replace_symlinks=True)
        files.move(subject.path(1), subject.path(3), replace_symlinks=True)
        assert files.stat(subject.path(3)).kind is ObjectKind.FILE
        assert_holds(files, subject.folder, {subject.path(2): value(2), subject.path(3): value(1)})

    @needs(Capability.SYMLINKS)
    def test_a_mirror_is_the_same_tree_of_links(self, subject: Subject) -> None:
        """Made again it is the same; a file in the place of a link stops it before anything is changed."""
        names = (f"1{subject.suffix}", f"sub/2{subject.suffix}")
        content = {f"{subject.folder}/{name}": value(number) for number, name in enumerate(names)}
        files = subject.fill(content)
        mirror = subject.beside("mirror")
        for _ in range(2):
            assert files.mirror_directory(subject.folder, mirror) == 2
            for number, name in enumerate(names):
                assert files.stat(f"{mirror}/{name}").kind is ObjectKind.SYMLINK
                assert_same(files.load(f"{mirror}/{name}"), value(number))
        files.delete(f"{mirror}/{names[0]}")
        files.delete(f"{mirror}/{names[1]}")
        files.save(value(7), f"{mirror}/{names[1]}")
        with pytest.raises(DestinationExistsError):
            files.mirror_directory(subject.folder, mirror)
        assert_holds(files, mirror, {f"{mirror}/{names[1]}": value(7)})
        assert files.mirror_directory(subject.folder, mirror, overwrite_symlinks_only=False) == 2
        assert files.stat(f"{mirror}/{names[1]}").kind is ObjectKind.SYMLINK
        assert_holds(files, subject.folder, content)


def _moved(content: dict[str, Array], subject: Subject, name: str) -> dict[str, Array]:
    """Return *content* with its folder beside where it was."""
    return {path.replace(subject.folder, subject.beside(name), 1): array for path, array in content.items()}
