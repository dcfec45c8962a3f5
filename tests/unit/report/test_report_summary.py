"""The page of a plate."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from wellfield.plate.plate import Plate
from wellfield.plate.platemap import WellTreatment
from wellfield.report.dose_response import DoseResponse
from wellfield.report.logistic import Fit, LogisticCurve
from wellfield.report.redact import PathCleaner
from wellfield.report.render import LISTED_FILES
from wellfield.report.statistics import VALUE_COLUMNS, plate_statistics
from wellfield.report.summary import LISTED_STATISTICS, write_summary

VOID = {"img", "meta"}


class Page(HTMLParser):
    """Text, rows of tables and tags of a page; fails on tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.tables: list[list[list[str]]] = []
        self.row_kinds: list[str] = []
        self.lines: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.rows.append([])
            self.tables[-1].append(self.rows[-1])
            self.row_kinds.append(dict(attrs).get("class") or "")
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.lines.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.lines).split())

    def table(self, *head: str) -> list[list[str]]:
        """Rows of the first table whose header starts with *head*."""
        return next(rows[1:] for rows in self.tables if tuple(rows[0][: len(head)]) == head)


def plate_info(**changes: Any) -> Plate:
    values: dict[str, Any] = {
        "name": "P1",
        "path": "/data/secret place/P1",
        "microscope": "imagexpress",
        "wells": ("A01", "B02", "C10"),
        "channels": {1: "DAPI", 3: "Tubulin"},
        "shape": (1080, 1280),
        "dtype": "uint16",
        "pixel_size_um": 0.65,
        "z_spacing_um": 2.0,
    }
    return Plate(**(values | changes))


def ingest_report(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "schema_version": 1,
        "name": "P1",
        "microscope": {"name": "imagexpress", "why": "/data/secret place/P1/plate.HTD is there"},
        "found": {
            "planes": 48,
            "bytes": 132_000_000,
            "wells": ["A01", "B02", "C10"],
            "fields": [1, 2],
            "timepoints": [1],
            "channels": {
                "1": {"name": "DAPI", "z_and_projections": ["z1", "z2"]},
                "3": {"name": "Tubulin", "z_and_projections": ["max"]},
            },
            "planes_per_well": {},
        },
        "missing_planes": [],
        "promised_but_absent": {},
        "ignored": {},
        "notes": [],
        "images_opened": 3,
    }
    return values | changes


def manifest(well: str, **planes: Any) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "name": "P1",
        "well": well,
        "status": "done",
        "error": None,
        "planes": {"used": 16, "missing": [], "skipped": [], "blanked": []} | planes,
        "files": [],
    }


def failed_manifest(well: str, message: str, **error: Any) -> dict[str, Any]:
    reason = {"message": message, "step": None, "field": None, "channel": None, "file": None} | error
    return manifest(well) | {"status": "failed", "error": reason}


def counts_table(*rows: tuple[str, int, int, str, int | None]) -> pd.DataFrame:
    table = pd.DataFrame(
        rows, columns=["Metadata_Well", "Metadata_Site", "Metadata_Timepoint", "Object", "Count"]
    ).astype({"Count": "Int64"})
    table.insert(0, "Metadata_Plate", "P1")
    return table.assign(Planes_Missing=0, Planes_Skipped=0, Planes_Blanked=0)


VALUES = pd.DataFrame(
    [("A01", 1, "Nuclei_Count", 1234.5), ("B02", 1, "Nuclei_Count", 10.0), ("C10", 1, "Nuclei_Count", 14.0)],
    columns=list(VALUE_COLUMNS),
)
COUNTS = counts_table(*((well, field, 1, "Nuclei", 600 * field) for well in ("A01", "B02", "C10") for field in (1, 2)))
GOOD = {well: manifest(well) for well in ("A01", "B02", "C10")}


def write(path: Path, **changes: Any) -> Page:
    values: dict[str, Any] = {
        "info": plate_info(),
        "ingest": ingest_report(),
        "manifests": GOOD,
        "logs": {},
        "counts": COUNTS,
        "treatments": {},
        "statistics": plate_statistics(VALUES, {}, plate="P1"),
        "responses": [],
        "responses_note": "",
    }
    write_summary(path / "summary.html", **(values | changes))
    return Page((path / "summary.html").read_text(encoding="utf-8"))


def test_a_good_plate_says_so_and_gives_its_facts(tmp_path: Path) -> None:
    page = write(tmp_path)
    assert "All 3 wells were processed; no plane was missing, skipped or blanked." in page.text
    assert "What went wrong" not in page.text
    facts = "imagexpress · 3 wells processed · 2 fields · 1 timepoint · 2 channels (DAPI, Tubulin)"
    assert f"{facts} · 1080 × 1280 pixels uint16 · 0.65 µm per pixel · z step 2 µm · 48 planes" in page.text


def test_wells_that_were_not_processed_are_no_failures(tmp_path: Path) -> None:
    page = write(tmp_path, manifests={"B02": manifest("B02")}, counts=COUNTS[COUNTS.Metadata_Well == "B02"])
    assert "1 of 3 wells processed" in page.text
    assert "The well was processed" in page.text


def test_a_failed_well_is_named_first_with_everything_that_is_known(tmp_path: Path) -> None:
    bad = failed_manifest("B02", "no TIFF", step="count_nuclei", field=2, channel=3, file="T1/x_w3.TIF")
    page = write(tmp_path, manifests=GOOD | {"B02": bad, "C10": failed_manifest("C10", "out of luck")})
    assert page.table("Well", "Where") == [
        ["B02", "field 2, channel 3, step count_nuclei, file T1/x_w3.TIF", "no TIFF"],
        ["C10", "–", "out of luck"],
    ]
    assert page.text.index("What went wrong") < page.text.index("Counts per well")
    assert "2 of 3 wells failed" in page.text
    assert "were processed; no plane" not in page.text


def test_a_failure_without_a_reason_is_still_reported(tmp_path: Path) -> None:
    page = write(tmp_path, manifests=GOOD | {"B02": manifest("B02") | {"status": "failed"}})
    assert page.table("Well", "Where") == [["B02", "–", "its manifest gives no reason"]]


def test_skipped_and_blanked_planes_are_named_with_field_channel_file_and_reason(tmp_path: Path) -> None:
    skipped = [{"plane": "A01_s002_w3_z001_t001.tif", "file": "a.TIF", "reason": "0 bytes"}]
    blanked = [{"plane": "C10_s001_w1_max_t001.tif", "file": "b.TIF", "reason": "truncated"}]
    page = write(
        tmp_path,
        manifests=GOOD | {"A01": manifest("A01", skipped=skipped), "C10": manifest("C10", blanked=blanked)},
    )
    assert page.table("Well", "Field") == [
        ["A01", "2", "3", "A01_s002_w3_z001_t001.tif", "skipped", "a.TIF", "0 bytes"],
        ["C10", "1", "1", "C10_s001_w1_max_t001.tif", "blanked", "b.TIF", "truncated"],
    ]
    assert [row[-3:] for row in page.table("Well", "Nuclei")] == [["0", "1", "0"], ["0", "0", "0"], ["0", "0", "1"]]


def test_skipped_and_absent_fields_are_named_though_no_plane_was_skipped(tmp_path: Path) -> None:
    reason = "step marker: channel 2 (FITC) has no plane in this field"
    skipped = manifest("B02", skipped_fields={"B02_s002_t001": reason, "B02_stitched_t001": "no field"})
    counts = COUNTS.assign(Status="ok")
    counts.loc[counts["Metadata_Well"] == "C10", "Status"] = "field_absent"
    page = write(tmp_path, manifests=GOOD | {"B02": skipped}, counts=counts)
    assert "2 fields skipped" in page.text
    assert page.table("Well", "Field skipped") == [["B02", "2", "1", reason], ["B02", "stitched_t001", "–", "no field"]]
    assert page.table("Well", "Field without an image") == [["C10", "1", "1"], ["C10", "2", "1"]]
    assert "no plane was missing" not in page.text


def test_blanked_fields_are_in_no_sum(tmp_path: Path) -> None:
    counts = counts_table(("A01", 1, 1, "Nuclei", 16), ("A01", 2, 1, "Nuclei", 3)).assign(
        Status=["ok", "field_blanked"]
    )
    page = write(tmp_path, manifests={"A01": manifest("A01")}, counts=counts)
    assert page.table("Well", "Nuclei") == [["A01", "16", "1 of 2", "0", "0", "0"]]


def test_what_plate_and_map_do_not_agree_about_is_on_the_page(tmp_path: Path) -> None:
    page = write(tmp_path, plate_map_notes=["1 of 2 wells of the plate map are not on the plate: <B01>."])
    assert "1 of 2 wells of the plate map are not on the plate: <B01>." in page.text


def test_missing_planes_of_manifest_and_index_count_once(tmp_path: Path) -> None:
    names = [f"A01_s001_w1_z{z:03d}_t001.tif" for z in (1, 2)]
    page = write(
        tmp_path,
        manifests=GOOD | {"A01": manifest("A01", missing=names[:1])},
        ingest=ingest_report(missing_planes=[*names, "H12_s001_w1_z001_t001.tif"]),
    )
    assert page.table("Well", "Planes") == [["A01", "2", ", ".join(names)]]
    assert "2 planes missing in 1 well" in page.text
    assert page.table("Well", "Nuclei")[0] == ["A01", "1,800", "2", "2", "0", "0"]


def test_counts_are_summed_per_well_and_class_next_to_the_treatment(tmp_path: Path) -> None:
    counts = counts_table(
        ("C10", 1, 1, "Nuclei", 5),
        ("A01", 1, 1, "Nuclei", 1000),
        ("A01", 1, 2, "Nuclei", 10),
        ("A01", 2, 1, "Nuclei", 7),
        ("A01", 1, 1, "Spots", 0),
    )
    treatments = {
        "A01": WellTreatment("A01", "staurosporine", 0.5, "µM", "positive"),
        "H12": WellTreatment("H12", "elsewhere", None, "", "empty"),
    }
    page = write(tmp_path, counts=counts, treatments=treatments)
    assert page.rows[page.rows.index(page.table("Well", "Treatment")[0]) - 1] == [
        "Well", "Treatment", "Concentration", "Control", "Nuclei", "Spots",
        "Fields", "Planes missing", "Planes skipped", "Planes blanked",
    ]  # fmt: skip
    assert page.table("Well", "Treatment") == [
        ["A01", "staurosporine", "0.5 µM", "positive", "1,007", "0", "2", "0", "0", "0"],
        ["B02", "", "", "", "–", "–", "0", "0", "0", "0"],
        ["C10", "", "", "", "5", "–", "1", "0", "0", "0"],
    ]
    assert "summed over the fields of a well that were counted, at timepoint 1;" in page.text
    assert "elsewhere" not in page.text


def test_no_count_is_not_zero_and_fields_without_count_show(tmp_path: Path) -> None:
    counts = counts_table(
        ("A01", 1, 1, "Nuclei", None),
        ("A01", 2, 1, "Nuclei", None),
        ("B02", 1, 1, "Nuclei", 0),
        ("B02", 2, 1, "Nuclei", None),
    )
    page = write(tmp_path, counts=counts, manifests=GOOD | {"A01": failed_manifest("A01", "x")})
    assert [row[:3] for row in page.table("Well", "Nuclei")] == [
        ["A01", "–", "0 of 2"],
        ["B02", "0", "1 of 2"],
        ["C10", "–", "0"],
    ]
    assert page.row_kinds[page.rows.index(page.table("Well", "Nuclei")[0])] == "failed"
    assert page.row_kinds[page.rows.index(page.table("Well", "Nuclei")[1])] == "attention"


def test_a_plate_without_counts_has_a_page(tmp_path: Path) -> None:
    page = write(tmp_path, counts=counts_table(), manifests={}, ingest={})
    assert "No well was processed." in page.text
    assert "No objects were counted." in page.text


def controls(**kinds: str) -> dict[str, WellTreatment]:
    return {well: WellTreatment(well, "t", None, "", kind) for well, kind in kinds.items()}


def test_controls_are_described_with_their_statistics(tmp_path: Path) -> None:
    values = pd.concat([VALUES, pd.DataFrame([("D01", 1, "Nuclei_Count", 1034.5)], columns=list(VALUE_COLUMNS))])
    kinds = {"A01": "positive", "D01": "positive", "B02": "negative", "C10": "negative"}
    statistics = plate_statistics(values, kinds, plate="P1")
    page = write(tmp_path, statistics=statistics, treatments=controls(**kinds))
    # By hand: means 1134.5 and 12, standard deviations 141.42 and 2.828; the robust ones 148.26 and 2.9652.
    assert page.table("Readout", "Timepoint") == [
        ["Nuclei_Count", "1", "1134 ± 141 (2)", "12 ± 2.83 (2)", "0.614", "0.596", "7.94", ""]
    ]


def test_a_statistic_that_cannot_be_had_is_a_dash_with_its_reason(tmp_path: Path) -> None:
    kinds = {"A01": "positive", "B02": "negative", "C10": "negative"}
    statistics = plate_statistics(VALUES, kinds, plate="P1")
    page = write(tmp_path, statistics=statistics, treatments=controls(**kinds))
    assert page.table("Readout", "Timepoint") == [
        ["Nuclei_Count", "1", "1234 (1)", "12 ± 2.83 (2)", "–", "–", "–",
         "two wells of each control are needed, found 1 positive"]
    ]  # fmt: skip
    assert "nan" not in page.text


@pytest.mark.parametrize("treatments", [{}, controls(A01="empty", B02=""), controls(H12="positive")])
def test_a_plate_without_controls_says_why_it_has_no_statistics(
    tmp_path: Path, treatments: dict[str, WellTreatment]
) -> None:
    page = write(tmp_path, treatments=treatments)
    assert "these wells have no plate map that names a positive or negative control" in page.text


def test_controls_of_which_nothing_was_measured_are_not_said_to_be_missing(tmp_path: Path) -> None:
    page = write(tmp_path, treatments=controls(A01="positive", B02="negative"))
    assert "Nothing was counted or measured." in page.text
    assert "no plate map" not in page.text


def test_statistics_of_very_many_timepoints_are_cut_and_say_so(tmp_path: Path) -> None:
    many = pd.concat([VALUES.assign(Metadata_Timepoint=number) for number in range(1, LISTED_STATISTICS + 51)])
    statistics = plate_statistics(many, {"A01": "positive"}, plate="P1")
    page = write(tmp_path, statistics=statistics, treatments=controls(A01="positive"))
    assert len(page.table("Readout", "Timepoint")) == LISTED_STATISTICS
    assert "The first 200 of 250 rows; all are in plate_statistics.csv." in page.text


def test_dose_responses_are_listed_with_their_curve_or_the_reason(tmp_path: Path) -> None:
    about = {
        "unit": "µM",
        "readout": "Nuclei_Count",
        "timepoint": 3,
        "concentrations": (),
        "values": (),
        "controls": {},
    }
    curve = LogisticCurve(start=60.123, end=-2, ec50=0.12345, slope=1.5, interval=(0.09, 0.2))
    responses = [
        DoseResponse(treatment="<b>drug", fit=Fit(curve), **about),
        DoseResponse(treatment="water", fit=Fit(None, "no effect (p = 0.4)"), **about),
    ]
    page = write(tmp_path, responses=responses, responses_note="Not shown, for want of room: <i>.")
    assert page.table("Treatment", "Unit") == [
        ["<b>drug", "µM", "Nuclei_Count", "0.123", "0.09 to 0.2", "1.5", "60.12", "−2", ""],
        ["water", "µM", "Nuclei_Count", "–", "–", "–", "–", "–", "no effect (p = 0.4)"],
    ]
    assert "curves at timepoint 3. Not shown, for want of room: <i>." in page.text


def test_a_plate_without_dose_response_has_no_such_section(tmp_path: Path) -> None:
    assert "Dose–response" not in write(tmp_path, responses_note="No treatment.").text


def test_what_ingest_found_ignored_and_missed_is_listed(tmp_path: Path) -> None:
    page = write(
        tmp_path,
        ingest=ingest_report(
            notes=["two channels were called DAPI"],
            promised_but_absent={"wells": ["A02", "A03"], "channels": []},
            ignored={"thumbnail": {"count": 12, "files": [f"t{n}.tif" for n in range(12)]}},
        ),
    )
    assert page.table("Channel", "Name") == [["1", "DAPI", "z1, z2"], ["3", "Tubulin", "max"]]
    assert "two channels were called DAPI" in page.text
    assert page.table("What", "Number") == [["wells", "2", "A02, A03"]]
    assert page.table("Reason", "Files")[0][:2] == ["thumbnail", "12"]
    assert "48 planes of 3 wells, 132 MB" in page.text


def test_very_long_lists_are_cut_and_say_where_the_rest_is(tmp_path: Path) -> None:
    names = [f"A01_s001_w1_z{z:03d}_t001.tif" for z in range(1, LISTED_FILES + 51)]
    page = write(tmp_path, manifests=GOOD | {"A01": manifest("A01", missing=names)})
    listed = page.table("Well", "Planes")[0]
    assert listed[1] == str(len(names))
    assert "and 50 more, see wells/A01.json" in listed[2]
    assert listed[2].count(".tif") == LISTED_FILES


def test_everything_that_others_wrote_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert('x')</script>&\"<b>"
    treatments = {"A01": WellTreatment("A01", evil, 1.0, evil, evil)}
    skipped = [{"plane": evil, "file": evil, "reason": evil}]
    page = write(
        tmp_path,
        info=plate_info(name=evil, microscope=evil, channels={1: evil}),
        ingest=ingest_report(
            microscope={"name": evil, "why": evil},
            notes=[evil],
            promised_but_absent={evil: [evil]},
            ignored={evil: {"count": 1, "files": [evil]}},
        ),
        manifests={
            "A01": manifest("A01", skipped=skipped, missing=[evil]),
            "B02": failed_manifest("B02", evil, step=evil, field=evil, channel=evil, file=evil),
        },
        counts=counts_table(("A01", 1, 1, evil, 3)),
        treatments=treatments,
    )
    text = (tmp_path / "summary.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<b>" not in text
    assert page.text.count("alert('x')") >= 15


def test_the_page_needs_no_other_file_and_runs_no_script(tmp_path: Path) -> None:
    page = write(tmp_path)
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in page.tags}
    assert not {"src", "href", "onclick"} & {name for _, attributes in page.tags for name in attributes}
    assert "url(" not in (tmp_path / "summary.html").read_text(encoding="utf-8")


def test_no_absolute_path_gets_onto_the_page(tmp_path: Path) -> None:
    root = "/data/secret place/P1"
    page = write(
        tmp_path,
        ingest=ingest_report(
            microscope={"name": "x", "why": f"{root}/a.HTD found"},
            notes=[f"'{root}/T1/n.tif' is odd"],
            ignored={f"not in {root}/T1": {"count": 1, "files": [f"{root}/T1/i.tif"]}},
        ),
        manifests={
            "A01": failed_manifest("A01", "/home/ann/scratch/stage/A01.npy is gone", file=f"{root}/T1/f.tif"),
            "B02": manifest(
                "B02", skipped=[{"plane": None, "file": f"{root}/s.tif", "reason": "C:\\Users\\ann\\s.tif"}]
            ),
        },
    )
    text = (tmp_path / "summary.html").read_text(encoding="utf-8")
    for word in ("/data", "secret place", "/home", "ann", "scratch", "Users", str(tmp_path)):
        assert word not in re.sub(r"[Cc]hannels?", "", text)
    assert page.table("Well", "Where")[0] == ["A01", "file T1/f.tif", "A01.npy is gone"]
    assert "'T1/n.tif' is odd" in page.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.65 µm/px and 1/2", "0.65 µm/px and 1/2"),
        ("T1/A01/x.tif", "T1/A01/x.tif"),
        ("../plates/x.tif", "../plates/x.tif"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
        ("min / max", "min / max"),
        ("[Errno 2] No such file: '/a/b c/d.tif'", "[Errno 2] No such file: 'b c/d.tif'"),
        ("file:///a/b/c.tif", "c.tif"),
        ("D:\\plates\\P1\\x.tif", "x.tif"),
        ("rel/P/x.tif", "x.tif"),
        ("other/rel/P/x.tif", "other/rel/P/x.tif"),
    ],
)
def test_only_absolute_paths_and_the_plate_folder_are_shortened(text: str, expected: str) -> None:
    assert PathCleaner("rel/P/")(text) == expected


def test_the_last_lines_of_the_log_of_a_failed_well_are_shown(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "process_well" / "B02.log"
    log.parent.mkdir(parents=True)
    log.write_text("INFO first\nStepError: cannot read '/data/secret place/P1/x.tif' <here>\n")
    bad = GOOD | {"B02": failed_manifest("B02", "x"), "C10": failed_manifest("C10", "y")}
    page = write(tmp_path, manifests=bad, logs={"B02": log, "C10": log.with_name("C10.log")})
    assert "B02: last lines of logs/process_well/B02.log" in page.text
    assert "StepError: cannot read 'x.tif' <here>" in page.text
    assert "C10: the log logs/process_well/C10.log is not there." in page.text


def test_equal_input_gives_equal_bytes_whatever_the_order(tmp_path: Path) -> None:
    bad = GOOD | {"B02": failed_manifest("B02", "x")}
    pages = []
    for number, (manifests, counts) in enumerate([(bad, COUNTS), (dict(reversed(bad.items())), COUNTS.iloc[::-1])]):
        (tmp_path / str(number)).mkdir()
        write(tmp_path / str(number), manifests=manifests, counts=counts)
        pages.append((tmp_path / str(number) / "summary.html").read_bytes())
    assert pages[0] == pages[1]


@pytest.mark.parametrize("name", ["板 🔬 لوحة", "a\x00b\ud800", "$x$ & <7>"])
def test_any_plate_name_can_be_written(name: str, tmp_path: Path) -> None:
    assert write(tmp_path, info=plate_info(name=name)).tags


def test_unknown_calibration_is_said(tmp_path: Path) -> None:
    page = write(tmp_path, info=plate_info(shape=None, dtype=None, pixel_size_um=None, z_spacing_um=None))
    assert "pixel size unknown" in page.text
    assert "None" not in page.text


def test_pictures_are_in_the_page_itself_with_what_they_show(tmp_path: Path) -> None:
    (tmp_path / "heatmap.png").write_bytes(b"\x89PNG of a plate")
    page = write(tmp_path, pictures={"Heatmap: <count>": tmp_path / "heatmap.png"})
    (image,) = [attributes for tag, attributes in page.tags if tag == "img"]
    assert image["alt"] == "Heatmap: <count>"
    head, _, data = (image["src"] or "").partition(",")
    assert (head, base64.b64decode(data)) == ("data:image/png;base64", b"\x89PNG of a plate")
    assert "Heatmap: <count>" in page.text


def test_wells_are_listed_row_by_row_even_those_with_counts_only(tmp_path: Path) -> None:
    page = write(tmp_path, manifests={well: GOOD[well] for well in ("C10", "B02")})
    assert [row[0] for row in page.table("Well", "Nuclei")] == ["A01", "B02", "C10"]
