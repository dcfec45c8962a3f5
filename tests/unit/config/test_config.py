"""The configuration: what is accepted, and what an error says."""

import copy
import json
from pathlib import Path

import pytest
import yaml
from snakemake.io import PeriodicityDetector
from snakemake.utils import update_config

from wellfield.config.load import load_config, merge_config, read_config, taken_for_configuration
from wellfield.config.plate_sheet import read_plate_sheet
from wellfield.config.schema import SCHEMAS, schema_text
from wellfield.config.typed_path import typed_path
from wellfield.errors import ConfigError
from wellfield.microscopes.presets import PRESETS
from wellfield.pipeline import load_steps
from wellfield.plate.filename_layout import WellNumbers

REPOSITORY = Path(__file__).resolve().parents[3]
STEPS = [{"func": "max_projection"}]


def explain(**changes):
    with pytest.raises(ConfigError) as caught:
        load_config({"steps": STEPS} | changes)
    return str(caught.value)


def test_the_shipped_configuration_is_valid():
    assert read_config(REPOSITORY / "config" / "config.yaml").steps


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_the_schemas_in_the_repository_are_those_of_the_models(name):
    text = (REPOSITORY / "config" / "schemas" / name).read_text(encoding="utf-8")
    assert text == schema_text(name), "run: make schemas"


def test_the_schema_accepts_the_shipped_configuration():
    import jsonschema

    schema = json.loads(schema_text("config.schema.json"))
    jsonschema.validate(yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text()), schema)


def test_all_mistakes_are_listed_with_key_value_and_what_is_allowed():
    text = explain(on_missing="ignore", sauce=1, zarr={"compression_level": 30})
    assert "on_missing: Input should be 'use_present', 'skip_field' or 'fail'; found 'ignore'" in text
    assert "sauce: unknown key; did you mean 'source'?" in text
    assert "zarr.compression_level: Input should be less than or equal to 9; found 30" in text


def test_a_mistake_in_a_step_names_the_step():
    text = explain(steps=[*STEPS, {"func": "tophat", "chanels": [1]}])
    assert "steps[2].chanels: unknown key; did you mean 'channels'?" in text


WELL = r"(?P<well>[A-P]\d+)\.tif"


def test_layouts_are_read_under_their_names():
    block = {"pattern": WELL, "pixel_size_um": 1, "channels": {0: "DNA", "x": "Actin"}, "defaults": {"z": 2}}
    config = load_config({"steps": STEPS, "layouts": {"mine": block, "other": {"pattern": WELL, "channels": ["a"]}}})
    layouts = config.plate_layouts()
    assert list(layouts) == ["mine", "other"]
    mine, other = layouts.values()
    assert (mine.name, mine.pattern, mine.pixel_size_um, mine.z_spacing_um) == ("mine", WELL, 1.0, None)
    assert mine.channels == {"0": "DNA", "x": "Actin"}
    assert mine.defaults == {"field": 1, "channel": 1, "z": 2, "timepoint": 1}
    assert other.channels == ("a",)


def test_a_layout_may_number_its_wells():
    block = {"pattern": r"W(?P<well>\d+)\.tif", "well_numbers": {"rows": 8, "columns": 12}}
    (layout,) = load_config({"steps": STEPS, "layouts": {"a": block}}).plate_layouts().values()
    assert layout.well_numbers == WellNumbers(8, 12, "rows")


def test_a_layout_may_name_a_preset_as_its_pattern():
    layouts = {"mine": {"pattern": "folder_per_well", "pixel_size_um": 0.5}}
    (layout,) = load_config({"steps": STEPS, "layouts": layouts}).plate_layouts().values()
    assert (layout.name, layout.pattern, layout.pixel_size_um) == ("mine", PRESETS["folder_per_well"].pattern, 0.5)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("a", {"pattern": "(?P<well>"}, "layouts.a.pattern: it is not a regular expression: missing )"),
        (
            "a",
            {"pattern": "(?P<wel>x)(?P<well>y)"},
            "unknown group 'wel'; did you mean 'well'? known: well, row, column",
        ),
        ("a", {"pattern": "(?P<qqq>x)(?P<well>y)"}, "unknown group 'qqq'; known: well"),
        ("a", {"pattern": "(?P<well>x)(?P<well>y)"}, "redefinition of group name 'well'"),
        (
            "a",
            {"pattern": "(?P<row>x)"},
            "no group is the well; it needs (?P<well>…), or (?P<row>…) and (?P<column>…)",
        ),
        ("a", {"pattern": "x"}, "no group is the well"),
        ("a", {"pattern": "(?P<row>x)(?P<well>y)"}, "the group 'well' and also 'row' or 'column'"),
        ("a", {"pixel_size_um": 0}, "layouts.a.pixel_size_um: Input should be greater than 0"),
        ("a", {"pixel_size_um": float("inf")}, "layouts.a.pixel_size_um: Input should be a finite number"),
        ("a", {"channels": ["DNA", "DNA"]}, "layouts.a.channels: each channel needs a name, and none twice"),
        ("a", {"channels": {1: "x", "01": "y"}}, "layouts.a.channels: two channels have the same number"),
        ("a", {"defaults": {"z": 10**12}}, "layouts.a.defaults.z: Input should be less than or equal to 999999"),
        ("a", {"channels": {1: ""}}, "layouts.a.channels: each channel needs a name"),
        ("a", {"channels": []}, "layouts.a.channels: List should have at least 1 item"),
        ("a", {"defaults": {"z": 0}}, "layouts.a.defaults.z: Input should be greater than or equal to 1"),
        ("a", {"defaults": {"feild": 1}}, "layouts.a.defaults.feild: unknown key; did you mean 'field'?"),
        ("a", {"chanels": ["DNA"]}, "layouts.a.chanels: unknown key; did you mean 'channels'?"),
        ("a", {"well_numbers": {"rows": 8}}, "layouts.a.well_numbers.columns: "),
        ("a", {"well_numbers": {"rows": 33, "columns": 1}}, "layouts.a.well_numbers.rows: Input should be less than"),
        ("a", {"well_numbers": {"rows": 8, "columns": 12, "order": "x"}}, "layouts.a.well_numbers.order: "),
        (
            "a",
            {"pattern": "(?P<row>.)(?P<column>.)", "well_numbers": {"rows": 8, "columns": 12}},
            "well_numbers needs a pattern with the group well",
        ),
        ("imagexpress", {}, "layouts.imagexpress: this name is taken by a microscope or a preset"),
        ("folder_per_well", {}, "layouts.folder_per_well: this name is taken"),
        ("auto", {}, "layouts.auto: this name is taken"),
        ("my plate", {}, "layouts.my plate: String should match pattern"),
    ],
)
def test_a_mistake_in_a_layout_is_named(name, change, message):
    text = explain(layouts={name: {"pattern": WELL} | change}, on_missing="guess")
    assert message in text
    assert "on_missing: " in text


def test_a_plate_sheet_may_name_layouts_and_presets(tmp_path):
    path = sheet(tmp_path, HEADER, ("P", str(tmp_path), "mine"), ("Q", str(tmp_path), "folder_per_well"))
    plates = read_plate_sheet(path, layouts=["mine"])
    assert [entry.microscope for entry in plates.values()] == ["mine", "folder_per_well"]
    with pytest.raises(
        ConfigError, match=r"unknown microscope 'mine'[.] Known: auto, .*imagexpress.*, folder_per_well"
    ):
        read_plate_sheet(path)


def test_a_missing_key_is_named():
    assert "steps[1].func: this key is missing" in explain(steps=[{"name": "a"}])


@pytest.mark.parametrize("params", [0, "", [], {"radius"}])
def test_parameters_of_a_function_of_a_chain_are_keys_and_values(params):
    assert "steps[1].func: Input should be a function" in explain(steps=[{"func": [{"func": "a", "params": params}]}])


def test_numbers_are_not_taken_for_text_nor_text_for_numbers():
    assert "results" in explain(results=5)
    assert "memory_margin_mb" in explain(memory_margin_mb="600")


def test_a_file_that_is_no_yaml_is_named(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("steps: [")
    with pytest.raises(ConfigError, match=r"c\.yaml cannot be read"):
        read_config(path)


def test_steps_alone_can_be_loaded_and_are_checked(tmp_path):
    path = tmp_path / "steps.yaml"
    path.write_text("steps:\n  - {func: tophat, params: {radius: 3}, channels: [1]}\n")
    (step,) = load_steps(path)
    assert (step.func, step.params, step.channels) == ("tophat", {"radius": 3}, [1])
    path.write_text("steps:\n  - {func: tophat, param: {radius: 3}}\n")
    with pytest.raises(ConfigError, match=r"param: unknown key; did you mean 'params'"):
        load_steps(path)


def sheet(tmp_path, *lines):
    path = tmp_path / "plates.tsv"
    path.write_text("\n".join("\t".join(line) for line in lines) + "\n", encoding="utf-8")
    return path


HEADER = ("plate", "folder", "microscope", "plate_map", "wells")


def test_a_plate_sheet_gives_plates_with_canonical_wells(tmp_path):
    path = sheet(tmp_path, ("# a comment",), HEADER, ("Plate µ 1", str(tmp_path), "", "", "b2, C03"))
    (entry,) = read_plate_sheet(path).values()
    assert (entry.plate, entry.microscope, entry.plate_map, entry.wells) == ("Plate µ 1", "auto", None, ("B02", "C03"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("a/b", "{tmp}"), "cannot be used as a name"),
        ((".hidden", "{tmp}"), "cannot be used as a name"),
        (("P{1}", "{tmp}"), "cannot be used as a name"),
        (("P" * 201, "{tmp}"), "its name has 201 bytes; expected 200 at most"),
        (("Plate" + 20 * "A", "{tmp}"), "ends in 20 or more equal parts"),
        (("x" + 20 * "ab", "{tmp}"), "ends in 20 or more equal parts"),
        (("P", ""), "its folder is missing"),
        (("P", "{tmp}/nowhere"), "does not exist"),
        (("P", "{tmp}/plates.tsv"), "is a file, not a folder"),
        (("P", "{tmp}", "leica"), "unknown microscope 'leica'. Known: auto, imagexpress"),
        (("P", "{tmp}", "auto", "nowhere.csv"), "plate map nowhere.csv cannot be read"),
        (("P", "{tmp}", "auto", "", "B02,Q99"), "column 99 of 'Q99'"),
        (("P", "~nobody_of_this_name/plate"), "no home directory of the user 'nobody_of_this_name'"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_with_its_reason(tmp_path, line, message):
    path = sheet(tmp_path, HEADER, [part.replace("{tmp}", str(tmp_path)) for part in line])
    with pytest.raises(ConfigError, match="line 2") as caught:
        read_plate_sheet(path)
    assert message in str(caught.value)


def test_a_plate_listed_twice_and_an_unknown_column_are_refused(tmp_path):
    twice = sheet(tmp_path, HEADER, ("P", str(tmp_path)), ("P", str(tmp_path)))
    with pytest.raises(ConfigError, match=r"line 3 \(P\): this name is listed twice; see line 2"):
        read_plate_sheet(twice)
    with pytest.raises(ConfigError, match="unknown column 'well'"):
        read_plate_sheet(sheet(tmp_path, (*HEADER, "well"), ("P", str(tmp_path))))


@pytest.mark.parametrize(("one", "two"), [("P", "p"), ("\u00e9", "e\u0301"), ("STRASSE", "stra\u00dfe")])
def test_names_that_are_one_folder_on_some_disks_are_refused(tmp_path, one, two):
    path = sheet(tmp_path, HEADER[:2], (one, str(tmp_path)), (two, str(tmp_path)))
    with pytest.raises(ConfigError, match="the same folder on some disks; see line 2"):
        read_plate_sheet(path)


@pytest.mark.parametrize("name", ["A" * 19, "P" * 5 + "1" * 19, "A" * 25 + "1", "Plate µ 1", "ab" * 19])
def test_names_that_are_long_or_repetitive_but_usable_are_taken(tmp_path, name):
    assert list(read_plate_sheet(sheet(tmp_path, HEADER, (name, str(tmp_path))))) == [name]
    assert not PeriodicityDetector().is_periodic(name)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([("plate", "folder", "folder"), ("P", "{tmp}", "{tmp}")], "column 'folder' is there twice"),
        ([HEADER, ('"P" 1', "{tmp}")], "quote"),
        ([HEADER, ('a"b', "{tmp}")], 'without / \\ { } "'),
        ([HEADER, ("P", "{tmp}", "auto", "", "B02", "B03")], "more cells than columns"),
        ([HEADER, ("P\u200b", "{tmp}")], "a character that cannot be seen"),
    ],
)
def test_what_a_sheet_could_mean_in_two_ways_is_refused(tmp_path, lines, message):
    path = sheet(tmp_path, *([cell.replace("{tmp}", str(tmp_path)) for cell in line] for line in lines))
    with pytest.raises(ConfigError) as caught:
        read_plate_sheet(path)
    assert message in str(caught.value)


def test_a_folder_in_the_home_directory_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "raw").mkdir()
    assert read_plate_sheet(sheet(tmp_path, HEADER, ("P", "~/raw/")))["P"].folder == f"{tmp_path}/raw"


@pytest.mark.parametrize(
    ("typed", "used"),
    [
        ("results", "results"),
        ("./results/", "results"),
        ("a//b/./c/", "a/b/c"),
        ("../out", "../out"),
        ("a/../out", "out"),
        ("../a/../out", "../out"),
        ("/data//out/", "/data/out"),
        (".", "."),
        ("/", "/"),
        ("~/out", "/home/me/out"),
        ("a~b", "a~b"),
    ],
)
def test_paths_are_used_as_they_were_meant(typed, used, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert typed_path(typed) == used
    config = load_config({"results": typed, "plates": typed, "steps": [{"func": "label"}]})
    assert (config.results, config.plates) == (used, used)


def test_what_lies_above_the_folder_behind_a_link_is_found(tmp_path, monkeypatch):
    (tmp_path / "far" / "below").mkdir(parents=True)
    (tmp_path / "link").symlink_to("far/below")
    monkeypatch.chdir(tmp_path)
    assert typed_path("link/../out") == str(tmp_path.resolve() / "far" / "out")
    assert typed_path("link/out") == "link/out"


def test_a_sheet_without_plates_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="lists no plate"):
        read_plate_sheet(sheet(tmp_path, HEADER))


def test_a_linter_can_read_a_sheet_whose_plates_are_elsewhere(tmp_path):
    path = sheet(tmp_path, HEADER, ("P", "nowhere", "auto", "nowhere.csv"))
    assert read_plate_sheet(path, check_files=False)["P"].folder == "nowhere"


FILE = {
    "results": "elsewhere",
    "vfs": {"read_backend": "disk"},
    "steps": STEPS,
    "layouts": {"a": {"pattern": "(?P<well>.*)"}},
}


@pytest.mark.parametrize(
    "changes",
    [
        {"results": "out"},
        {"vfs": {"materialization_backend": "zarr"}},
        {"vfs": {}},
        {"vfs": None},
        {"steps": [{"func": "label"}]},
        {"layouts": {"b": {"pattern": "q"}, "a": {"pixel_size_um": 0.5}}},
        {"zarr": {"compressor": "lz4"}},
        {"results": {"a": 1}},
    ],
)
def test_configurations_are_merged_as_snakemake_merges_them(changes):
    ours, theirs = copy.deepcopy(FILE), copy.deepcopy(FILE)
    merge_config(ours, changes)
    update_config(theirs, changes)
    assert ours == theirs


def test_a_file_may_hold_the_keys_alone_that_differ(tmp_path, monkeypatch):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text(yaml.safe_dump(FILE))
    (tmp_path / "mine.yaml").write_text("vfs: {materialization_backend: zarr}")
    monkeypatch.chdir(tmp_path)
    config = read_config("mine.yaml")
    assert (config.results, config.vfs.read_backend, config.vfs.materialization_backend) == (
        "elsewhere",
        "disk",
        "zarr",
    )
    assert read_config("config/config.yaml").given_settings() == {"vfs.read_backend": "disk"}


def test_results_that_snakemake_took_for_a_configuration_are_named():
    [hint] = taken_for_configuration([Path("mine.yaml").absolute(), Path("results/P1/wells/B03.json").absolute()])
    assert hint.startswith("Snakemake took results/P1/wells/B03.json for a configuration")
    assert taken_for_configuration([Path("mine.yml")]) == []
