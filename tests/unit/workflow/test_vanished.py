"""Wells that have results and no raw image any more."""

import json

import pytest

from wellfield.config.settings import resolve_settings
from wellfield.errors import ConfigError, PlateFailedError
from wellfield.pipeline.plan import Plan
from wellfield.plate.plate import Plate
from wellfield.results.records import write_record
from wellfield.workflow.aggregate_plate import prune
from wellfield.workflow.check_plate import check_plate
from wellfield.workflow.ingest_plate import select_wells
from wellfield.workflow.vanished import vanished_note, vanished_wells

PLAN = Plan((), {}, {1: "DAPI"}, resolve_settings([]))
PLANES = {"used": 4, "missing": [], "skipped": [], "blanked": [], "skipped_fields": {}}


@pytest.fixture
def results(tmp_path):
    """Results of B02, B03 and AA01."""
    folder = tmp_path / "P"
    (folder / "wells").mkdir(parents=True)
    for well in ("B02", "B03", "AA01"):
        manifest = {"schema_version": 1, "plate": "P", "well": well, "status": "done", "error": None, "planes": PLANES}
        manifest |= {"plan_digest": PLAN.digest(), "files": []}
        (folder / "wells" / f"{well}.json").write_text(json.dumps(manifest))
        write_record(folder, "materialize_well", [{"path": f"wells/{well}.json"}], of={}, well=well)
    (folder / "wells" / "notes.json").write_text("{}")
    (folder / "plan.json").write_text(json.dumps(PLAN.to_json()))
    return folder


def info(*wells):
    return Plate("P", "/raw", "imagexpress", wells, {})


@pytest.mark.parametrize(
    ("present", "wanted", "vanished"),
    [
        (("B02", "B03", "AA01"), None, []),
        (("B02",), None, ["B03", "AA01"]),
        (("B02",), ["B02"], []),
        (("B02",), ["B02", "B03"], ["B03"]),
        ((), ["AA01"], ["AA01"]),
    ],
)
def test_a_well_with_results_and_no_plane_vanished_unless_the_sheet_takes_it_out(results, present, wanted, vanished):
    found = vanished_wells(results, info(*present), wanted)
    assert found == vanished
    chosen = select_wells(info(*present), wanted, vanished=found)
    assert chosen == [well for well in present if wanted is None or well in wanted]


def test_a_well_without_results_and_without_images_is_a_mistake_in_the_sheet(results):
    wanted = ["B02", "C04"]
    with pytest.raises(ConfigError, match="C04"):
        select_wells(info("B02"), wanted, vanished=vanished_wells(results, info("B02"), wanted))


@pytest.mark.parametrize(("wanted", "left"), [(None, ["AA01", "B02", "B03"]), (["B02"], ["B02"])])
def test_only_the_sheet_takes_results_away(results, wanted, left):
    prune(results, wanted)
    assert sorted(path.stem for path in (results / "wells").iterdir()) == [*left, "notes"]


def test_the_check_fails_and_says_what_to_do(results):
    assert check_plate(results, ["B02", "B03"])["wells"] == 2
    with pytest.raises(PlateFailedError, match=r"plate P: raw files gone; results of B03 stay.*Bring the raw "):
        check_plate(results, ["B02"], vanished=["B03"])


def test_long_lists_are_cut():
    assert vanished_note([f"A{column:02d}" for column in range(1, 13)]).endswith("A10 and 2 more stay as they were")
