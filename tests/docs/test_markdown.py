"""Every Python block of the documentation runs: all blocks of a page in one namespace, in an empty folder, with a simulated model."""

import re
from pathlib import Path

import pytest

from langchain_reflect import Learner, Ledger

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def python_blocks(page: Path) -> list[tuple[int, str]]:
    """Line and text of each Python block."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, found.start(2)) + 1, found[2]) for found in BLOCK.finditer(text) if found[1] == "python"]


def anchors(page: Path) -> set[str]:
    """The fragments that a page's headings make."""
    titles = HEADING.findall(BLOCK.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [p for p in PAGES if python_blocks(p)], ids=lambda p: str(p.relative_to(ROOT)))
def test_python_blocks_run(page, tmp_path, monkeypatch, simulated_models):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for line, block in python_blocks(page):
        code = compile("\n" * (line - 1) + block, str(page), "exec")  # errors point at the page's own lines
        exec(code, names)
    for value in names.values():
        if isinstance(value, Learner | Ledger):
            value.close()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in LINK.findall(BLOCK.sub("", page.read_text(encoding="utf-8"))):
        target, _, fragment = link.partition("#")
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{page.name} links to {link}, which is not there"
        if fragment:
            assert fragment in anchors(file), f"{page.name} links to {link}; {file.name} has no such heading"


def test_the_readme_can_be_read_in_three_minutes():
    words = len(BLOCK.sub("", (ROOT / "README.md").read_text(encoding="utf-8")).split())
    assert 400 <= words <= 750
