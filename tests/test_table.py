"""Tables of measurements: what is read, what is refused, and what the message says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciml_dsl.errors import DataError
from sciml_dsl.fit.table import check_table, read_table


@dataclass(frozen=True)
class Names:
    states: tuple[str, ...] = ("x", "y")
    observables: tuple[str, ...] = ("total",)


MODEL = Names()


def write(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "data.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "text",
    [
        "t,x,y\n0,1.5,2\n1,,3\n",
        "# a comment, with a comma\n\n t , x , y \n0, 1.5, 2\n# between\n1, NA, 3\n",
        "t;x;y\n0;1,5;2\n1;;3\n",
        "t\tx\ty\r\n0\t1.5\t2\r\n1\tnan\t3\r\n",
        '\ufeff"t","x","y"\n0,"1.5",2\n1,"",3',
        "t,x,y,\n0,1.5,2,\n1,,3,\n",
    ],
)
def test_reads_every_common_form(tmp_path: Path, text: str) -> None:
    table = read_table(write(tmp_path, text))
    assert list(table.columns) == ["t", "x", "y"]
    assert table["t"].tolist() == [0, 1]
    assert table["x"][0] == 1.5 and math.isnan(table["x"][1])
    assert table["y"].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the table is empty"),
        ("# only a comment\n", "the table is empty"),
        ("t,x\n", "a header and no rows"),
        ("# c\nt,x\n0,1\n1,two\n", r"data.csv:4: column `x`: `two` is not a number"),
        ("t,x\n0,inf\n", "not a finite number"),
        ("t,x\n0,1_000\n", "not a finite number"),
        ("t,x\n0,1,2\n", r":2: 3 cells, but the header names 2 columns"),
        ("Year,x\n0,1\n", "rename the column `Year` to `t`"),
        ("T,x\n0,1\n", "rename the column `T` to `t`"),
        ("a,x\n0,1\n", "the column of times is called `t`"),
        ("0,1\n1,2\n", "the first line must name the columns"),
        ("t,x,x\n0,1,2\n", "column `x` appears twice"),
        ("t,,x\n0,1,2\n", "column 2 has no name"),
        ('t,x\n0,"1\n2"\n', "quoted cell runs over several lines"),
    ],
)
def test_refuses_with_place_and_reason(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(write(tmp_path, text))


def test_refuses_files_that_are_not_tables(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(DataError, match="a directory"):
        read_table(tmp_path)
    with pytest.raises(DataError, match="not a text file in UTF-8"):
        read_table(write(tmp_path, "t,größe\n0,1\n", encoding="latin-1"))


def test_shipped_table_of_hudson_bay() -> None:
    table = read_table(Path(__file__).parent.parent / "examples" / "hudson_bay.csv")
    assert table.shape == (21, 3)
    assert table["t"].tolist() == list(range(21))
    # Elton and Nicholson's peaks: hare 77.4 in 1903, lynx 59.4 in 1904.
    assert table["t"][int(table["hare"].argmax())] == 3 and table["hare"].max() == 77.4
    assert table["t"][int(table["lynx"].argmax())] == 4 and table["lynx"].max() == 59.4


def test_checks_frames_and_mappings_alike() -> None:
    mapping = {"t": [0, 1, 2], "y": np.array([1.0, np.nan, 3.0]), "total": [None, 2, "4"]}
    for data in (mapping, pd.DataFrame(mapping)):
        m = check_table(data, MODEL)
        assert m.columns == ("y", "total")
        assert m.t.dtype == m.values.dtype == np.float64
        assert m.values.shape == (3, 2) and m.n_values == 4
        assert m.measured.tolist() == [[True, False], [False, True], [True, True]]
        assert m.column("total")[2] == 4.0


def test_result_does_not_share_memory_with_the_input() -> None:
    frame = pd.DataFrame({"t": [0.0, 1.0], "x": [1.0, 2.0]})
    m = check_table(frame, MODEL)
    frame.loc[0, "x"] = 99.0
    frame.loc[0, "t"] = -5.0
    assert m.values[0, 0] == 1.0 and m.t[0] == 0.0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"t": [], "x": []}, "no rows"),
        ({}, "no column `t`"),
        ({"x": [1]}, "no column `t`"),
        ({"time": [0], "x": [1]}, "rename the column `time` to `t`"),
        ({"t": [0, 1]}, "only the column `t`"),
        ({"t": [0, 1], "totl": [1, 2]}, r"`totl` is neither a state nor an observable(.|\n)*did you mean `total`\?"),
        ({"t": [0, 1], "prey": [1, 2]}, "columns may be called `x`, `y`, `total`"),
        ({"t": [0, math.nan], "x": [1, 2]}, r"time in row 2 is NaN"),
        ({"t": [0, math.inf], "x": [1, 2]}, r"time in row 2 is infinite"),
        ({"t": [0, 2, 1], "x": [1, 2, 3]}, r"goes back from 2 in row 2 to 1 in row 3"),
        ({"t": [0, 1, 1], "x": [1, 2, 3]}, r"t = 1 stands in rows 2 and 3"),
        ({"t": [0, 1], "x": [math.nan, None]}, "holds no measurement"),
        ({"t": [0, 1], "x": [1, math.inf]}, "infinite in row 2"),
        ({"t": [0, 1], "x": [1, "two"]}, r"column `x`, row 2: `two` is not a number"),
        ({"t": [0, 1], "x": [1]}, "has 1 rows, but `t` has 2"),
        ({"t": [0, 1], "x": [[1, 2], [3, 4]]}, r"shape \(2, 2\)"),
        ({"t": [0, 1], "x": [1j, 2]}, "complex numbers"),
        ({"t": pd.to_datetime(["2020-01-01", "2020-01-02"]), "x": [1, 2]}, "dates"),
        ([[0, 1], [1, 2]], "data is a list, not a table"),
        (pd.DataFrame({"x": [1, 2]}, index=pd.Index([0, 1], name="t")), "reset_index"),
    ],
)
def test_refuses_tables_that_do_not_fit(data: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_table(data, MODEL)  # type: ignore[arg-type]


def test_replicates_and_least_number_of_rows() -> None:
    data = {"t": [0, 1, 1], "x": [1, 2, math.nan]}
    assert check_table(data, MODEL, repeated_times=True).t.tolist() == [0, 1, 1]
    with pytest.raises(DataError, match="run 7: too few data: 2 rows hold a measurement, at least 3"):
        check_table(data, MODEL, repeated_times=True, min_rows=3, name="run 7")


@given(
    st.lists(
        st.tuples(st.floats(allow_nan=True, allow_infinity=False), st.floats(allow_nan=True, allow_infinity=False)),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from([",", ";", "\t"]),
)
def test_written_numbers_come_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, float]], separator: str
) -> None:
    path = tmp_path_factory.mktemp("roundtrip") / "data.csv"
    lines = [separator.join([str(i), repr(x), repr(y)]) for i, (x, y) in enumerate(rows)]
    path.write_text("\n".join([separator.join(["t", "x", "y"]), *lines]))
    table = read_table(path)
    np.testing.assert_array_equal(table[["x", "y"]].to_numpy(), np.array(rows))


@given(st.text(max_size=60))
def test_any_text_is_a_table_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "data.csv"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        assert "t" in read_table(path).columns
    except DataError as error:
        assert str(error)
