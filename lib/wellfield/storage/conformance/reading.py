"""Behaviours of reading, for every backend: loaded values, listings and errors."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from wellfield.errors import DataNotFoundError, StorageError, WellfieldError
from wellfield.storage.conformance.checks import assert_holds, assert_same, at_once, needs, some
from wellfield.storage.conformance.subject import Capability, Subject, value

ODD_NAMES = (
    "with space",
    "a#b",
    "100%",
    "%41",
    "a+b&c=d",
    "µm-ü-漢字",
    'it\'s "quoted"',
    "[1]*{2}?",
    "$HOME~;|",
    "two..dots.and.more",
)


class ReadingBehaviours:
    """A loaded value equals the stored value, and a path means the same in every operation."""

    # --- values ---

    @pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i2", "f4", ">u2"])
    def test_an_array_comes_back_bit_for_bit_with_its_dtype(self, subject: Subject, dtype: str) -> None:
        """A backend may refuse a dtype, but never changes it."""
        array = value(1, dtype)
        if dtype not in subject.dtypes:
            with pytest.raises(WellfieldError):
                subject.fill({subject.path(1): array})
            return
        assert_same(subject.fill({subject.path(1): array}).load(subject.path(1)), array)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 300), (257, 3)])
    def test_planes_of_any_shape_come_back(self, subject: Subject, shape: tuple[int, int]) -> None:
        """Sides may be short, or not a multiple of a chunk."""
        array = value(1, shape=shape)
        assert_same(subject.fill({subject.path(1): array}).load(subject.path(1)), array)

    def test_views_of_any_strides_are_stored_as_what_they_show(self, subject: Subject) -> None:
        """Transposed and reversed arrays and arrays in Fortran order are stored like any other value."""
        array = value(1, shape=(40, 40))
        views = [array, array.T, array[::-1], array[:, ::-1], np.asfortranarray(array)]
        files = subject.fill({subject.path(number): view for number, view in enumerate(views, start=1)})
        for number, view in enumerate(views, start=1):
            assert_same(files.load(subject.path(number)), view)

    def test_a_black_plane_is_there_and_a_missing_one_is_not(self, subject: Subject) -> None:
        """A plane of zeros is data."""
        black = np.zeros((24, 32), "u2")
        files = subject.fill({subject.path(1): black, subject.path(3): value(3)})
        assert_same(files.load(subject.path(1)), black)
        assert files.exists(subject.path(1))
        assert not files.exists(subject.path(2))
        with pytest.raises(DataNotFoundError):
            files.load(subject.path(2))
        assert files.list_files(subject.folder) == [subject.path(1), subject.path(3)]

    def test_a_change_of_the_source_does_not_reach_what_is_stored(self, subject: Subject) -> None:
        """The caller may reuse its array."""
        array = value(1)
        files = subject.fill({subject.path(1): array})
        array[:] = 7
        assert_same(files.load(subject.path(1)), value(1))

    def test_a_change_of_a_loaded_array_does_not_reach_what_is_stored(self, subject: Subject) -> None:
        """A loaded array is a copy, or read-only."""
        files = subject.fill({subject.path(1): value(1)})
        with suppress(ValueError):  # NumPy raises it for a read-only array
            files.load(subject.path(1))[:] = 7
        assert_same(files.load(subject.path(1)), value(1))

    # --- batches ---

    def test_a_batch_comes_back_in_the_order_of_its_paths(self, subject: Subject) -> None:
        """The order of storing does not matter, and a path may occur twice."""
        content = some(subject, (3, 1, 20, 2))
        files = subject.fill(content)
        order = [subject.path(number) for number in (2, 20, 1, 20, 3)]
        for path, loaded in zip(order, files.load_batch(order), strict=True):
            assert_same(loaded, content[path])
        assert files.load_batch([]) == []

    # --- what is not there ---

    @pytest.mark.parametrize("operation", ["load", "load_batch", "list_files", "list_dir"])
    def test_what_is_not_there_is_an_error_that_names_it(self, subject: Subject, operation: str) -> None:
        """The error is also Python's ``FileNotFoundError``."""
        files = subject.fill(some(subject, (1, 2)))
        missing = subject.beside("missing") if operation.startswith("list") else subject.path(9)
        argument = [subject.path(1), missing, subject.path(2)] if operation == "load_batch" else missing
        with pytest.raises(DataNotFoundError) as caught:
            getattr(files, operation)(argument)
        assert isinstance(caught.value, WellfieldError)
        assert isinstance(caught.value, FileNotFoundError)
        assert subject.mentions(str(caught.value), missing)

    def test_nothing_is_found_in_a_place_that_holds_nothing(self, subject: Subject) -> None:
        """A backend can be opened and asked before anything is stored."""
        files = subject.open()
        assert not files.exists(subject.path(1))
        assert not files.is_file(subject.path(1))
        with pytest.raises(DataNotFoundError):
            files.load(subject.path(1))
        with pytest.raises(DataNotFoundError):
            files.list_files(subject.folder)

    def test_nothing_is_below_an_object(self, subject: Subject) -> None:
        """An object is not a folder; a question about a path below it is answered with no."""
        files = subject.fill(some(subject, (1,)))
        below = f"{subject.path(1)}/{Path(subject.path(1)).name}"
        assert not (files.exists(below) or files.is_file(below) or files.is_dir(below))
        for operation in ("load", "list_files", "list_dir"):
            with pytest.raises(DataNotFoundError):
                getattr(files, operation)(below)
        for operation in ("list_files", "list_dir"):
            with pytest.raises(StorageError):
                getattr(files, operation)(subject.path(1))

    def test_a_folder_is_not_loaded(self, subject: Subject) -> None:
        """A folder is not an object."""
        files = subject.fill(some(subject, (1,)))
        with pytest.raises(StorageError):
            files.load(subject.folder)

    def test_a_path_is_an_object_or_a_folder_or_nothing(self, subject: Subject) -> None:
        """``is_file``, ``is_dir`` and ``exists`` agree."""
        files = subject.fill(some(subject, (1,)))
        for path, kind in ((subject.path(1), "file"), (subject.folder, "dir"), (subject.path(2), None)):
            assert files.is_file(path) is (kind == "file"), path
            assert files.is_dir(path) is (kind == "dir"), path
            assert files.exists(path) is (kind is not None), path

    def test_str_and_path_mean_the_same(self, subject: Subject) -> None:
        """This holds for every operation."""
        files = subject.fill(some(subject, (1, 2)))
        path, folder = Path(subject.path(1)), Path(subject.folder)
        assert_same(files.load(path), value(1))
        assert_same(files.load_batch([path])[0], value(1))
        assert files.exists(path)
        assert files.is_file(path)
        assert files.is_dir(folder)
        assert files.list_files(folder) == files.list_files(str(folder))
        assert files.list_dir(folder) == files.list_dir(str(folder))

    def test_all_spellings_of_a_path_are_one_path(self, subject: Subject) -> None:
        """Empty parts, ``.`` and a slash at the end are ignored; listings have the plain spelling."""
        content = some(subject, (1, 2))
        files = subject.fill(content)
        folder, _, name = subject.path(1).rpartition("/")
        for path in (f"{folder}//{name}", f"{folder}/./{name}", f"{folder}/{name}/", f"{folder}/.//{name}/."):
            assert_same(files.load(path), value(1))
            assert (files.exists(path), files.is_file(path), files.is_dir(path)) == (True, True, False)
        for spelling in (f"{folder}/", f"{folder}//", f"{folder}/.", f"{folder}/./"):
            assert files.is_dir(spelling)
            assert files.list_dir(spelling) == files.list_dir(folder)
            assert files.list_files(spelling, recursive=True) == sorted(content)
            with pytest.raises(StorageError):
                files.load(spelling)

    # --- listings ---

    def test_listings_are_in_natural_order(self, subject: Subject) -> None:
        """For example, 2 comes before 10, and 999 before 1000."""
        numbers = (1000, 10, 999, 2)
        files = subject.fill(some(subject, numbers))
        expected = [subject.path(number) for number in sorted(numbers)]
        assert files.list_files(subject.folder) == expected
        assert files.list_files(subject.folder, recursive=True) == expected
        assert files.list_dir(subject.folder) == [Path(path).name for path in expected]

    def test_listings_hold_what_load_takes(self, subject: Subject) -> None:
        """This holds also if the folder ends with a slash, or is a ``Path``."""
        content = some(subject, (1, 2, 3))
        files = subject.fill(content)
        for folder in (subject.folder, f"{subject.folder}/", Path(subject.folder)):
            listed = files.list_files(folder)
            assert len(listed) == 3
            for loaded, array in zip(files.load_batch(listed), content.values(), strict=True):
                assert_same(loaded, array)

    def test_extensions_choose_in_any_case_of_letters(self, subject: Subject) -> None:
        """Without *extensions* all files are listed."""
        files = subject.fill(some(subject, (1, 2)))
        everything = files.list_files(subject.folder)
        for suffix in (subject.suffix, subject.suffix.upper()):
            assert files.list_files(subject.folder, extensions=[".other", suffix]) == everything
        assert files.list_files(subject.folder, extensions=(".other",)) == []
        assert files.list_files(subject.folder, extensions=None) == everything
        assert files.list_image_files(subject.folder) == everything

    @needs(Capability.FREE_NAMES)
    def test_extensions_choose_among_suffixes(self, subject: Subject) -> None:
        """The suffix of the name decides, whatever its case."""
        names = ("a.npy", "b.tif", "c.TIF", "d.tif.npy")
        files = subject.fill({subject.named(name): value(1) for name in names})
        listed = files.list_files(subject.folder, extensions={".tif"})
        assert sorted(listed) == sorted(map(subject.named, ("b.tif", "c.TIF")))

    @needs(Capability.NESTED)
    def test_listings_go_into_folders_only_when_asked(self, subject: Subject) -> None:
        """A folder beside it whose name begins with the same text is never listed."""
        inside = {f"{subject.folder}/{name}{subject.suffix}": value(1) for name in ("1", "2", "sub/3", "sub/deep/4")}
        beside = f"{subject.folder}_2/5{subject.suffix}"
        files = subject.fill({**inside, beside: value(2)})
        paths = list(inside)
        assert files.list_files(subject.folder) == paths[:2]
        assert sorted(files.list_files(subject.folder, recursive=True)) == sorted(paths)
        assert sorted(files.list_files(f"{subject.folder}/sub", recursive=True)) == sorted(paths[2:])
        assert files.list_dir(subject.folder) == [f"1{subject.suffix}", f"2{subject.suffix}", "sub"]
        assert files.list_dir(f"{subject.folder}/sub") == [f"3{subject.suffix}", "deep"]
        assert files.is_dir(f"{subject.folder}/sub/deep")

    # --- names ---

    @needs(Capability.FREE_NAMES)
    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_an_odd_name_is_a_name_like_others(self, subject: Subject, name: str) -> None:
        """No character in the name is an escape, a pattern or the end of the name."""
        content = {subject.named(name + subject.suffix): value(1), subject.named(f"plain{subject.suffix}"): value(2)}
        files = subject.fill(content)
        assert_holds(files, subject.folder, content)
        assert sorted(files.list_dir(subject.folder)) == sorted([name + subject.suffix, f"plain{subject.suffix}"])

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_an_odd_folder_is_a_folder_like_others(self, subject: Subject, name: str) -> None:
        """Folders above the objects may have odd names too."""
        moved = subject.at(subject.root / name)
        content = some(moved, (1, 2))
        assert_holds(moved.fill(content), moved.folder, content)

    # --- threads and instances ---

    def test_many_threads_may_read(self, subject: Subject) -> None:
        """Each thread gets the planes that it asks for."""
        content = some(subject, range(1, 13))
        files = subject.fill(content)

        def read(start: int) -> None:
            paths = [subject.path(1 + (start + step) % 12) for step in range(12)]
            for path in paths[:6]:
                assert_same(files.load(path), content[path])
            for path, loaded in zip(paths, files.load_batch(paths), strict=True):
                assert_same(loaded, content[path])
            assert len(files.list_files(subject.folder)) == 12

        at_once(read, range(8))

    @needs(Capability.PERSISTENT)
    def test_another_instance_sees_what_is_stored(self, subject: Subject) -> None:
        """Stored values do not depend on the instance."""
        content = some(subject, (1, 2))
        files = subject.fill(content)
        assert_holds(files, subject.folder, content)
        assert_holds(subject.open(), subject.folder, content)
