from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from archloom.errors import InvalidInput
from archloom.space import Architecture, Space, load_preset
from archloom.space.nasbench201 import from_arch_string, to_arch_string
from archloom.tables import arch_keys, cell_of, decision_keys, read_table
from archloom.testing.probe import TREE_SPACE

CELL = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"


@pytest.fixture
def tree() -> Space:
    return Space.from_yaml(TREE_SPACE)


def test_a_table_by_arch_plain_or_gzipped(tmp_path: Path) -> None:
    text = f"index,arch,accuracy,note\n0,{CELL},10.5,good\n"
    (tmp_path / "plain.csv").write_text(text)
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(text.encode()))
    keys = arch_keys()
    for name in ("plain.csv", "packed.csv.gz"):
        table = read_table(tmp_path / name, keys)
        assert table.column("accuracy", "--metric") == {keys.of(from_arch_string(CELL)): 10.5}
        assert table.column("note", "--metric") == {}


def test_every_architecture_finds_its_row_by_its_decisions(tmp_path: Path, tree: Space) -> None:
    """Conditional decisions are empty cells; numbers are equal however a spreadsheet wrote them."""
    keys = decision_keys(tree)
    lines = [",".join(["score", *keys.columns])]
    every = list(tree.enumerate())
    for number, architecture in enumerate(every):
        given = architecture.decisions
        spelled = [
            str(float(value)) if isinstance(value := given.get(p, ""), int) else str(value)
            for p in keys.columns
        ]
        lines.append(",".join([str(number), *spelled]))
    (tmp_path / "table.csv").write_text("\n".join(lines))
    scores = read_table(tmp_path / "table.csv", keys).column("score", "--metric")
    assert [scores[keys.of(architecture)] for architecture in every] == list(range(len(every)))


EVERY_DOMAIN = """
input: {x: {kind: vector, shape: [4]}}
body: {layer: linear, out: {choice: [4, 8]}}
recipe:
  nesterov: {bool: [false, true]}
  lr: {log: [0.001, 0.1]}
  augmentations: {subset: {of: [shift, rotate, flip], min: 0, max: 3}}
  milestones: {subset: {of: [1, 2, 3], min: 1, max: 2}}
"""


def test_every_value_has_one_spelling() -> None:
    spelled = {
        True: "true",
        False: "false",
        3: "3",
        7.0: "7",
        0.01: "0.01",
        1e-05: "1e-05",
        -2: "-2",
        "conv_3x3": "conv_3x3",
        "1_0": "1_0",
        ("shift", "flip"): "shift;flip",
        (1, 2.0): "1;2",
        (): "",
        12345678901234567891: "12345678901234567891",
    }
    assert {value: cell_of(value) for value in spelled} == spelled


@pytest.mark.parametrize(
    "row",
    ["shift;flip,0.01,1;3,true,8,5", " shift; flip ,1e-2,1.0;3.0,TRUE,8.0,5", "shift;flip,.01,1;3,True,+8,5"],
)
def test_a_row_is_found_however_a_spreadsheet_wrote_it(tmp_path: Path, row: str) -> None:
    keys = decision_keys(Space.from_yaml(EVERY_DOMAIN))
    assert [path.rsplit(".", 1)[-1] for path in keys.columns] == [
        "out",
        "augmentations",
        "lr",
        "milestones",
        "nesterov",
    ]
    header = [*(path for path in keys.columns if not path.endswith("out")), keys.columns[0], "score"]
    (tmp_path / "t.csv").write_text(",".join(header) + "\n" + row + "\n\n")
    values = (8, ("shift", "flip"), 0.01, (1, 3), True)
    key = keys.of(Architecture(dict(zip(keys.columns, values, strict=True))))
    assert read_table(tmp_path / "t.csv", keys).column("score", "--metric") == {key: 5.0}


def test_equal_values_in_two_spellings_are_one_row_twice(tmp_path: Path, tree: Space) -> None:
    keys = decision_keys(tree)
    architecture = next(tree.enumerate())
    cells = keys.of(architecture)
    again = [cell + ".0" if cell.isdigit() else cell for cell in cells]
    assert again != list(cells)
    lines = [",".join(line) for line in (["score", *keys.columns], ["1", *cells], ["2", *again])]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    with pytest.raises(InvalidInput, match="line 3: the architecture is there twice"):
        read_table(tmp_path / "t.csv", keys)


def test_chosen_columns_alone(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"arch,a,b,c\n{CELL},1,nan,3\n")
    table = read_table(tmp_path / "t.csv", arch_keys(), ["c", "b"])
    assert table.columns == ("c", "b")
    assert table.column("c", "--metric") == {(CELL,): 3.0}
    assert table.column("b", "--metric") == {}
    for absent in (["d"], ["a", "d"]):
        with pytest.raises(InvalidInput, match="has no column 'd'"):
            read_table(tmp_path / "t.csv", arch_keys(), absent)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("cell,accuracy\nx,1\n", "has no column 'arch'"),
        ("arch,accuracy\n", "has no rows"),
        ("", "has no rows"),
        (f"arch,accuracy\n{CELL},1,2\n", "line 2: 3 cells, but the header has 2"),
        (f"arch,accuracy\n{CELL},1\n{CELL},2\n", "line 3: the architecture is there twice"),
        (f"arch,accuracy,accuracy\n{CELL},1,2\n", "has two columns 'accuracy'"),
    ],
)
def test_a_table_that_is_none_is_a_sentence(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(InvalidInput, match="table: ") as refusal:
        read_table(tmp_path / "t.csv", arch_keys())
    assert sentence in str(refusal.value)


def test_a_missing_file_folder_or_wrong_bytes(tmp_path: Path) -> None:
    (tmp_path / "half.gz").write_bytes(gzip.compress(b"arch,a\nx,1\n" + bytes(range(32, 127)) * 99)[:-20])
    (tmp_path / "image.csv").write_bytes(bytes(range(256)))
    for name, sentence in (
        ("no.csv", "there is no file"),
        ("", "cannot be read"),
        ("half.gz", "cannot be read"),
        ("image.csv", "cannot be read"),
    ):
        with pytest.raises(InvalidInput, match=sentence):
            read_table(tmp_path / name, arch_keys())


def test_each_missing_path_is_named(tmp_path: Path, tree: Space) -> None:
    keys = decision_keys(tree)
    (tmp_path / "t.csv").write_text(
        ",".join(["score", *keys.columns[2:]]) + "\n" + "," * len(keys.columns[2:]) + "\n"
    )
    with pytest.raises(InvalidInput) as refusal:
        read_table(tmp_path / "t.csv", keys)
    assert [
        path in str(fault) for path, fault in zip(keys.columns, refusal.value.violations, strict=False)
    ] == [True, True]


def test_the_arch_string_goes_both_ways() -> None:
    space = load_preset("nasbench201")
    for index in range(0, 15_625, 997):
        architecture = space.at(index)
        assert architecture is not None
        assert from_arch_string(to_arch_string(architecture)) == architecture
