"""The storage backend of Zarr stores: an OME-Zarr plate seen as a folder of planes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from natsort import natsorted

from wellfield.errors import DataNotFoundError, StorageError, UnsupportedOperationError
from wellfield.plate.keys import plane_name
from wellfield.storage.backend import Backend, ZarrChunkStrategy, ZarrConfig
from wellfield.storage.base import PathLike, StorageBackend, has_extension
from wellfield.storage.zarr import reader
from wellfield.storage.zarr.batch import sort_batch
from wellfield.storage.zarr.layout import (
    LABELS,
    PlaneAddress,
    PlaneNotStoredError,
    parse_chunk_name,
    parse_logical,
    split_store,
    stored_wells,
)
from wellfield.storage.zarr.metadata import NGFF_VERSION, FieldMetadata
from wellfield.storage.zarr.writer import write_well

if TYPE_CHECKING:
    import numpy.typing as npt


class ZarrStorageBackend(StorageBackend):
    """Planes in OME-Zarr plates: ``plate.zarr/A01_s001_w1_z001_t001.tif``, labels in ``plate.zarr/labels/<name>/``.

    The first component of a path that ends with ``.zarr`` is the store. Planes are written a well at a time
    (:meth:`save_batch`) and read one by one; different wells may be written by different processes at once.
    :func:`~wellfield.storage.zarr.plate.finalize_plate` then writes what the wells share.
    """

    _backend_type: ClassVar[str | None] = Backend.ZARR

    def save(self, data: Any, identifier: PathLike, **kwargs: Any) -> None:
        """Refuse: a plane cannot be added to a well."""
        raise UnsupportedOperationError(
            f"{os.fspath(identifier)}: a Zarr store takes whole wells; save all planes of the well with save_batch"
        )

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

        Parameters
        ----------
        data_list:
            Planes ``[Y, X]``, which may be memory-mapped: they are copied a timepoint of a field at a time. Images of
            one integer or float dtype, which is kept; labels of integers, which become ``uint32``.
        identifiers:
            Their paths, all in one store.
        chunk_name:
            The well, as ``A01`` or ``well_A01``; taken from the paths if not given.
        zarr_config:
            Codec and layout.
        metadata:
            Pixel size, channel names and the like.

        Raises
        ------
        StorageError
            The planes are not those of one well, or differ in dtype.
        ArrayShapeError
            The planes differ in size or are not 2-D.
        UnsupportedOperationError
            The configuration asks for another NGFF version or layout.
        """
        self._check_batch(data_list, identifiers)
        if kwargs:
            raise TypeError(f"the Zarr backend knows no option {', '.join(sorted(kwargs))}")
        config = zarr_config or ZarrConfig()
        _check_config(config)
        well = None if chunk_name is None else parse_chunk_name(chunk_name)
        write_well(sort_batch(data_list, identifiers, well), config=config, metadata=metadata or FieldMetadata())

    def load(self, file_path: PathLike, **kwargs: Any) -> npt.NDArray[Any]:
        """Return one plane ``[Y, X]`` in its dtype; touches its own well only.

        Raises
        ------
        PlaneNotStoredError
            It is not there (a :class:`DataNotFoundError` and a :class:`MissingPlaneError`).
        UnreadableImageError
            It is damaged.
        """
        store, address = _locate(file_path)
        return reader.read_planes(store, [address])[0]

    def load_batch(self, file_paths: Sequence[PathLike], **kwargs: Any) -> list[npt.NDArray[Any]]:
        """Return planes in the given order; each well's metadata is read once."""
        wells: dict[tuple[Path, str], list[int]] = {}
        located = [_locate(path) for path in file_paths]
        for position, (store, address) in enumerate(located):
            wells.setdefault((store, address.key.well), []).append(position)
        planes: dict[int, npt.NDArray[Any]] = {}
        for (store, _), positions in wells.items():
            found = reader.read_planes(store, [located[position][1] for position in positions])
            planes.update(zip(positions, found, strict=True))
        return [planes[position] for position in range(len(located))]

    def exists(self, path: PathLike) -> bool:
        """Tell whether *path* is a stored plane, the store, or the folder of its labels or of one label."""
        return self.is_file(path) or self.is_dir(path)

    def is_file(self, path: PathLike) -> bool:
        """Tell whether *path* is a stored plane."""
        try:
            store, logical = split_store(path)
        except StorageError:
            return False
        address = parse_logical(logical)
        return address is not None and reader.has_plane(store, address)

    def is_dir(self, path: PathLike) -> bool:
        """Tell whether *path* is a store, its ``labels``, or one label that a well has."""
        try:
            store, logical = split_store(path)
        except StorageError:
            return False
        if not logical:
            return store.is_dir()
        folder, _, name = logical.partition("/")
        return folder == LABELS and any(
            not name or name in labels
            for labels in (reader.well_labels(store, well) for well in stored_wells(store))
            if labels
        )

    def list_files(
        self, directory: PathLike, *, extensions: Collection[str] | None = None, recursive: bool = False
    ) -> list[str]:
        """Return the paths of the planes in a store or label folder, naturally sorted.

        A store's own files are its image planes; its labels come with *recursive*.
        """
        store, logical = self._folder(directory)
        names = _plane_names(store, logical.partition("/")[2] or None) if logical != LABELS else []
        if recursive and not logical:
            names += [f"{LABELS}/{name}" for name in _label_plane_names(store)]
        elif recursive and logical == LABELS:
            names = _label_plane_names(store)
        return natsorted(os.path.join(directory, name) for name in names if has_extension(name, extensions))

    def list_dir(self, path: PathLike) -> list[str]:
        """Return the names in a store or label folder, naturally sorted."""
        store, logical = self._folder(path)
        labels = _label_names(store) if logical in ("", LABELS) else set()
        if logical == LABELS:
            return natsorted(labels)
        names = _plane_names(store, logical.partition("/")[2] or None)
        return natsorted([*names, LABELS] if labels else names)

    def ensure_directory(self, directory: PathLike) -> None:
        """Make the folder of a store; folders inside it come with the planes."""
        split_store(directory).store.mkdir(parents=True, exist_ok=True)

    def delete(self, path: PathLike) -> None:
        """Remove a store without wells; a plane cannot be removed from a well."""
        store, logical = split_store(path)
        if logical:
            raise UnsupportedOperationError(
                f"{os.fspath(path)}: a Zarr store cannot remove one plane; save the well's other planes with save_batch"
            )
        self._folder(path)
        if stored_wells(store):
            raise StorageError(f"{store} is not empty; delete_all removes it with its wells")
        shutil.rmtree(store)

    def delete_all(self, path: PathLike) -> None:
        """Remove a store and everything in it."""
        store, logical = split_store(path)
        if logical:
            raise UnsupportedOperationError(f"{os.fspath(path)}: only a whole Zarr store can be removed")
        self._folder(path)
        shutil.rmtree(store)

    def _folder(self, path: PathLike) -> tuple[Path, str]:
        if not self.is_dir(path):
            raise DataNotFoundError(f"{os.fspath(path)} is no Zarr store or folder in one")
        return split_store(path)


def _check_config(config: ZarrConfig) -> None:
    if config.ngff_version != NGFF_VERSION:
        raise UnsupportedOperationError(
            f"NGFF version {config.ngff_version!r} is not written yet; set ngff_version to {NGFF_VERSION!r}"
        )
    if config.chunk_strategy != ZarrChunkStrategy.FIELD:
        raise UnsupportedOperationError(
            f"layout {config.chunk_strategy!r} is not written yet; set chunk_strategy to FIELD"
        )


def _locate(path: PathLike) -> tuple[Path, PlaneAddress]:
    store, logical = split_store(path)
    address = parse_logical(logical)
    if address is None:
        raise PlaneNotStoredError(f"{os.fspath(path)}: {logical!r} names no plane, such as A01_s001_w1_z001_t001.tif")
    return store, address


def _plane_names(store: Path, label: str | None = None) -> list[str]:
    return [plane_name(key) for well in stored_wells(store) for key in reader.well_planes(store, well, label)]


def _label_names(store: Path) -> set[str]:
    return {name for well in stored_wells(store) for name in reader.well_labels(store, well)}


def _label_plane_names(store: Path) -> list[str]:
    return [f"{label}/{name}" for label in sorted(_label_names(store)) for name in _plane_names(store, label)]
