"""The storage backend of Zarr: plates as folders of planes, and single arrays."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from natsort import natsorted

from wellfield.errors import (
    ArgumentTypeError,
    DataNotFoundError,
    DestinationExistsError,
    FolderNotEmptyError,
    InvalidPathError,
    IsFolderError,
    NotAFolderError,
    PathEscapeError,
    StorageError,
    UnknownFormatError,
    UnsupportedOperationError,
)
from wellfield.formats.atomic import restore_directory
from wellfield.storage.array_files import array_format
from wellfield.storage.backend import Backend, ZarrConfig
from wellfield.storage.base import ObjectKind, ObjectStatus, StorageBackend, has_extension
from wellfield.storage.files import file_errors, is_a_folder, link_status, not_found
from wellfield.storage.host import host_array
from wellfield.storage.paths import PathLike, named_path, new_path, path_list
from wellfield.storage.zarr import array_io, folders, reader
from wellfield.storage.zarr.addressing import (
    LABELS,
    PlaneAddress,
    PlaneNotStoredError,
    checked_path,
    in_named_store,
    parse_chunk_name,
    parse_logical,
    split_store,
    well_folder,
)
from wellfield.storage.zarr.batch import parse_paths
from wellfield.storage.zarr.ngff_metadata import FieldMetadata
from wellfield.storage.zarr.writer import write_zarr_well

if TYPE_CHECKING:
    import numpy.typing as npt


class ZarrStorageBackend(StorageBackend):
    """Planes of plates, a well at a time, and single arrays under any path.

    **Plates.** ``plate.zarr/A01_s001_w1_z001_t001.tif`` is a plane, ``plate.zarr/labels/nuclei/…`` one of a label. The
    first component of a path that ends with ``.zarr`` is the store; where none does and a batch names its well by
    ``chunk_name``, the folder of the paths is. :meth:`save_batch` writes a well, in one step and beside other processes
    that write other wells; :func:`~wellfield.storage.zarr.plate_metadata.finalize_plate` then writes what they share.

    **Single arrays.** :meth:`save` makes any other path the folder of a Zarr array of any rank, so that a path which
    works in memory or on disk works here.

    A plane name says its well, and finding the plane touches that well only. Planes with other names, which a batch may
    have in the order of a stack, are looked up in the record of every well unless ``chunk_name`` is given again.
    """

    _backend_type: ClassVar[str | None] = Backend.ZARR

    # --- writing -------------------------------------------------------------------------------------------------

    def save(self, data: Any, identifier: PathLike, *, zarr_config: ZarrConfig | None = None, **kwargs: Any) -> None:
        """Write one array of any rank as a Zarr v3 array.

        Raises
        ------
        UnsupportedOperationError
            The path is a plane of a plate: wells are written as a whole.
        UnknownFormatError
            The data is not an array of numbers.
        IsFolderError
            A folder is there.
        NotAFolderError
            The path lies below an array or a file.
        """
        _refuse_options(kwargs)
        config = _config(zarr_config)
        path = checked_path(new_path(identifier))
        single = _single_format(path) is not None
        if _is_plate_plane(path) or (not single and self.is_file(path)):
            raise UnsupportedOperationError(
                f"{path}: a plate takes whole wells; save all planes of the well with save_batch"
            )
        if in_named_store(path) and split_store(path).logical.partition("/")[0] == LABELS:
            message = f"{path}: {LABELS} of a store holds the labels of its wells; save the array somewhere else"
            raise InvalidPathError(message, path=path)
        array = host_array(data)
        if not isinstance(array, np.ndarray):
            raise UnknownFormatError(f"{path}: Zarr holds arrays, not a {type(data).__name__}")
        if single:
            folders.refuse_strangers(path)
        elif os.path.isdir(path):
            raise IsFolderError(f"{path} is a folder; an array cannot take its place", path=path)
        elif os.path.lexists(path):
            raise DestinationExistsError(f"{path} is not a Zarr array; an array cannot take its place", path=path)
        folders.check_parents(path)
        with file_errors(path, "be written"):
            array_io.save_array(path, array, config)

    def save_batch(
        self,
        data_list: Sequence[Any],
        identifiers: Sequence[PathLike],
        *,
        chunk_name: str | None = None,
        zarr_config: ZarrConfig | None = None,
        metadata: FieldMetadata | None = None,
        **kwargs: Any,
    ) -> None:
        """Write one well: all its planes and labels, in any order; what the store had of the well is replaced.

        What other programs put into the folder of the well stays. Who has keys instead of paths calls
        :func:`~wellfield.storage.zarr.writer.write_zarr_well`.

        Without *chunk_name*, and outside a ``.zarr`` store, the arrays are independent: each is saved by itself.

        Parameters
        ----------
        data_list:
            Planes ``[Y, X]``, which may be memory-mapped; nothing is copied but what is compressed. Images of one
            integer or float dtype, which is kept; labels of integers, stored as :data:`~.addressing.LABEL_DTYPE`.
        identifiers:
            Their paths, all in one store. If none of them is a plane name, the planes are a stack along z in the given
            order, and the names are kept.
        chunk_name:
            The well, as ``A01`` or ``well_A01``; taken from the paths if not given.
        zarr_config:
            Codec, layout and version.
        metadata:
            Pixel size, channel names and the like.

        Raises
        ------
        StorageError
            The planes are of several wells or differ in dtype, or plane names and other names are mixed.
        ArrayShapeError
            The planes differ in size or are not 2-D.
        UnsupportedOperationError
            The layout cannot hold this, such as labels with ``WELL``.
        """
        objects, given = self._batch(data_list, identifiers)
        _refuse_options(kwargs)
        config = _config(zarr_config)
        if chunk_name is None and not any(in_named_store(path) for path in given):
            super().save_batch(objects, given, zarr_config=config)
            return
        well = None if chunk_name is None else parse_chunk_name(chunk_name)
        paths = [checked_path(new_path(path)) for path in given]
        for path in paths:
            if not _is_plate_plane(path) and _single_format(path) is not None:
                message = f"{path} is a single array, which a plane of a well cannot replace"
                raise DestinationExistsError(message, path=path)
        planes = parse_paths(objects, paths, well)
        write_zarr_well(planes, config=config, metadata=metadata or FieldMetadata())

    # --- reading -------------------------------------------------------------------------------------------------

    def load(self, file_path: PathLike, *, chunk_name: str | None = None, **kwargs: Any) -> npt.NDArray[Any]:
        """Return one plane ``[Y, X]``, or a single array, in its dtype; touches its own well only.

        Raises
        ------
        PlaneNotStoredError
            It is not there (a :class:`DataNotFoundError` and a :class:`MissingPlaneError`).
        IsFolderError
            It is a folder.
        UnreadableImageError
            It is damaged.
        """
        return self.load_batch([file_path], chunk_name=chunk_name, **kwargs)[0]

    def load_batch(
        self, file_paths: Sequence[PathLike], *, chunk_name: str | None = None, **kwargs: Any
    ) -> list[npt.NDArray[Any]]:
        """Return planes in the given order; each well's record is read once."""
        _refuse_options(kwargs)
        paths = path_list(file_paths)
        loaded: dict[int, npt.NDArray[Any]] = {}
        wells: dict[tuple[Path, str], list[tuple[int, PlaneAddress]]] = {}
        for number, path in enumerate(map(checked_path, paths)):
            zarr_format = None if _is_plate_plane(path) else _single_format(path)
            if zarr_format is not None:
                loaded[number] = array_io.load_array(path, zarr_format)
                continue
            try:
                store, well, address = _locate(path, chunk_name)
            except PlaneNotStoredError as error:
                if self.is_dir(path):
                    raise is_a_folder(path) from error
                raise
            wells.setdefault((store, well), []).append((number, address))
        for (store, well), wanted in wells.items():
            planes = reader.load_planes(store, well, [address for _, address in wanted])
            loaded.update(zip((number for number, _ in wanted), planes, strict=True))
        return [loaded[number] for number in range(len(paths))]

    def exists(self, path: PathLike) -> bool:
        """Tell whether *path* is a stored plane, a single array, a store or a folder."""
        return self.is_file(path) or self.is_dir(path)

    def is_file(self, path: PathLike) -> bool:
        """Tell whether *path* is a stored plane or a single array that can be recognised."""
        try:
            target = checked_path(path)
            if not _is_plate_plane(target) and _single_format(target) is not None:
                return not folders.in_well(target)
            store, well, address = _locate(target, None, damaged=False)
        except (StorageError, PathEscapeError):
            return False
        return reader.has_plane(store, well, address)

    def is_dir(self, path: PathLike) -> bool:
        """Tell whether *path* is a folder, a store, its ``labels``, or one label that a well has."""
        try:
            target = checked_path(path)
            return folders.is_folder(target) or self._label_of(target, damaged=False) is not None
        except (StorageError, PathEscapeError):
            return False

    def list_files(
        self, directory: PathLike, *, extensions: Collection[str] | None = None, recursive: bool = False
    ) -> list[str]:
        """Return the paths of the planes in a store or label folder, and of single arrays, naturally sorted.

        A store's own files are its image planes; its labels come with *recursive*. A well whose metadata is damaged is
        an error, as what it holds is not known.
        """
        found = self._files(directory, recursive=recursive)
        return natsorted(sorted({path for path in found if has_extension(path, extensions)}))

    def list_dir(self, path: PathLike) -> list[str]:
        """Return the names in a folder, a store or a label folder, naturally sorted."""
        files, names = self._entries(path)
        return natsorted(sorted([*files, *names]))

    def stat(self, path: PathLike) -> ObjectStatus:
        """Return kind, size and time; planes of a plate share objects, so that theirs has no size of its own."""
        target = checked_path(path)
        if os.path.islink(target):
            there = self._status(target) if self.exists(target) else None
            return link_status(target, target.lstat().st_mtime, there)
        return self._status(target)

    def _status(self, target: Path) -> ObjectStatus:
        if self.is_dir(target):
            return ObjectStatus(ObjectKind.FOLDER, 0, _modified(target) if target.is_dir() else None)
        if not self.is_file(target):
            raise not_found(target)
        if not _is_plate_plane(target) and _single_format(target) is not None:
            return ObjectStatus(ObjectKind.FILE, folders.size(target), _modified(target))
        store, well, _ = _locate(target, None)
        return ObjectStatus(ObjectKind.FILE, None, _modified(well_folder(store, well)))

    # --- folders -------------------------------------------------------------------------------------------------

    def ensure_directory(self, directory: PathLike) -> None:
        """Make a folder, which becomes a store with the first well; folders inside a store come with the planes."""
        path = checked_path(named_path(directory))
        if in_named_store(path):
            path = split_store(path).store
        if _single_format(path) is not None:
            raise NotAFolderError(f"{path} is an array, not a folder", path=path)
        if os.path.lexists(path) and not os.path.isdir(path):
            raise NotAFolderError(f"{path} is a file, not a folder", path=path)
        folders.check_parents(path)
        with file_errors(path, "be made"):
            path.mkdir(parents=True, exist_ok=True)

    def delete(self, path: PathLike) -> None:
        """Remove one single array, an empty folder or a store without wells; a plane cannot be removed from a well."""
        target = self._own_folder(named_path(path), "remove one plane; save the well's other planes with save_batch")
        if target.is_symlink():
            folders.remove(target)
            return
        if self.is_file(path):
            folders.refuse_strangers(target)
        elif not folders.is_empty(target):
            raise FolderNotEmptyError(f"{target} is not empty; delete_all removes it with what is in it", path=target)
        folders.remove(target)

    def delete_all(self, path: PathLike) -> None:
        """Remove a folder or a store and everything in it."""
        if self.is_file(named_path(path)):
            raise NotAFolderError(f"{os.fspath(path)} is not a folder", path=path)
        target = self._own_folder(path, "remove a part of its wells")
        if target.is_symlink():
            raise NotAFolderError(f"{target} is a link to a folder; delete removes the link", path=target)
        folders.remove(target)

    def copy(self, source: PathLike, destination: PathLike) -> None:
        """Copy a single array, or a folder or store with everything in it; complete or not at all."""
        target = self._new(source, destination)
        folders.copy(self._own_folder(source, "copy one plane; load it and save it elsewhere"), target)

    def move(self, source: PathLike, destination: PathLike, *, replace_symlinks: bool = False) -> None:
        """Give a single array, a folder or a store another path."""
        target = self._new(source, destination, replace_symlinks=replace_symlinks)
        folders.move(
            self._own_folder(source, "move one plane out of a well"), target, replace_symlinks=replace_symlinks
        )

    # --- helpers -------------------------------------------------------------------------------------------------

    def _own_folder(self, path: PathLike, cannot: str) -> Path:
        """Return the real folder of a single array, a folder or a store."""
        target = checked_path(path)
        if folders.is_folder(target) or (self.is_file(path) and _single_format(target) is not None):
            return target
        if self.exists(path) or _is_plate_plane(target):
            raise UnsupportedOperationError(f"{target}: a Zarr store cannot {cannot}", path=target)
        raise not_found(target)

    def _new(self, source: PathLike, destination: PathLike, *, replace_symlinks: bool = False) -> Path:
        """Return where something goes, if nothing is there."""
        target = checked_path(new_path(destination))
        if _is_plate_plane(target) and not _is_plate_plane(source):
            raise UnsupportedOperationError(f"{target}: a plate takes whole wells; save them with save_batch")
        folders.check_parents(target)
        replaced = replace_symlinks and target.is_symlink()
        if not replaced and (os.path.lexists(target) or self.exists(target)):
            raise DestinationExistsError(f"{target} exists; remove it first, or give another path", path=target)
        return target

    def _files(self, directory: PathLike, *, recursive: bool) -> list[str]:
        folder = checked_path(directory)
        files, names = self._entries(folder)
        found = [os.path.join(folder, name) for name in files]
        for inside in (os.path.join(folder, name) for name in names if recursive):
            if not os.path.islink(inside):  # which may lead in a circle
                with suppress(DataNotFoundError):  # it went meanwhile
                    found += self._files(inside, recursive=True)
        return found

    def _entries(self, directory: PathLike) -> tuple[list[str], list[str]]:
        """Return the names of what is in a folder: planes and arrays, and folders."""
        folder = checked_path(directory)
        with file_errors(folder, "be listed"):
            return self._names(folder)

    def _names(self, folder: Path) -> tuple[list[str], list[str]]:
        store = _label_store(folder)
        label = self._label_of(folder)
        if store is not None and label is not None:
            records = reader.records(store)
            if not label:
                return [], sorted({name for record in records for name in record.labels})
            return [name for record in records for name in record.plane_names(label)], []
        if not folders.is_folder(folder):
            if self.is_file(folder):
                raise NotAFolderError(f"{folder} is not a folder or Zarr store", path=folder)
            raise DataNotFoundError(f"{folder} is not a folder or Zarr store", path=folder)
        records = reader.records(folder)
        planes = [name for record in records for name in record.plane_names()]
        arrays, inside = folders.children(folder)
        if any(record.labels for record in records):
            inside.append(LABELS)
        return [*planes, *arrays], inside

    def _label_of(self, path: Path, *, damaged: bool = True) -> str | None:
        """Return the label that a folder inside a store is of, ``""`` for the folder of all; ``None`` for any other."""
        store = _label_store(path)
        if store is None:
            return None
        name = path.name if path.name != LABELS else ""
        records = reader.records(store, damaged=damaged)
        return name if any(record.labels and (not name or name in record.labels) for record in records) else None


def _modified(folder: Path) -> float:
    with file_errors(folder, "be looked at"):
        return folder.stat().st_mtime


def _config(given: ZarrConfig | None) -> ZarrConfig:
    if not isinstance(given, ZarrConfig | None):
        raise ArgumentTypeError(f"zarr_config is {given!r}; expected a ZarrConfig")
    return given or ZarrConfig()


def _refuse_options(options: dict[str, Any]) -> None:
    if options:
        raise ArgumentTypeError(f"the Zarr backend knows no option {', '.join(sorted(options))}")


def _single_format(path: Path) -> int | None:
    """Return the Zarr version of the single array at *path*; ``None`` if there is no array."""
    found = array_format(path)
    if found is None and path.name:
        restore_directory(path)
        found = array_format(path)
    return found


def _label_store(path: Path) -> Path | None:
    """Return the store of a folder ``labels`` or ``labels/<name>``; ``None`` for any other."""
    if path.name == LABELS:
        return path.parent
    return path.parent.parent if path.parent.name == LABELS else None


def _is_plate_plane(path: PathLike) -> bool:
    """Tell whether *path* names a plane in a ``.zarr`` store, which need not exist."""
    if not in_named_store(path):
        return False
    address = parse_logical(split_store(path).logical)
    return address is not None and address.key is not None


def _locate(path: Path, chunk_name: str | None, *, damaged: bool = True) -> tuple[Path, str, PlaneAddress]:
    """Return store, well and address of a plane.

    Raises
    ------
    PlaneNotStoredError
        No well has it.
    """
    store, logical = split_store(path)
    address = parse_logical(logical)
    label_store = _label_store(path.parent)
    if address is None and label_store is not None:  # a label of a store without .zarr
        store, address = label_store, parse_logical(str(path.relative_to(label_store)))
    if address is None:
        raise PlaneNotStoredError(f"{path}: {logical!r} names no plane, such as A01_s001_w1_z001_t001.tif", path=path)
    well = parse_chunk_name(chunk_name) if chunk_name is not None else reader.well_of(store, address, damaged=damaged)
    if well is None:
        raise PlaneNotStoredError(f"{path} does not exist: {logical!r} names no plane of a well here", path=path)
    return store, well, address
