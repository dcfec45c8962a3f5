"""The surroundings of a job: log, threads, errors."""

import errno
import os

import pytest

from wellfield.errors import ConfigError
from wellfield.workflow.jobs import THREAD_VARIABLES, job, stop_reason


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in THREAD_VARIABLES:
        monkeypatch.setenv(name, "7")


def test_threads_of_every_library_are_capped(tmp_path):
    with job(tmp_path / "log", threads=3):
        assert {os.environ[name] for name in THREAD_VARIABLES} == {"3"}


def test_an_expected_error_is_one_message_with_its_traceback_in_the_log(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught, job(tmp_path / "log"):
        raise ConfigError("the key is wrong; write another")
    assert caught.value.code == 1
    assert capsys.readouterr().err == f"error: the key is wrong; write another\n(log: {tmp_path / 'log'})\n"
    assert "Traceback" in (tmp_path / "log").read_text()


def test_a_full_disk_is_an_expected_error(tmp_path, capsys):
    with pytest.raises(SystemExit), job(tmp_path / "log"):
        raise OSError(errno.ENOSPC, "No space left on device", "results/x")
    assert "no space left on the device while writing results/x" in capsys.readouterr().err


def test_any_other_error_goes_on_and_is_logged(tmp_path):
    with pytest.raises(ZeroDivisionError), job(tmp_path / "log"):
        _ = 1 / 0
    assert "ZeroDivisionError" in (tmp_path / "log").read_text()


def test_ctrl_c_ends_a_job_with_its_own_code_and_without_a_traceback(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught, job(tmp_path / "log"):
        raise KeyboardInterrupt
    assert caught.value.code == 130
    assert capsys.readouterr().err == ""
    assert (tmp_path / "log").read_text() == "ERROR wellfield: interrupted\n"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConfigError("the key is wrong;\n  write another"), "the key is wrong;\n  write another"),
        (OSError(errno.ENOSPC, "No space left on device", "x"), "no space left on the device while writing x"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
    ],
)
def test_the_log_ends_with_the_reason_for_which_a_job_stopped(tmp_path, error, reason):
    with pytest.raises((SystemExit, ZeroDivisionError)), job(tmp_path / "log"):
        raise error
    assert stop_reason(tmp_path / "log") == reason


def test_a_log_without_a_reason_has_none(tmp_path):
    with job(tmp_path / "log") as logger:
        logger.info("done")
    assert stop_reason(tmp_path / "log") == ""
    assert stop_reason(tmp_path / "nowhere") == ""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "results/x"), "results/x: Permission denied"),
        (OSError(errno.ENOTCONN, "Transport endpoint is not connected"), "a file: Transport endpoint is not connected"),
        (MemoryError("Unable to allocate 3 TiB"), "too little memory: Unable to allocate 3 TiB"),
        (MemoryError(), "too little memory: the machine gave none"),
    ],
)
def test_what_the_machine_refuses_is_one_line(tmp_path, capsys, error, said):
    log = tmp_path / "log"
    with pytest.raises(SystemExit), job(log):
        raise error
    assert capsys.readouterr().err.splitlines()[0] == f"error: {said}"
    assert stop_reason(log) == said


def test_a_log_takes_any_text_and_does_not_grow_without_bound(tmp_path, capsys):
    with job(tmp_path / "log") as logger:
        logger.error("lost \udcff, nul \x00, red \x1b[31m")
        logger.error("%s", "x" * 20_000_000)
        logger.error("after it")
    text = (tmp_path / "log").read_text()
    assert "lost \\udcff, nul \\x00, red \\x1b[31m" in text
    assert "(cut: 20,000,017 characters in all)" in text
    assert text.endswith("ERROR wellfield: after it\n")
    assert len(text) < 110_000
    assert capsys.readouterr().err == ""
