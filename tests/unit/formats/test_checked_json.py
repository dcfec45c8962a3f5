"""Wellfield's own JSON files: whatever is wrong with one is one error that names the file, the place and what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wellfield.errors import DataNotFoundError, MetadataError, SchemaVersionError
from wellfield.formats import checked_json
from wellfield.formats.checked_json import InnerPath, OwnJson, is_inner, shape_problem

THING = OwnJson(
    "thing",
    1,
    {"name": str, "sizes": [int], "files?": [{"path": InnerPath}], "of": {str: (float, None)}},
    "Delete it, and it is made again",
)
SOUND = {"schema_version": 1, "name": "a", "sizes": [1, 2], "of": {"x": 0.5, "y": None}}


def written(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "thing.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_sound_file_is_read_as_it_is(tmp_path: Path) -> None:
    more = {**SOUND, "files": [{"path": "plate.zarr/B/02/"}], "anything": {"else": 1}}
    assert THING.read(written(tmp_path, more)) == more


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "it is empty"),
        ("no JSON", "it is not valid JSON"),
        ('{"schema_version": 1, "name"', "it is not valid JSON"),
        ("[" * 100_000, "it is not valid JSON"),
        ('{"schema_version": 1, "of": {"x": NaN}}', "NaN is not a JSON number"),
        ('{"schema_version": 1, "of": {"x": -Infinity}}', "-Infinity is not a JSON number"),
        ('{"name": "a", "name": "b"}', 'an object has the key "name" twice'),
        ([1], "the content is a list of 1; expected an object"),
        ({"schema_version": 1}, "the content has no 'name'"),
        ({**SOUND, "name": None}, "name is null; expected a text"),
        ({**SOUND, "sizes": {}}, "sizes is an empty object; expected a list"),
        ({**SOUND, "sizes": [1, "2"]}, r'sizes\[1\] is "2"; expected a whole number'),
        ({**SOUND, "sizes": [True]}, r"sizes\[0\] is true; expected a whole number"),
        ({**SOUND, "sizes": [2**63]}, r"sizes\[0\] is 9223372036854775808; expected a whole number"),
        ({**SOUND, "of": {"x": "y"}}, r'of\["x"\] is "y"; expected a number'),
        ({**SOUND, "of": []}, "of is a list of 0; expected an object"),
        ({**SOUND, "files": [{"path": "../x"}]}, r'files\[0\].path is "../x"; expected a path that stays'),
    ],
)
def test_whatever_is_wrong_is_one_line_with_the_file_the_place_and_what_to_do(
    tmp_path: Path, content: Any, reason: str
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(MetadataError, match=reason) as caught:
        THING.read(path)
    text = str(caught.value)
    assert text.startswith(f"{path} is not a valid thing: ")
    assert text.endswith("Delete it, and it is made again")
    assert "\n" not in text
    assert len(text) < 400


def test_a_file_of_another_version_says_which(tmp_path: Path) -> None:
    with pytest.raises(SchemaVersionError, match=r"thing\.json has schema version 2; this version .* reads 1"):
        THING.read(written(tmp_path, {**SOUND, "schema_version": 2}))
    with pytest.raises(SchemaVersionError, match="has schema version null"):
        THING.read(written(tmp_path, {"name": "a"}))


def test_a_missing_file_a_folder_and_a_huge_file_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataNotFoundError, match=r"none\.json does not exist"):
        THING.read(tmp_path / "none.json")
    with pytest.raises(MetadataError, match="is a folder"):
        THING.read(tmp_path)
    monkeypatch.setattr(checked_json, "MOST_BYTES", 10)
    with pytest.raises(MetadataError, match=r"thing\.json is not a valid thing: it has \d+ bytes"):
        THING.read(written(tmp_path, SOUND))


@pytest.mark.parametrize("error", [KeyError("axis"), TypeError("unknown argument 'x'"), ValueError("'Z' is not valid")])
def test_what_an_object_cannot_be_made_of_is_the_files_error_too(error: Exception) -> None:
    with (
        pytest.raises(MetadataError, match=r"a/plan\.json is not a valid thing: "),
        THING.parsing("a/plan.json"),
    ):
        raise error


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "..", "a/../../b", "./a", "a//b", "a/", "a\0b", 7, None, "tables/B02/objects.csv"]
)
def test_a_path_is_inside_its_folder_or_not(path: Any) -> None:
    assert is_inner(path) is (path in ("a/", "tables/B02/objects.csv"))


def test_the_first_of_several_forms_says_what_is_wrong() -> None:
    assert shape_problem("x", ([int], None)) == 'the content is "x"; expected a list'
    assert shape_problem(None, ([int], None)) is None
