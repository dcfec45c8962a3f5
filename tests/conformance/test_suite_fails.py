"""The suite finds what is broken: each of these backends breaks one promise, and the behaviour that states it fails."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wellfield.errors import DataNotFoundError
from wellfield.storage import (
    DiskStorageBackend,
    MemoryStorageBackend,
    VirtualWorkspaceBackend,
    ZarrChunkStrategy,
    ZarrConfig,
    ZarrStorageBackend,
)
from wellfield.storage.conformance import BackendBehaviours, Subject, TreeMachine, WellMachine, run_machine
from wellfield.storage.conformance.subjects import (
    DiskSubject,
    MemorySubject,
    VirtualWorkspaceSubject,
    ZarrArraySubject,
    ZarrPlateSubject,
)
from wellfield.storage.paths import PathLike

FAILURES = (AssertionError, pytest.fail.Exception)


class SharesMemory(MemoryStorageBackend):
    def save(self, data: Any, identifier: PathLike, **kwargs: Any) -> None:
        super().save(data, identifier, **{**kwargs, "copy": False})


class SortsByLetters(MemoryStorageBackend):
    def list_files(self, directory: PathLike, **kwargs: Any) -> list[str]:
        return sorted(super().list_files(directory, **kwargs))


class LoadsInItsOwnOrder(ZarrStorageBackend):
    def load_batch(self, file_paths: Sequence[PathLike], **kwargs: Any) -> list[Any]:
        return super().load_batch(sorted(file_paths, key=str), **kwargs)


class MovesOverAnything(DiskStorageBackend):
    def move(self, source: PathLike, destination: PathLike, *, replace_symlinks: bool = False) -> None:
        if Path(source).is_file() and Path(destination).is_file():
            os.replace(source, destination)
        else:
            super().move(source, destination, replace_symlinks=replace_symlinks)


class RemovesBeforeItWrites(DiskStorageBackend):
    def save(self, data: Any, identifier: PathLike, **kwargs: Any) -> None:
        if self.is_file(identifier):
            self.delete(identifier)
        super().save(data, identifier, **kwargs)


class RemovesFullFolders(DiskStorageBackend):
    def delete(self, path: PathLike) -> None:
        if self.is_dir(path):
            self.delete_all(path)
        else:
            super().delete(path)


class TakesObjectsForMissingFolders(DiskStorageBackend):
    def list_files(self, directory: PathLike, **kwargs: Any) -> list[str]:
        if self.is_file(directory):
            raise DataNotFoundError(f"{directory} is not a folder", path=directory)
        return super().list_files(directory, **kwargs)


class ForgetsThePath(MemoryStorageBackend):
    def delete(self, path: PathLike) -> None:
        try:
            super().delete(path)
        except DataNotFoundError as error:
            raise DataNotFoundError(str(error)) from None


class WidensIntegers(ZarrStorageBackend):
    def load(self, file_path: PathLike, **kwargs: Any) -> Any:
        loaded = super().load(file_path, **kwargs)
        return loaded.astype("u4") if loaded.dtype == np.uint16 else loaded


class BlackForMissing(ZarrStorageBackend):
    def load(self, file_path: PathLike, **kwargs: Any) -> Any:
        return self.load_batch([file_path], **kwargs)[0]

    def load_batch(self, file_paths: Sequence[PathLike], **kwargs: Any) -> list[Any]:
        load = super().load_batch
        return [load([path], **kwargs)[0] if self.exists(path) else np.zeros((24, 32), "u2") for path in file_paths]


class SwallowsWrites(VirtualWorkspaceBackend):
    def save(self, data: Any, identifier: PathLike, **kwargs: Any) -> None:
        pass


def subject_of(kind: type[Any], backend: type[Any], root: Path) -> Subject:
    broken = type("Broken", (kind,), {"backend_type": backend})
    config = (ZarrConfig(chunk_strategy=ZarrChunkStrategy.FIELD),) if kind is ZarrPlateSubject else ()
    return broken(root, *config)


BREAKAGES = [
    (MemorySubject, SharesMemory, "test_a_change_of_the_source_does_not_reach_what_is_stored", ()),
    (MemorySubject, SortsByLetters, "test_listings_are_in_natural_order", ()),
    (DiskSubject, MovesOverAnything, "test_a_destination_is_never_overwritten", ("move",)),
    (DiskSubject, RemovesBeforeItWrites, "test_a_save_that_fails_leaves_what_was_there", ()),
    (DiskSubject, RemovesFullFolders, "test_only_an_empty_folder_is_deleted", ()),
    (DiskSubject, TakesObjectsForMissingFolders, "test_a_wrong_reading_is_the_error_that_says_so", ("list_files",)),
    (MemorySubject, ForgetsThePath, "test_a_wrong_change_is_the_error_that_says_so", ("delete",)),
    (ZarrArraySubject, WidensIntegers, "test_an_array_comes_back_bit_for_bit_with_its_dtype", ("u2",)),
    (ZarrPlateSubject, LoadsInItsOwnOrder, "test_a_batch_comes_back_in_the_order_of_its_paths", ()),
    (ZarrPlateSubject, BlackForMissing, "test_a_black_plane_is_there_and_a_missing_one_is_not", ()),
    (VirtualWorkspaceSubject, SwallowsWrites, "test_saving_again_replaces_the_object_as_a_whole", ()),
]


@pytest.mark.parametrize(("kind", "backend", "behaviour", "args"), BREAKAGES, ids=lambda x: getattr(x, "__name__", ""))
def test_a_broken_backend_fails_the_behaviour_it_breaks(
    kind: type[Any], backend: type[Any], behaviour: str, args: tuple[Any, ...], tmp_path: Path
) -> None:
    with pytest.raises(FAILURES):
        getattr(BackendBehaviours(), behaviour)(subject_of(kind, backend, tmp_path / "broken"), *args)
    intact = {key: value for key, value in vars(kind).items() if key == "backend_type"}["backend_type"]
    getattr(BackendBehaviours(), behaviour)(subject_of(kind, intact, tmp_path / "intact"), *args)


def test_the_tree_machine_finds_a_folder_removed_with_what_was_in_it(tmp_path: Path) -> None:
    with pytest.raises(FAILURES):
        run_machine(TreeMachine, subject_of(DiskSubject, RemovesFullFolders, tmp_path), shrink=False)


def test_the_well_machine_finds_black_in_the_place_of_a_missing_plane(tmp_path: Path) -> None:
    with pytest.raises(FAILURES):
        run_machine(
            WellMachine, subject_of(ZarrPlateSubject, BlackForMissing, tmp_path), examples=10, steps=12, shrink=False
        )
