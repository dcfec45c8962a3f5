"""Digests of source code: what they follow and what they do not."""

import json
import textwrap

import pytest

from wellfield.workflow import source_digest
from wellfield.workflow.source_digest import source_digests

CODE = textwrap.dedent(
    '''
    """What the module is for."""

    from math import pi

    LIMIT = 1


    class Circle:
        """A circle."""

        radius: float = 1.0

        def area(self, factor=2, *, text=""):
            """Return the area."""
            # In pixels.
            if text:
                return f"{text} {pi:>{factor}}"
            return pi * self.radius**factor
    '''
)


def digest(text):
    return source_digest.source_digest(text.encode())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# In pixels.", "# In µm²."),
        ("        # In pixels.\n", ""),
        ('"""Return the area."""', '"""Return\n        the area."""'),
        ('        """Return the area."""\n', ""),
        ('"""What the module is for."""', ""),
        ('    """A circle."""\n', ""),
        (
            "return pi * self.radius**factor",
            "return (\n            pi\n            * self.radius ** factor  # a power\n        )",
        ),
        ('self, factor=2, *, text=""', "self, factor=2, *, text='',"),
        ("LIMIT = 1\n\n\n", "LIMIT = 1\n"),
        ("    ", "  "),
    ],
)
def test_a_comment_a_docstring_or_the_formatting_changes_no_digest(old, new):
    assert old in CODE
    assert digest(CODE.replace(old, new)) == digest(CODE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 1", "LIMIT = 1.0"),
        ("LIMIT = 1", "LIMIT = True"),
        ("LIMIT = 1", "LIMIT = '1'"),
        ("LIMIT = 1", "LIMIT = -1"),
        ("factor=2", "factor"),
        ("factor=2", "power=2"),
        ("*, text", "text"),
        ("self.radius**factor", "self.radius*factor"),
        ("pi:>{", "pi:<{"),
        ("if text:", "if not text:"),
        ("from math import pi", "from math import tau as pi"),
        ("radius: float = 1.0", "radius: int = 1.0"),
        ("LIMIT = 1", 'LIMIT = 1\n"""no docstring"""'),
    ],
)
def test_whatever_else_changes_does(old, new):
    assert old in CODE
    assert digest(CODE.replace(old, new)) != digest(CODE)


def test_moving_a_statement_out_of_a_block_changes_the_digest():
    inside, outside = "if a:\n    b()\n    c()\n", "if a:\n    b()\nc()\n"
    assert digest(inside) != digest(outside)


def test_source_that_is_not_python_has_a_digest_of_its_bytes():
    broken = "def f(:\n"
    assert digest(broken) == digest(broken)
    assert digest(broken) != digest(f"{broken}# a comment\n")
    assert source_digest.source_digest(b"\xff\x00") != source_digest.source_digest(b"\xff\x01")


def test_the_digest_is_the_same_with_every_version_of_python():
    """Another version of Python must not process all plates again: this digest is written down, not computed."""
    assert digest(CODE)[:16] == "dcf8ce06b0c5cd2c"


def test_digests_are_kept_by_the_content_of_files(tmp_path, monkeypatch):
    cache, file = tmp_path / "cache" / "digests.json", tmp_path / "code.py"
    file.write_text(CODE)
    found = source_digests([file], cache)
    assert found == {file: digest(CODE)}
    monkeypatch.setattr(source_digest.ast, "parse", None)  # nothing is parsed again
    assert source_digests([file], cache) == found
    (tmp_path / "copy.py").write_text(CODE)
    assert source_digests([tmp_path / "copy.py"], cache) == {tmp_path / "copy.py": digest_kept(cache)}


def digest_kept(cache):
    (kept,) = json.loads(cache.read_text()).values()
    return kept


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"a": 1}', b"\xff"])
def test_a_damaged_cache_is_replaced(tmp_path, content):
    cache, file = tmp_path / "digests.json", tmp_path / "code.py"
    file.write_text(CODE)
    cache.write_bytes(content)
    assert source_digests([file], cache) == {file: digest(CODE)}
    assert digest_kept(cache) == digest(CODE)


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path):
    file = tmp_path / "code.py"
    file.write_text(CODE)
    assert source_digests([file], file / "below a file.json") == {file: digest(CODE)}


def test_a_cache_that_grew_long_begins_again(tmp_path, monkeypatch):
    monkeypatch.setattr(source_digest, "_KEPT", 1)
    cache, files = tmp_path / "digests.json", [tmp_path / f"{name}.py" for name in "abc"]
    for number, file in enumerate(files):
        file.write_text(f"A = {number}\n")
        source_digests([file], cache)
    assert len(json.loads(cache.read_text())) == 1
