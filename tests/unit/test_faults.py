"""Whom an error is about, and what is said of it."""

import errno

import numpy as np
import pyarrow as pa
import pytest

from wellfield import errors
from wellfield.faults import LONGEST_REASON, clean_text, error_text, fails_plane, fails_well, refused_by_system

OF_THE_WELL = [
    errors.ArrayShapeError("x"),
    errors.BatchError("planes of one well differ in dtype"),
    errors.DuplicatePlaneError("x"),
    errors.MaterializationError("x"),
    errors.MemoryTypeError("x"),
    errors.StepError("x"),
    errors.UnknownFormatError("x"),
    errors.UnstorableDataError("label has id -1"),
    errors.UnsupportedOperationError("layout WELL holds images only"),
    pa.ArrowInvalid("x"),
    pa.lib.ArrowNotImplementedError("x"),
    pa.lib.ArrowTypeError("x"),
    ValueError("x"),
    TypeError("x"),
    KeyError("x"),
    OverflowError("x"),
    UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates"),
    RecursionError("x"),
    RuntimeError("x"),
    np.exceptions.AxisError(3, 2),
]
OF_THE_JOB = [
    KeyboardInterrupt(),
    SystemExit(1),
    MemoryError("x"),
    pa.lib.ArrowMemoryError("x"),
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EIO, "Input/output error"),
    OSError(errno.ENOTCONN, "Transport endpoint is not connected"),
    OSError(errno.ESTALE, "Stale file handle"),
    PermissionError(errno.EACCES, "Permission denied"),
    ImportError("x"),
    errors.AccessError("x"),
    errors.BrokenStageError("x"),
    errors.ConfigError("x"),
    errors.DataNotFoundError("x"),
    errors.DestinationExistsError("results/x was not written by Wellfield"),
    errors.DeviceMemoryError("blur", (1, 2, 3), "cuda:0"),
    errors.DeviceNotFoundError("x"),
    errors.DiskSpaceError("x"),
    errors.ForeignStoreError("x"),
    errors.MemoryConversionError("numpy", "cupy", "copy", "no device"),
    errors.MemoryLimitError("x"),
    errors.MetadataError("plan.json is not valid JSON"),
    errors.MissingLibraryError("x"),
    errors.PathEscapeError("x"),
    errors.PlateNotFoundError("x"),
    errors.SchemaVersionError("x"),
    errors.StorageError("results/x cannot be written: Permission denied"),
]


def kind(error):
    return f"{type(error).__name__} {getattr(error, 'errno', None) or ''}"


@pytest.mark.parametrize("error", OF_THE_WELL, ids=kind)
def test_what_is_wrong_with_the_data_fails_the_well(error):
    assert fails_well(error)


@pytest.mark.parametrize("error", OF_THE_JOB, ids=kind)
def test_what_is_wrong_with_the_machine_fails_the_job(error):
    assert not fails_well(error)


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EIO, errno.ELOOP])
def test_a_file_that_the_system_refuses_is_an_unreadable_plane(tmp_path, number):
    error = caused(errors.StorageError("x cannot be read"), OSError(number, "no"))
    assert fails_plane(error, tmp_path)
    assert refused_by_system(error)


@pytest.mark.parametrize(
    "number", [errno.ENOMEM, errno.EMFILE, errno.EINTR, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT]
)
def test_a_machine_at_its_limit_makes_no_plane_unreadable(tmp_path, number):
    assert not fails_plane(caused(errors.StorageError("x cannot be read"), OSError(number, "no")), tmp_path)


@pytest.mark.parametrize(
    "error",
    [
        errors.UnreadableImageError("x"),
        errors.DataNotFoundError("x"),
        errors.ImageKindError("x"),
        errors.StorageError("x is a folder; expected a file"),
        ValueError("x"),
    ],
    ids=kind,
)
def test_what_is_wrong_with_a_file_is_an_unreadable_plane_unless_the_whole_plate_is_gone(tmp_path, error):
    assert fails_plane(error, tmp_path)
    assert not refused_by_system(error)
    assert not fails_plane(error, tmp_path / "gone")


@pytest.mark.parametrize(
    "error", [MemoryError("x"), errors.MissingLibraryError("x"), errors.PlateNotFoundError("x"), KeyboardInterrupt()]
)
def test_a_missing_library_or_memory_makes_no_plane_unreadable(tmp_path, error):
    assert not fails_plane(error, tmp_path)


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def raised(function, *arguments):
    with pytest.raises(BaseException) as caught:
        function(*arguments)
    return caught.value


def silent():
    raise ValueError


def in_a_library():
    np.stack([])


def test_an_error_without_a_text_says_its_type_and_the_line_of_the_function():
    line = silent.__code__.co_firstlineno + 1
    assert error_text(raised(silent), silent) == f"ValueError, which says nothing (test_faults.py:{line}, in silent)"


def test_an_error_says_its_type_where_its_text_alone_says_little():
    assert error_text(KeyError("x")) == "KeyError: 'x'"
    assert error_text(errors.ArrayShapeError("expected a stack")) == "expected a stack"
    assert error_text(raised(in_a_library), in_a_library) == "ValueError: need at least one array to stack"


def test_an_error_whose_text_cannot_be_made_is_still_named():
    assert error_text(Mute()) == "Mute: (its text cannot be shown: RuntimeError)"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, with µ\nand a second line", "plain, with µ\nand a second line"),
        ("lost \udcff", "lost \\udcff"),
        ("nul \x00, bell \x07, \x1b[31mred", "nul \\x00, bell \\x07, \\x1b[31mred"),
        ("back\rover", "back\\rover"),
    ],
)
def test_text_that_cannot_be_written_or_steers_a_terminal_is_spelt_out(text, shown):
    assert clean_text(text) == shown
    assert clean_text(text).encode()


def test_a_long_text_is_cut_and_says_so():
    text = error_text(ValueError("x" * 20_000_000))
    assert len(text) < LONGEST_REASON + 100
    assert text.endswith("… (cut: 20,000,012 characters in all)")
