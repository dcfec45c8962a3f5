"""Behaviours of folders, of status and of symbolic links. A failed operation changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from wellfield.errors import (
    DataNotFoundError,
    DestinationExistsError,
    NotAFolderError,
    StorageError,
    WellfieldError,
)
from wellfield.storage.base import ObjectKind
from wellfield.storage.conformance.checks import assert_holds, assert_same, at_once, needs, some
from wellfield.storage.conformance.subject import Array, Capability, Subject, value


class FolderBehaviours:
    """A folder is copied, moved or removed with everything in it; nothing at the destination is lost."""

    # --- folders ---

    @needs(Capability.FOLDERS)
    def test_a_folder_is_made_with_those_above_it(self, subject: Subject) -> None:
        """An empty folder exists, and making it again is not an error."""
        files = subject.open()
        for _ in range(2):
            files.ensure_directory(f"{subject.folder}/a/b")
        assert files.list_dir(subject.folder) == ["a"]
        assert files.list_dir(f"{subject.folder}/a/b") == []
        assert files.list_files(subject.folder, recursive=True) == []
        assert (files.is_dir(f"{subject.folder}/a"), files.is_file(f"{subject.folder}/a")) == (True, False)

    @needs(Capability.FOLDERS, Capability.OBJECTS)
    def test_a_folder_does_not_take_the_place_of_an_object(self, subject: Subject) -> None:
        """A folder cannot be below an object either."""
        files = subject.fill(some(subject, (1,)))
        for path in (subject.path(1), f"{subject.path(1)}/sub"):
            with pytest.raises(StorageError):
                files.ensure_directory(path)
        assert_holds(files, subject.folder, some(subject, (1,)))

    @needs(Capability.FOLDERS, Capability.OBJECTS)
    def test_only_an_empty_folder_is_deleted(self, subject: Subject) -> None:
        """A folder that is not empty is refused and keeps its contents."""
        files = subject.fill(some(subject, (1,)))
        with pytest.raises(StorageError) as caught:
            files.delete(subject.folder)
        assert not isinstance(caught.value, DataNotFoundError)
        assert_holds(files, subject.folder, some(subject, (1,)))
        files.delete(subject.path(1))
        files.delete(subject.folder)
        assert not files.exists(subject.folder)

    @needs(Capability.FOLDERS, Capability.OBJECTS)
    def test_many_threads_may_make_one_folder(self, subject: Subject) -> None:
        """They save into the folder or make it; no thread gets an error because another was first."""
        files = subject.open()

        def write(number: int) -> None:
            for turn in range(20):
                folder = f"{subject.folder}/turn {turn}/a/b"
                if number % 2:
                    files.ensure_directory(folder)
                files.save(value(number, shape=(2, 3)), f"{folder}/{number}{subject.suffix}")

        at_once(write, range(6))
        assert len(files.list_files(subject.folder, recursive=True)) == 6 * 20

    @needs(Capability.TREES)
    def test_delete_all_removes_a_folder_and_nothing_beside_it(self, subject: Subject) -> None:
        """A folder whose name begins with the same text stays."""
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
        """An object is refused and stays."""
        files = subject.fill(some(subject, (1, 2)))
        with pytest.raises(WellfieldError):
            files.delete_all(subject.path(1))
        assert_holds(files, subject.folder, some(subject, (1, 2)))

    @needs(Capability.TREES)
    def test_a_folder_is_copied_with_everything_in_it(self, subject: Subject) -> None:
        """The copy does not depend on the original."""
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
        """Empty folders are copied and moved too."""
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
        """The size of a folder is 0. A plane that shares an object with other planes may have no known size."""
        files = subject.fill(some(subject, (1,)))
        status = files.stat(subject.path(1))
        assert status.kind is ObjectKind.FILE
        assert status.size is None or status.size > 0
        assert status.modified is None or status.modified > 0
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
        """For ``stat`` it is a link, and deleting it leaves the source."""
        files = subject.fill(some(subject, (1,)))
        files.create_symlink(subject.path(1), subject.path(2))
        assert_same(files.load(subject.path(2)), value(1))
        assert files.stat(subject.path(2)).kind is ObjectKind.SYMLINK
        assert files.list_files(subject.folder) == [subject.path(1), subject.path(2)]
        files.delete(subject.path(2))
        assert_holds(files, subject.folder, some(subject, (1,)))

    @needs(Capability.SYMLINKS)
    def test_stat_of_a_symbolic_link_tells_what_it_leads_to(self, subject: Subject) -> None:
        """The target's path, kind and size; kind and size are ``None`` if it is gone. Only links have a target."""
        files = subject.fill(some(subject, (1,)))
        files.create_symlink(subject.path(1), subject.path(2))
        files.create_symlink(subject.folder, subject.beside("link"))
        file, link = files.stat(subject.path(1)), files.stat(subject.path(2))
        assert (file.target, file.target_kind) == (None, None)
        assert (link.target, link.target_kind, link.size) == (subject.path(1), ObjectKind.FILE, file.size)
        folder = files.stat(subject.beside("link"))
        assert (folder.kind, folder.target_kind, folder.size) == (ObjectKind.SYMLINK, ObjectKind.FOLDER, 0)
        assert folder.target == subject.folder
        files.delete(subject.path(1))
        broken = files.stat(subject.path(2))
        assert broken.kind is ObjectKind.SYMLINK
        assert (broken.target, broken.target_kind, broken.size) == (subject.path(1), None, None)

    @needs(Capability.SYMLINKS, Capability.TREES)
    def test_a_symbolic_link_is_removed_and_what_it_leads_to_stays(self, subject: Subject) -> None:
        """This holds for a single link, and for links in a folder that is removed with everything in it."""
        content = some(subject, (1, 2))
        files = subject.fill(content)
        links = subject.beside("links")
        files.create_symlink(subject.folder, f"{links}/folder{subject.suffix}")
        files.create_symlink(subject.path(1), f"{links}/deep/file{subject.suffix}")
        files.create_symlink(subject.folder, subject.beside("link"))
        for spelling in (subject.beside("link"), f"{subject.beside('link')}/"):
            with pytest.raises(NotAFolderError):
                files.delete_all(spelling)
        assert_holds(files, subject.folder, content)
        files.delete_all(links)
        files.delete(subject.beside("link"))
        assert not files.exists(links)
        assert not files.exists(subject.beside("link"))
        assert_holds(files, subject.folder, content)

    @needs(Capability.SYMLINKS, Capability.TREES)
    @pytest.mark.parametrize("operation", ["copy", "move"])
    def test_links_in_a_folder_go_along_as_links(self, subject: Subject, operation: str) -> None:
        """No link is followed: its target is neither copied nor moved."""
        content = some(subject, (1, 2))
        files = subject.fill(content)
        files.create_symlink(subject.folder, f"{subject.beside('links')}/folder{subject.suffix}")
        getattr(files, operation)(subject.beside("links"), subject.beside("new"))
        assert files.stat(f"{subject.beside('new')}/folder{subject.suffix}").kind is ObjectKind.SYMLINK
        files.delete_all(subject.beside("new"))
        assert_holds(files, subject.folder, content)

    @needs(Capability.SYMLINKS, Capability.TREES)
    def test_replacing_symbolic_links_replaces_nothing_else(self, subject: Subject) -> None:
        """A folder with files, an empty folder and a file are not replaced; nothing is moved onto or into itself."""
        content = some(subject, (1, 2))
        files = subject.fill(content)
        kept = self._sibling(subject)
        files.ensure_directory(subject.beside("empty"))
        for source in (subject.path(1), subject.folder):
            for destination in (subject.beside("images_2"), subject.beside("empty"), subject.path(2), source):
                with pytest.raises(DestinationExistsError):
                    files.move(source, destination, replace_symlinks=True)
        with pytest.raises(StorageError):
            files.move(subject.folder, f"{subject.folder}/inside", replace_symlinks=True)
        files.create_symlink(subject.beside("images_2"), subject.beside("link"))
        files.move(subject.folder, subject.beside("link"), replace_symlinks=True)
        assert_holds(files, subject.beside("link"), _moved(content, subject, "link"))
        assert_holds(files, subject.beside("images_2"), kept)

    @needs(Capability.SYMLINKS)
    def test_a_mirror_lies_apart_from_its_source(self, subject: Subject) -> None:
        """Mirror and source are different folders and not inside each other, even through a link."""
        content = some(subject, (1, 2))
        files = subject.fill(content)
        files.create_symlink(subject.folder, subject.beside("link"))
        for mirror in (subject.folder, f"{subject.folder}/inside", subject.beside("link"), str(subject.root)):
            for only in (True, False):
                with pytest.raises(StorageError):
                    files.mirror_directory(subject.folder, mirror, overwrite_symlinks_only=only)
        assert_holds(files, subject.folder, content)

    @needs(Capability.SYMLINKS)
    def test_a_symbolic_link_needs_a_source_and_a_free_path(self, subject: Subject) -> None:
        """An existing object is not replaced."""
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
        """A file is never replaced."""
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
        """Making it again gives the same tree. A file at the place of a link is an error before anything changes."""
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
    """Return *content* with its folder replaced by the folder *name* beside it."""
    return {path.replace(subject.folder, subject.beside(name), 1): array for path, array in content.items()}
