"""The formatter: same tokens, same comments, one layout; and `sciml-dsl fmt`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

import sciml_dsl as sd
from sciml_dsl.cli import main
from sciml_dsl.language.parse import parse
from tests.test_language_fuzz import PIECES, STATEMENTS

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.sciml"))

LAID_OUT = {
    "x'=-k*x": "x' = -k*x\n",
    "x'  =  - k * x  +-  y": "x' = -k*x + -y\n",
    "dx/dt=2x^ -2*( y+1 )": "dx/dt = 2x^-2*(y + 1)\n",
    "x(0)=1;y( 0 ) = 2 ;": "x(0) = 1; y(0) = 2\n",
    ";;x' = 1;;;y' = 2;;": "x' = 1; y' = 2\n",
    "param a=1 in[0,5]log,b ,c= 2 in log[ 1,2 ]": "param a = 1 in [0, 5] log, b, c = 2 in log [1, 2]\n",
    "neural U(x,y)->2{hidden=[4,5],activation=tanh}": "neural U(x, y) -> 2 { hidden = [4, 5], activation = tanh }\n",
    "neural U(x){ }": "neural U(x) {}\n",
    "input u=[ (0,1),(2,-3) ]constant  hold ,v   from w": "input u = [(0, 1), (2, -3)] constant hold, v from w\n",
    "p,q=U(x , y)": "p, q = U(x, y)\n",
    "x'=U( x )[ 2 ]": "x' = U(x)[2]\n",
    "x'=if x<1and not y>=2then 3else-4": "x' = if x < 1 and not y >= 2 then 3 else -4\n",
    "x'=x>1?a:b": "x' = x > 1 ? a : b\n",
    "when x<.1:y+=1,terminate": "when x < .1: y += 1, terminate\n",
    "every  24 from 0 until 240:A+=dose": "every 24 from 0 until 240: A += dose\n",
    "x' = √ ( y ) + 2√ y": "x' = √(y) + 2√y\n",
    "x' = a ** 2 · b − c": "x' = a**2·b − c\n",
    "x' = a  # note\n\n\n\ny' = b": "x' = a  # note\n\ny' = b\n",
    "\n\n  # top\n x' = a   \n\n": "# top\nx' = a\n",
    "x' = a # one\nyy' = bb #two\n\nz' = 1 # alone": "x' = a    # one\nyy' = bb  #two\n\nz' = 1  # alone\n",
    "θ' = 1 # one\nx₁' = 1 # two": "θ' = 1   # one\nx₁' = 1  # two\n",
    "x' = a +\n  b\n\n  - c": "x' = a +\n    b\n    - c\n",
    "x' = f(\n a,\n b\n)": "x' = f(\n    a,\n    b\n)\n",
    "x' = a #= why\n  this =# * b": "x' = a #= why\n  this =# *b\n",
    "x' = 1\r\ny' = 2\r\n": "x' = 1\ny' = 2\n",
    "\ufeffx'=1": "x' = 1\n",
    "@ode_def Foo begin\ndx=-k*x # a\n\n# b\n   dy =!(x>1)&&y<2 ? 1 : 2\n\nend k  b=>2 c=1.5\nx(0)=1":
        "@ode_def Foo begin\n  dx = -k*x  # a\n\n  # b\n  dy = !(x > 1) && y < 2 ? 1 : 2\nend k b=>2 c=1.5\nx(0) = 1\n",
    "f=@ode_def begin dx=-x;dy=x end": "f = @ode_def begin dx = -x; dy = x end\n",
    "u [ i ] '=D*(u[ i - 1 ]-2*u[i]+u[i+1])/h^2   for i in 2 .. N - 1":
        "u[i]' = D*(u[i-1] - 2*u[i] + u[i+1])/h^2 for i in 2..N-1\n",
    "w[i,j]  '=-w[i , j]\n for   i in 1..N,j in 1..N": "w[i, j]' = -w[i, j]\n    for i in 1..N, j in 1..N\n",
    "u[i] (0)=1;du[i]/dt=-1 for i in -1..2": "u[i](0) = 1; du[i]/dt = -1 for i in -1..2\n",
    "param k[ i ]=-1+i in[0,2]log for i in 1..3,A=[[1,2],[3,-4]],c[1 .. 3 ]=1":
        "param k[i] = -1 + i in [0, 2] log for i in 1..3, A = [[1, 2], [3, -4]], c[1..3] = 1\n",
    "s=sum( u[i]*2 - 1 for i in 1 .. N)-max(u[i] for i in 1..3)":
        "s = sum(u[i]*2 - 1 for i in 1..N) - max(u[i] for i in 1..3)\n",
    "at 5:u[3]+=1,u[i]=-2-t for i in 1..2,x=1+t": "at 5: u[3] += 1, u[i] = -2 - t for i in 1..2, x = 1 + t\n",
    "": "",
    "# only a comment": "# only a comment\n",
}  # fmt: skip


@pytest.mark.parametrize("text", LAID_OUT)
def test_layout(text):
    assert sd.format(text) == LAID_OUT[text]
    assert sd.format(LAID_OUT[text]) == LAID_OUT[text]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_examples_keep_their_meaning(path):
    text = path.read_text(encoding="utf-8")
    new = sd.format(text)
    assert sd.model(new) == sd.model(text) and sd.format(new) == new
    assert [line.strip() for line in new.splitlines() if line.startswith("#")] == [
        line.strip() for line in text.splitlines() if line.startswith("#")
    ]


def same(text: str) -> None:
    """Formatted, the text parses to the same statements; formatted again, it stays as it is."""
    try:
        before = parse(text)
    except sd.ModelError as error:
        with pytest.raises(type(error)):
            sd.format(text)
        return
    new = sd.format(text)
    after = parse(new)
    assert len(before.statements) == len(after.statements)
    assert [str(type(s)) for s in before.statements] == [str(type(s)) for s in after.statements]
    assert sd.format(new) == new
    assert new.count("#") == text.count("#")
    assert not any(line != line.rstrip() for line in new.split("\n")) or "#=" in new
    try:
        model = sd.model(text)
    except sd.ModelError as error:
        with pytest.raises(type(error)):
            sd.model(new)
        return
    assert sd.model(new) == model


@given(st.lists(st.sampled_from(PIECES), max_size=30), st.sampled_from([" ", "", "\n"]))
@settings(max_examples=300, deadline=None)
def test_any_sequence_of_pieces(pieces, glue):
    same(glue.join(pieces))
    same("x' = " + glue.join(pieces))


BETWEEN = st.sampled_from(
    ["", "", " ", "   ", "\t", "  # note\n", "\n", "\n\n\n", " #= in\n side =# ", ";", "\r\n", " + x"]
)


@given(st.lists(st.sampled_from(STATEMENTS), min_size=1, max_size=6), st.data())
@settings(max_examples=400, deadline=None)
def test_statements_with_anything_between(statements, data):
    parts = "\n".join(statements).split(" ")
    text = "".join(part + (data.draw(BETWEEN) or " ") for part in parts)
    same(text)


def test_text_that_does_not_parse_is_an_error_with_its_place():
    with pytest.raises(sd.SyntaxModelError, match=r"m\.sciml:2:6"):
        sd.format("x' = 1\ny' = )", "m.sciml")


# ---------------------------------------------------------------- the command


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("good.sciml").write_text("x' = -x\n")
    Path("ugly.sciml").write_text("x'=-x # decay\n")
    Path("bad.sciml").write_text("x' = )\n")
    return tmp_path


def run(*args: str, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(main, ["fmt", *args], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_files_are_formatted_in_place(here):
    result = run("good.sciml", "ugly.sciml")
    assert result.exit_code == 0 and result.stderr == "formatted ugly.sciml\n"
    assert Path("ugly.sciml").read_text() == "x' = -x  # decay\n"
    assert run("good.sciml", "ugly.sciml").stderr == ""
    assert sorted(p.name for p in here.iterdir()) == ["bad.sciml", "good.sciml", "ugly.sciml"]


def test_check_writes_nothing_and_tells_by_its_status(here):
    result = run("--check", "good.sciml", "ugly.sciml")
    assert result.exit_code == 1 and "would change ugly.sciml" in result.stderr
    assert Path("ugly.sciml").read_text() == "x'=-x # decay\n"
    assert run("--check", "good.sciml").exit_code == 0
    told = json.loads(run("--check", "--json", "good.sciml", "ugly.sciml").stdout)
    assert [entry["changed"] for entry in told["files"]] == [False, True]


def test_diff_shows_the_change(here):
    result = run("--diff", "ugly.sciml")
    assert result.exit_code == 0
    assert "-x'=-x # decay\n+x' = -x  # decay\n" in result.stdout
    assert Path("ugly.sciml").read_text() == "x'=-x # decay\n"
    assert run("--diff", "--check", "ugly.sciml").exit_code == 1


def test_stdin_to_stdout(here):
    result = run("-", stdin="x'=-α*x")
    assert result.exit_code == 0 and result.stdout == "x' = -α*x\n"
    assert run("--check", "-", stdin="x'=1").exit_code == 1


def test_one_wrong_file_and_nothing_is_changed(here):
    result = run("ugly.sciml", "bad.sciml")
    assert result.exit_code == 2 and "bad.sciml:1:6" in result.stderr
    assert Path("ugly.sciml").read_text() == "x'=-x # decay\n"
    assert run("absent.sciml").exit_code == 2
