"""An OME-Zarr store in a plate folder: which folder it is, the attributes of its groups, the files of its arrays.

The scan lists the files. Only metadata files are opened, each once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import TypeVar, cast

from wellfield.errors import MetadataError
from wellfield.formats.json_cursor import Checked
from wellfield.formats.json_files import read_json
from wellfield.microscopes.ngff import VERSIONS, ImageMetadata, check_version, read_image
from wellfield.microscopes.scan import BROKEN_LINK, LINKS, Scan, ScannedFile
from wellfield.storage.zarr.addressing import ATTRIBUTE
from wellfield.storage.zarr.chunks import ArrayLayout, parse_layout
from wellfield.storage.zarr.well_index import WellRecord, parse_record

NODE_FILES = (".zattrs", ".zgroup", "zarr.json")
LAYOUT = "bioformats2raw.layout"

T = TypeVar("T")


def store_folders(scan: Scan) -> list[str]:
    """Return the folders that are an OME-Zarr store: the plate folder itself (``""``), or those in it.

    Where there are several Zarr stores, those without OME metadata are left out; a store with damaged metadata stays.
    """
    roots: defaultdict[str, list[ScannedFile]] = defaultdict(list)
    for file in scan.files:
        if file.name in NODE_FILES and "/" not in file.folder:
            roots[file.folder].append(file)
    if "" in roots or len(roots) < 2:
        return sorted(roots)[:1]
    return [folder for folder, files in sorted(roots.items()) if _is_ome_zarr(scan, folder, files)]


def _is_ome_zarr(scan: Scan, folder: str, files: list[ScannedFile]) -> bool:
    try:
        return NgffStore(scan.root, folder, Scan(scan.root, files)).what is not None
    except MetadataError:
        return True


def open_store(root: Path, scan: Scan) -> NgffStore:
    """Return the one OME-Zarr store that a plate folder is, or has in it.

    Raises
    ------
    MetadataError
        There is none, or more than one; or its metadata is damaged.
    """
    folders = store_folders(scan)
    if len(folders) != 1:
        found = ", ".join(folders) or "none"
        raise MetadataError(
            f"{root} has to be an OME-Zarr store or to hold exactly one; found: {found}. "
            "List each as a plate of its own"
        )
    return NgffStore(root, folders[0], scan)


def parents(path: str) -> list[str]:
    """Return the folders above a path and the path itself: ``a``, ``a/b`` and ``a/b/c``."""
    parts = path.split("/")
    return ["/".join(parts[:k]) for k in range(1, len(parts) + 1)]


class NgffStore:
    """One store.

    Parameters
    ----------
    root:
        The plate folder.
    folder:
        Folder of the store, relative to it; ``""`` where the plate folder is the store.
    """

    def __init__(self, root: Path, folder: str, scan: Scan) -> None:
        self.root = root
        self.folder = folder
        self._files = {file.path for file in scan.files if file.name in (".zarray", *NODE_FILES)}
        self._links = {path for reason in (*LINKS, BROKEN_LINK) for path in scan.skipped.get(reason, ())}
        self.zarr_format = 3 if self.path("zarr.json") in self._files else 2
        self._known: dict[tuple[str, bytes], object] = {}

    def path(self, below: str) -> str:
        """Return a path in the store as one relative to the plate folder."""
        return "/".join(part for part in (self.folder, below) if part)

    @cached_property
    def what(self) -> str | None:
        """What the store is by its root's metadata: ``plate``, ``series`` or ``image``; ``None`` if none of these.

        Raises
        ------
        MetadataError
            The metadata is damaged, or has the place of another version of NGFF.
        """
        attributes = self.attributes("")
        found = None if attributes is None else _kind(attributes)
        if found is None:
            self._refuse_other_place()
        return found

    def version_note(self, attributes: Checked, kind: str, *, is_needed: bool = False) -> str | None:
        """Check the version of NGFF that a group states in *kind* of its attributes; return a note if it states none.

        Raises
        ------
        MetadataError
            As for :func:`~wellfield.microscopes.ngff.check_version`.
        """
        said = attributes[kind] if self.zarr_format == 2 else attributes
        return check_version(said, self.zarr_format, is_needed=is_needed)

    def attributes(self, group: str) -> Checked | None:
        """Return the NGFF attributes of a group; ``None`` if there is no such group, or it has none.

        Raises
        ------
        MetadataError
            They are damaged, or lie behind a link that is not followed.
        """
        file = self._file(group, ".zattrs")
        if file is None:
            return None
        everything = Checked(read_json(self.root / file), file)
        return self._ngff(everything)

    def image(self, group: str) -> ImageMetadata | None:
        """Return the metadata of an image; ``None`` if there is no such group, or it has none."""
        return self._parsed(group, ".zattrs", lambda content: self._read_image(content, is_root=not group))

    def record(self, group: str) -> WellRecord | None:
        """Return what Wellfield wrote of the planes of a well, if it did.

        Raises
        ------
        MetadataError, SchemaVersionError
            It is damaged, or of another version.
        """
        file = self._file(group, ".zattrs")
        if file is None:
            return None
        content = Checked(read_json(self.root / file), file)
        attributes = content.get("attributes") if self.zarr_format == 3 else content
        own = attributes.get(ATTRIBUTE) if attributes is not None else None
        return None if own is None else parse_record(self.root / self.path(group), self.zarr_format, own.value)

    def layout(self, array: str) -> ArrayLayout | None:
        """Return how an array is laid out; ``None`` if there is no such array."""
        return self._parsed(array, ".zarray", lambda content: parse_layout(content, self.zarr_format))

    def refuse_links(self, images: Iterable[str]) -> None:
        """Raise if a link that is not followed lies in one of *images*.

        Raises
        ------
        MetadataError
            One does: what it leads to would be taken as absent.
        """
        wanted = set(images)
        for link in sorted(self._links):
            if not wanted.isdisjoint(parents(link)):
                raise _link_error(self.root, link)

    def groups(self) -> list[str]:
        """Return the paths of all groups and arrays of the store, sorted; the root is ``""``."""
        prefix = f"{self.folder}/" if self.folder else ""
        folders = {file.rpartition("/")[0] for file in self._files}
        return sorted(folder[len(prefix) :] for folder in folders if folder == self.folder or folder.startswith(prefix))

    def _file(self, node: str, v2_name: str) -> str | None:
        path = self.path(node)
        file = f"{path}/{'zarr.json' if self.zarr_format == 3 else v2_name}".lstrip("/")
        if file in self._files:
            return file
        for link in self._links.intersection(parents(file)):
            raise _link_error(self.root, link)
        return None

    def _parsed(self, node: str, v2_name: str, parse: Callable[[Checked], T]) -> T | None:
        """Return what *parse* makes of a metadata file; done once for all nodes that have the same content."""
        file = self._file(node, v2_name)
        if file is None:
            return None
        try:
            content = (self.root / file).read_bytes()
        except OSError as error:
            raise MetadataError(f"{file} cannot be read: {error.strerror or error}") from error
        key = (v2_name, content)
        if key not in self._known:
            self._known[key] = parse(Checked(read_json(self.root / file), file))
        return cast("T", self._known[key])

    def _read_image(self, content: Checked, *, is_root: bool) -> ImageMetadata | None:
        attributes = self._ngff(content)
        return None if attributes is None else read_image(attributes, self.zarr_format, is_root=is_root)

    def _refuse_other_place(self) -> None:
        """Raise where the root has the metadata of one version of NGFF in the place of another."""
        file = self._file("", ".zattrs")
        content = Checked(read_json(self.root / file), file) if file is not None else None
        given = content.get("attributes") if content is not None and self.zarr_format == 3 else content
        if given is None or not isinstance(given.value, dict):
            return
        below = given.get("ome")
        other = below if self.zarr_format == 2 and below is not None and isinstance(below.value, dict) else given
        if (self.zarr_format == 3 or other is below) and _kind(other) is not None:
            expected = (
                "below 'ome', as NGFF 0.5 has it" if self.zarr_format == 3 else "not below 'ome', as NGFF 0.4 has it"
            )
            raise MetadataError(
                f"{given.source}: in Zarr v{self.zarr_format} the metadata of OME-Zarr {VERSIONS[self.zarr_format]} is "
                f"{expected}. Convert the store with the program that wrote it"
            )

    def _ngff(self, content: Checked) -> Checked | None:
        if self.zarr_format == 2:
            content.get("")  # raises if it is not an object
            return content
        attributes = content.get("attributes")
        return None if attributes is None else attributes.get("ome")


def _kind(attributes: Checked) -> str | None:
    kinds = {"plate": "plate", LAYOUT: "series", "multiscales": "image"}
    return next((kind for name, kind in kinds.items() if attributes.get(name) is not None), None)


def _link_error(root: Path, link: str) -> MetadataError:
    return MetadataError(
        f"{root / link} is a link to a folder, to nothing or out of the plate, which is not followed; put what it "
        "leads to there"
    )
