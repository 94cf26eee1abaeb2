"""Published numbers stand beside measured ones: each in the right cell, with its notes and its sources."""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from rein import config, published
from rein.config import ConfigError, Report, Table
from rein.config_io import load
from rein.published import Published
from rein.reports.grid import MISSING, Cell, Grid
from rein.reports.names import written
from rein.reports.study import AVERAGE, gather
from rein.reports.tables import table
from rein.reports.tables.beside import printed
from rein.worlds import Moved
from tests.reports.made_up_sweep import World

EVA, DINO = "eva02_large_patch14_224.mim_m38m", "vit_large_patch14_dinov2.lvd142m"
CLIP, MAE, SAM = (
    "vit_large_patch14_clip_quickgelu_224.openai", "vit_large_patch16_224.mae", "samvit_huge_patch16.sa1b",
)  # fmt: skip
FREEZE, FULL, REIN = {"tuning.method": "frozen"}, {"tuning.method": "full"}, {"tuning.method": "rein"}
THREE: dict[str, dict[str, Any]] = {"full": FULL, "frozen": FREEZE, "rein": REIN}

#: Of every table of the paper: variants, axes, and what the table of a report says beside `published`.
PAPER: dict[str, tuple[dict[str, dict[str, Any]], dict[str, list[Any]], dict[str, Any]]] = {
    "Rein T1": ({"frozen": FREEZE}, {"backbone.name": [CLIP, MAE, SAM, EVA, DINO]}, {}),
    "Rein T2": (THREE, {"backbone.name": [DINO, EVA, SAM, MAE, CLIP]}, {}),
    "Rein T3": (
        {
            **THREE, "Full+AdvStyle": {**FULL, "steps": 1}, "full, PASTA": {**FULL, "steps": 2},
            "lora": {"tuning.method": "lora"}, "adaptformer": {"tuning.method": "adaptformer"},
            "vpt": {"tuning.method": "vpt"},
        },
        {"backbone.name": [EVA, DINO]},
        {},
    ),
    "Rein T4": (
        {"frozen": FREEZE, "rein": REIN}, {"backbone.name": [EVA, DINO], "data.sources": [["gta", "synthia"]]}, {},
    ),
    "Rein T5": (
        {"frozen": FREEZE, "rein": REIN},
        {"backbone.name": [EVA, DINO], "data.sources": [["cityscapes"]], "data.targets": [["bdd100k", "mapillary"]]},
        {},
    ),
    "Rein T6": (
        {
            "full": FULL, "frozen": FREEZE, "core": {**REIN, "tuning.link": "none", "tuning.shared": False},
            "Rein-share": {**REIN, "tuning.link": "none"}, "rein_lora": REIN,
        },
        {"backbone.name": [EVA, DINO]},
        {"kind": "classes", "rename": {"core": "Rein-core"}},
    ),
    "Rein T7": ({}, {"backbone.name": [EVA, DINO], "tuning.rank": [4, 8, 16, 32, 64]},
                {"rows": ("backbone.name", "tuning.rank")}),
    "Rein T8": (THREE, {"backbone.name": [EVA, DINO]}, {"kind": "resources"}),
    "Rein T9": (THREE, {"backbone.name": [EVA, DINO], "head.method": ["semfpn"]}, {}),
}  # fmt: skip


def sweep(folder: Path, points: dict[str, Any], vary: dict[str, Any]) -> str:
    file = folder / "sweep.yaml"
    asked = {"experiment": "rein_dinov2_gta", "points": points, "vary": vary}
    file.write_text(yaml.safe_dump({key: value for key, value in asked.items() if value}, sort_keys=False))
    return str(file)


def of_the_paper(name: str, folder: Path, world: str | None = None) -> Grid:
    """A table of the paper, with no run."""
    points, vary, changes = PAPER[name]
    given = {"name": name, "published": name, "rows": ("backbone.name", "name"), **changes}
    report = Report(title="Paper", sweep=sweep(folder, points, vary))
    return table(gather(report, folder / "runs", world), Table(**given))


def shipped() -> list[tuple[str, Table]]:
    """(report, table) of everything in the shipped paper that stands beside one of its numbered tables."""
    try:
        parts = load(Report, "paper").parts
    except ConfigError:
        return []
    found = [(part, wanted) for part in parts for wanted in load(Report, part).tables]
    return [(part, wanted) for part, wanted in found if wanted.published.startswith("Rein T")]


def same_method(one: str, other: str) -> bool:
    one, other = (name.lower().replace("freeze", "frozen") for name in (one, other))
    return "".join(filter(str.isalnum, one)) == "".join(filter(str.isalnum, other))


def row_of(grid: Grid, entry: Published) -> tuple[Cell, ...]:
    """The only row whose titles are those of a published one; of stacked rows the published."""
    titles = [column.title for column in grid.columns]
    found = []
    for row in grid.rows:
        texts = dict(zip(titles, (cell.text for cell in row), strict=True))
        wanted = {
            "backbone": entry.short_backbone or MISSING, "head": entry.head, "rank": entry.rank,
            "token length": entry.token_length,
        }  # fmt: skip
        method = texts.get("method", texts.get("variant", entry.method)).removesuffix(f" ({entry.venue})")
        if (
            all(title not in texts or text is None or texts[title] == str(text) for title, text in wanted.items())
            and same_method(method, entry.method)
            and texts.get("", "published") == "published"
        ):
            found.append(row)
    assert len(found) == 1, (grid.name, entry.method, entry.backbone, len(found))
    return found[0]


def cell_of(grid: Grid, row: tuple[Cell, ...], title: str) -> Cell:
    """The published cell of a column."""
    beside = [i for i, column in enumerate(grid.columns) if (column.group, column.title) == (title, "published")]
    stacked = [i for i, column in enumerate(grid.columns) if column.title == title and not column.group]
    [index] = beside or stacked
    return row[index]


#: The numbers of table 8 -> the titles of their columns.
HOURS = (("train_hours", "hours"), ("gpu_mem_gb", "memory in GiB"), ("storage_gb", "storage in GiB"))


def walk(grid: Grid, entries: tuple[Published, ...]) -> int:
    """Look for every number of a published table in a grid by row and column; how many there were."""
    seen = 0
    for entry in entries:
        row = row_of(grid, entry)
        for name, value in {**entry.miou, **entry.classes}.items():
            stacked = bool(entry.classes) and name not in entry.classes
            title = "mIoU" if stacked else AVERAGE[1] if name == "avg" else written(name, {})
            cell = cell_of(grid, row, title)
            assert (cell.text, cell.value) == (printed(value), value), (grid.name, entry.method, title)
            seen += 1
        for metric, title in HOURS:
            if metric in entry.metrics:
                assert cell_of(grid, row, title).text == printed(entry.metrics[metric])
                seen += 1
        if entry.trainable_params_m is not None:
            cell = next(cell for cell, column in zip(row, grid.columns, strict=True) if column.title == "trainable")
            millions = entry.trainable_params_m
            assert cell.value == pytest.approx(1e6 * millions)
            assert cell.text == (f"{millions:.2f} M" if millions else "0")
            seen += 1
    return seen


@pytest.mark.parametrize("name", PAPER)
def test_every_published_number_stands_in_its_cell_before_anything_has_run(name: str, tmp_path: Path) -> None:
    entries = published.rows(name)
    # What a table prints, but for the mean of the classes that published.yaml works out itself.
    numbers = sum(
        len([key for key in entry.metrics if key not in ("per_class", "citys_mean_of_printed_classes")])
        + len(entry.classes) + (entry.trainable_params_m is not None)
        for entry in entries
    )  # fmt: skip
    grid = of_the_paper(name, tmp_path)
    assert walk(grid, entries) == numbers


def test_the_shipped_paper_shows_every_number_of_its_tables(tmp_path: Path) -> None:
    """The same walk over what is shipped: each part's table beside the published one that it names."""
    tables = shipped()
    for part, wanted in tables:
        grid = table(gather(load(Report, part), tmp_path), wanted)
        assert walk(grid, published.rows(wanted.published)), wanted.published
    assert {wanted.published for _, wanted in tables} >= {f"Rein T{number}" for number in range(1, 10)}


def test_the_two_misprinted_means_of_table_6_have_footnotes(tmp_path: Path) -> None:
    grid = of_the_paper("Rein T6", tmp_path)
    marked = {
        (row[0].text, row[1].text, column.title): (cell.text, cell.notes)
        for row in grid.rows
        for column, cell in zip(grid.columns, row, strict=True)
        if cell.notes
    }
    assert marked == {
        ("EVA02-L", "Rein-share", "mIoU"): ("63.4", "a"),
        ("DINOv2-L", "frozen", "mIoU"): ("61.1", "b"),
    }
    notes = dict(grid.notes)
    assert "the 19 printed class IoUs average 63.77" in notes["a"]
    assert "three-set average of T2" in notes["b"] and "63.32" in notes["b"]
    for text, mark in ((grid.markdown(), "63.4<sup>a</sup>"), (grid.html(), "63.4<sup>a</sup>"),
                       (grid.latex(), r"63.4\textsuperscript{a}")):  # fmt: skip
        assert mark in text and "63.77" in text and "three-set average" in text
        assert "Published: arXiv 2312.04265v1 Table 6" in text and "Each number was seen in one source alone" in text


def test_a_note_stands_on_the_number_that_it_is_about(tmp_path: Path) -> None:
    grid = of_the_paper("Rein T5", tmp_path)
    marks = {(row[0].text, row[1].text): [cell.notes for cell in row if cell.notes] for row in grid.rows}
    assert marks["DINOv2-L", "frozen"] == ["†", "†", "a,†"]  # 66.7 is printed for the mean, 66.55 is it
    assert marks["DINOv2-L", "rein"] == []  # two sources agree
    assert "† marks a published number that was seen in one source alone" in grid.full_caption


def test_earlier_methods_stand_where_the_paper_has_them_with_their_venue(tmp_path: Path) -> None:
    grid = of_the_paper("Rein T1", tmp_path)
    assert [[cell.text for cell in row[:4]] for row in grid.rows][:2] == [
        [MISSING, "GTR (TIP21)", MISSING, MISSING], [MISSING, "AdvStyle (NeurIPS22)", MISSING, MISSING],
    ]  # fmt: skip
    assert [row[0].text for row in grid.rows][6:] == ["CLIP-L", "MAE-L", "SAM-H", "EVA02-L", "DINOv2-L"]


def test_runs_that_the_paper_lacks_follow_in_the_sweeps_order(tmp_path: Path) -> None:
    points = {"rein, wider": {"tuning.rank": 64}, "rein": {}, "lora": {"tuning.method": "lora"}}
    report = Report(title="t", sweep=sweep(tmp_path, points, {}))
    grid = table(gather(report, tmp_path), Table(name="t", published="Rein T2", rows=("name",),
                                                filter={"backbone.name": DINO}))  # fmt: skip
    assert [row[0].text for row in grid.rows] == ["Full", "Freeze", "rein", "rein, wider", "lora"]
    # Without the filter the rows of the other backbones say of which they are.
    grid = table(gather(report, tmp_path), Table(name="t", published="Rein T2", rows=("name",)))
    assert grid.rows[0][0].text == "Full (CLIP-L)" and len(grid.rows) == 15 + 2


def cells(grid: Grid, name: str) -> dict[tuple[str, str], str]:
    row = next(row for row in grid.rows if row[0].text == name)
    titles = ((column.group, column.title) for column in grid.columns)
    return dict(zip(titles, (cell.text for cell in row), strict=True))


def block(grid: Grid, name: str) -> list[tuple[Cell, ...]]:
    """The rows of one variant in a table of classes, which names it in the first of them."""
    first = next(i for i, row in enumerate(grid.rows) if row[0].text == name)
    return [grid.rows[first], *takewhile(lambda row: not row[0].text, grid.rows[first + 1 :])]


def made(folder: Path, targets: tuple[str, ...], seeds: tuple[int, ...] = (0, 1)) -> World:
    """Rein on DINOv2-L, from GTAV; the first target scores 66.0 and 67.0, each further one two points less."""
    points = {"rein": ({"backbone.name": DINO, "data.sources": ["gta"]}, 2_990_081, 0.66)}
    world = World(folder, points, seeds, targets)
    world.finish_all()
    return world


BESIDE = Table(name="t", published="Rein T2", rows=("name",), filter={"backbone.name": DINO})


def test_measured_published_and_difference_stand_side_by_side(tmp_path: Path) -> None:
    world = made(tmp_path, ("cityscapes", "bdd100k", "mapillary"))
    grid = table(gather(world.report(), world.runs), BESIDE)
    assert grid.groups()[1:4] == [("Cityscapes", 3), ("BDD100K", 3), ("Mapillary", 3)]
    row = cells(grid, "rein")
    found = [row["Cityscapes", title] for title in ("measured", "published", "Δ")]
    assert found == ["66.5 ± 0.7", "66.4", "+0.1"]
    assert [row["Mapillary", title] for title in ("measured", "published", "Δ")] == ["62.5 ± 0.7", "66.1", "−3.6"]
    assert [row["Avg.", title] for title in ("measured", "published", "Δ")] == ["64.5 ± 0.7", "64.3", "+0.2"]
    assert row["", "trainable"] == "2.99 M" and cells(grid, "Full")["", "trainable"] == "304.20 M"
    for text, counted, told in (
        (grid.markdown(), "| 2.99 M |", "| *304.20 M* |"),
        (grid.html(), ">2.99 M<", "<em>304.20 M</em>"),
        (grid.latex(), "& 2.99 M &", r"& \textit{304.20 M} &"),
    ):
        assert counted in text and told in text and "A count in italics is a published one" in text
    assert cells(grid, "Full")["Cityscapes", "published"] == "63.7"
    values = grid.values.set_index("name")
    assert values.loc["rein", "target cityscapes published"] == 66.4
    assert "Δ is measured − published" in grid.full_caption


def test_targets_that_only_one_side_has_are_columns_and_means_over_others_are_none(tmp_path: Path) -> None:
    world = made(tmp_path, ("cityscapes", "acdc"))
    grid = table(gather(world.report(), world.runs), BESIDE)
    assert [group for group, _ in grid.groups()][1:6] == ["Cityscapes", "ACDC", "BDD100K", "Mapillary", "Avg."]
    row = cells(grid, "rein")
    assert [row["ACDC", title] for title in ("measured", "published", "Δ")] == ["64.5 ± 0.7", MISSING, MISSING]
    assert [row["BDD100K", title] for title in ("measured", "published", "Δ")] == [MISSING, "60.4", MISSING]
    assert [row["Avg.", title] for title in ("measured", "published", "Δ")] == ["65.5 ± 0.7", MISSING, MISSING]


def test_a_mean_over_other_targets_than_the_tables_is_no_published_number(tmp_path: Path) -> None:
    world = made(tmp_path, ("cityscapes", "bdd100k", "mapillary"))
    grid = table(gather(world.report(), world.runs), replace(BESIDE, domains=("bdd100k", "mapillary")))
    row = cells(grid, "rein")
    assert [row["Mapillary", title] for title in ("measured", "published", "Δ")] == ["62.5 ± 0.7", "66.1", "−3.6"]
    assert [row["Avg.", title] for title in ("measured", "published", "Δ")] == ["63.5 ± 0.7", MISSING, MISSING]


def test_other_sources_are_another_row(tmp_path: Path) -> None:
    world = World(
        tmp_path, {"rein": ({"backbone.name": DINO, "data.sources": ["synthia"]}, 7, 0.6)}, (0,), ("bdd100k",)
    )
    grid = table(gather(world.report(), world.runs), BESIDE)
    assert [row[0].text for row in grid.rows] == ["Full (GTAV)", "Freeze (GTAV)", "Rein (GTAV)", "rein"]


def test_classes_have_published_and_difference_below(tmp_path: Path) -> None:
    world = made(tmp_path, ("cityscapes", "bdd100k"))
    wanted = Table(name="t", kind="classes", published="Rein T6", rows=("name",), filter={"backbone.name": DINO},
                   rename={"rein": "Rein-lora"})  # fmt: skip
    grid = table(gather(world.report(), world.runs), wanted)
    titles = [column.title for column in grid.columns]
    stack = [dict(zip(titles, (cell.text for cell in row), strict=True)) for row in grid.rows[-3:]]
    assert [row["value"] for row in stack] == ["measured", "published", "Δ"]
    assert stack[0]["method"] and not stack[1]["method"] and not stack[2]["method"]  # a block is named once
    # Of Cityscapes alone, as the paper's table is: road is made up ten points above the mIoU.
    assert [row["road"] for row in stack] == ["76.5", "92.4", "−15.9"]
    assert [row["mIoU"] for row in stack] == ["66.5", "66.4", "+0.1"]
    assert [row["traffic light"] for row in stack] == [MISSING, "58.2", MISSING]
    assert "Target: Cityscapes." in grid.full_caption
    # Of other targets nothing is published.
    grid = table(gather(world.report(), world.runs), replace(wanted, domains=("bdd100k",)))
    assert [row[1].text for row in grid.rows] == ["measured"]


def test_a_number_that_its_own_note_calls_another_has_no_difference(tmp_path: Path) -> None:
    """Table 6 prints the mean over three data sets for Freeze on DINOv2-L in a column of Cityscapes."""
    point = {"backbone.name": DINO, "data.sources": ["gta"], "tuning.method": "frozen"}
    world = World(tmp_path, {"Freeze": (point, 0, 0.6)}, (0,), ("cityscapes",))
    world.finish_all()
    wanted = Table(name="t", kind="classes", published="Rein T6", rows=("name",), filter={"backbone.name": DINO})
    grid = table(gather(world.report(), world.runs), wanted)
    titles = [column.title for column in grid.columns]
    stack = {row[1].text: dict(zip(titles, row, strict=True)) for row in block(grid, "Freeze")}
    assert [stack[which]["mIoU"].text for which in ("measured", "published", "Δ")] == ["60.0", "61.1", MISSING]
    assert dict(grid.notes)[stack["published"]["mIoU"].notes].startswith("Printed mIoU 61.1 is the three-set average")
    assert stack["Δ"]["road"].text != MISSING, "the note is on the mean alone"


def test_numbers_of_another_recipe_have_no_difference(tmp_path: Path) -> None:
    point = {"backbone.name": DINO, "data.sources": ["gta"], "tuning.method": "soma"}
    world = World(tmp_path, {"SoMA": (point, 7, 0.66)}, (0,), ("cityscapes", "bdd100k", "mapillary"))
    world.finish_all()
    grid = table(gather(world.report(), world.runs), Table(name="t", published="SoMA", rows=("name",)))
    row = cells(grid, "SoMA")
    assert [row["Cityscapes", title] for title in ("measured", "published", "Δ")] == ["66.0", "71.82", MISSING]
    assert "does not compare" in grid.full_caption and any(
        text.startswith("By its authors' own") for _, text in grid.notes
    )


def test_what_differs_in_the_crops_alone_are_two_rows_and_a_sixteenth_is_said(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        {"SoMA": ({"backbone.name": DINO, "tuning.method": "soma"}, 7, 0.66)}, (0,),
        ("cityscapes", "bdd100k", "mapillary"), **{"data.sources": [["urbansyn", "gta", "synthia"]]},
    )  # fmt: skip
    world.finish_all()
    wanted = Table(name="t", published="SoMA", rows=("data.sources", "name"), filter={"data.sources": "urbansyn"})
    grid = table(gather(world.report(), world.runs), wanted)
    index = next(i for i, column in enumerate(grid.columns) if (column.group, column.title) == ("Avg.", "published"))
    notes = dict(grid.notes)
    found = [(row[0].text, row[3].text, row[index].text, notes[row[index].notes.split(",")[0]]) for row in grid.rows]
    three, large = "SYNTHIA + UrbanSyn", "By its authors' own recipe, not Rein's; crops of 1024."
    assert found == [
        ("UrbanSyn + GTAV + SYNTHIA", "1", "71.68", large.replace("1024", "512")),
        (f"GTAV + {three}", MISSING, "73.12", large),
        (f"GTAV + {three} → 1/16 Cityscapes", MISSING, "75.5", large),
    ]


def test_a_worlds_runs_stand_beside_what_they_stand_for(tmp_path: Path) -> None:
    points, vary, _ = PAPER["Rein T2"]
    report = Report(title="t", sweep=sweep(tmp_path, points, {**vary, "backbone.name": [DINO]}))
    grid = table(gather(report, tmp_path, "toy"), Table(name="t", published="Rein T2", rows=("backbone.name", "name")))
    ours = [[cell.text for cell in row] for row in grid.rows if row[1].text == "rein"]
    assert len(ours) == 1 and ours[0][0] == "vit_toy_patch8_96 (DINOv2-L)" and "66.4" in ours[0]
    assert grid.groups()[1][0] == "toy-day (Cityscapes)" and len(grid.rows) == 15


def test_between_a_world_and_what_is_published_there_is_no_difference(tmp_path: Path) -> None:
    points = {"rein": ({"backbone.name": "vit_toy_patch8_96"}, 2_990_081, 0.66)}
    world = World(tmp_path, points, (0,), ("toy-day",))
    world.finish_all()
    study = gather(world.report(), world.runs)
    stands_for = {"vit_toy_patch8_96": DINO, "toy-game": "gta", "toy-day": "cityscapes"}
    moved = replace(study, moved=Moved(study.sweep, load(config.World, "toy"), stands_for))
    row = cells(table(moved, BESIDE), "rein")
    found = [row["toy-day (Cityscapes)", title] for title in ("measured", "published", "Δ")]
    assert found == ["66.0", "66.4", MISSING]
    stacked = table(moved, replace(BESIDE, kind="classes", published="Rein T6", rename={"rein": "Rein-lora"}))
    assert [row[1].text for row in block(stacked, "Rein-lora")] == ["measured", "published"]


def test_the_part_of_a_domain_begins_with_that_domains_name_and_not_with_anothers(tmp_path: Path) -> None:
    """`cityscapes-c` begins as `cityscapes` does, and is no part of it."""
    targets = ("toy-day", "toy-c-fog-1", "toy-c-fog-3", "toy-c-fog-5")
    world = World(tmp_path, {"rein": ({}, 7, 0.6)}, (0,), targets)
    world.finish_all()
    study = gather(world.report(), world.runs)
    stands_for = {"toy-day": "cityscapes", "toy-c": "cityscapes-c"}
    moved = replace(study, moved=Moved(study.sweep, load(config.World, "toy"), stands_for))
    grid = table(moved, Table(name="t", domains=("cityscapes-c-fog", "cityscapes", "cityscapes-c-frost")))
    row = dict(zip((column.title for column in grid.columns), (cell.text for cell in grid.rows[0]), strict=True))
    assert [row[title] for title in ("cityscapes-c-fog", "toy-day", "cityscapes-c-frost")] == ["56.0", "60.0", MISSING]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"published": "Rein T22"}, r"table 't': `published`: no table 'Rein T22' \(did you mean `Rein T2`"),
        ({"order": ("rain",)}, r"table 't': `order`: no row has 'rain' \(did you mean `rein`"),
        ({"domains": ("bdd10k",)}, r"table 't': `domains`: 'bdd10k' is no target .*did you mean `bdd100k`"),
        ({"kind": "classes", "classes": ("rod",)}, r"table 't': `classes`: 'rod' is no class .*did you mean `road`"),
    ],
)
def test_what_there_is_not_is_named_with_the_nearest(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    world = made(tmp_path, ("bdd100k",), (0,))
    with pytest.raises(ConfigError, match=said):
        table(gather(world.report(), world.runs), Table(**cast(Any, {"name": "t", "rows": ("name",), **changes})))


def test_a_row_that_prints_no_rank_is_of_the_one_that_the_method_has_by_itself(tmp_path: Path) -> None:
    points = {"rein": {"backbone.name": DINO}}
    report = Report(title="t", sweep=sweep(tmp_path, points, {"tuning.rank": [4, 16, 64]}))
    wanted = Table(name="t", published="Rein T2", rows=("tuning.rank",), filter={"backbone.name": DINO})
    grid = table(gather(report, tmp_path), wanted)
    published_of = {row[0].text: cell_of(grid, row, "Cityscapes").text for row in grid.rows if row[0].text != MISSING}
    assert published_of == {"16": "66.4", "4": MISSING, "64": MISSING}
    # An axis that the paper does not have leaves a choice, so the number stands by itself.
    report = Report(title="t", sweep=sweep(tmp_path, points, {"optim.lr": [1e-4, 1e-3]}))
    grid = table(gather(report, tmp_path), Table(name="t", published="Rein T2", rows=("name", "optim.lr")))
    assert [row[0].text for row in grid.rows][-3:] == ["Rein (DINOv2-L)", "rein", "rein"]


def test_a_published_row_without_a_number_that_is_shown_is_left_out_with_its_notes(tmp_path: Path) -> None:
    points = {"rein": {"data.sources": ["cityscapes"], "data.targets": ["cityscapes-c"]}}
    report = Report(title="t", sweep=sweep(tmp_path, points, {}))
    wanted = Table(name="t", published="Rein README", rows=("name",), domains=("cityscapes-c",),
                   filter={"data.sources": "cityscapes"})  # fmt: skip
    grid = table(gather(report, tmp_path), wanted)
    assert [row[0].text for row in grid.rows] == ["rein"] and "60.0" in [cell.text for cell in grid.rows[0]]
    assert [group for group, _ in grid.groups()] == ["", "Cityscapes-C", "source val"]
    assert "4k fine-tuning" not in grid.markdown(), "a note on another row"


def test_what_is_published_of_a_source_stands_beside_its_val_split(tmp_path: Path) -> None:
    sources = ["urbansyn", "gta", "synthia", "cityscapes"]
    report = Report(title="t", sweep=sweep(tmp_path, {"rein": {"data.sources": sources}}, {}))
    wanted = Table(name="t", published="Rein README", rows=("name",), filter={"data.sources": "urbansyn"})
    grid = table(gather(report, tmp_path), wanted)
    row = next(row for row in grid.rows if row[0].text == "rein")
    assert cell_of(grid, row, "Cityscapes, source val").text == "82.5"
    assert "Cityscapes" not in [group for group, _ in grid.groups()], "no target of this sweep"


def test_a_family_is_the_mean_over_its_members(tmp_path: Path) -> None:
    world = World(tmp_path, {"rein": ({}, 7, 0.6)}, (0,), ("toy-c-fog", "toy-day"))
    members = [f"toy-c-fog-{severity}" for severity in (1, 3, 5)]
    for item in world.planned:
        run = world.finish(item)
        lines = (run.path / "scores.csv").read_text().splitlines()
        of_family = [line for line in lines if "toy-c-fog," in line]
        kept = [line for line in lines if line not in of_family]
        kept += [line.replace("toy-c-fog", member) for line in of_family for member in members]
        kept = [
            line.replace("all,miou,0.6", "all,miou,0.9") if line.startswith("200,toy-c-fog-5") else line
            for line in kept
        ]
        (run.path / "scores.csv").write_text("\n".join(kept) + "\n")
    grid = table(gather(world.report(), world.runs), Table(name="t", domains=("toy-c-fog", "toy-day")))
    row = dict(zip((column.title for column in grid.columns), grid.rows[0], strict=True))
    assert row["toy-c-fog"].text == "70.0" and row["toy-day"].text == "58.0"
    with pytest.raises(ConfigError, match=r"'toy-c-frog' is no target of the sweep \(did you mean `toy-c-fog-"):
        table(gather(world.report(), world.runs), Table(name="t", domains=("toy-c-frog",)))


@pytest.mark.parametrize("name", PAPER)
def test_published_rows_meet_the_same_variants_in_a_world(name: str, tmp_path: Path) -> None:
    """The toy world has its own number of tokens, which no row of the paper prints."""
    there, here = (of_the_paper(name, tmp_path, world) for world in ("toy", None))
    assert len(there.rows) == len(here.rows)
