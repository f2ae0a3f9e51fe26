"""README and docs: every model, Python block and command in them is run, and prints what they show.

How blocks are marked stands in `pages.py`.  Links and the list of pages are checked too.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import pages
from sciml_dsl import errors

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "examples" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SLOW = [page for page in PAGES if any(block.slow for block in pages.blocks(page))]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A directory that looks like the checkout to a reader: the examples lie in it."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    return tmp_path


def check(page: Path, *, slow: bool) -> None:
    for block, expected, got in pages.run(page, slow=slow):
        assert pages.agrees(expected, got), (
            f"{name(page)}:{block.line}: the page shows\n{expected}\nbut this is printed\n{got}"
        )


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_page(page, folder):
    check(page, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", SLOW, ids=name)
def test_page_with_its_slow_blocks(page, folder):
    check(page, slow=True)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=name)
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"(?<!\[)`[^`\n]*`", "", text)  # code in a line, such as u[i](0); not the names of links
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = page if not path else (page.parent / path)
        assert linked.exists(), f"{name(page)} links to {target}"
        if anchor:
            heads = re.findall(r"^#+ +(.*)$", linked.read_text(encoding="utf-8"), flags=re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
            assert anchor in anchors, f"{name(page)} links to {target}; there are {sorted(anchors)}"


def test_the_index_lists_every_page():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "index.md" or f"({page.name})" in index, f"docs/index.md does not name {page.name}"


def test_the_page_of_errors_names_every_error():
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.SciMLError)]
    assert len(kinds) > 10
    for kind in kinds:
        assert kind.__name__ in page
