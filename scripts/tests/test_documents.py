"""The documents point at things that exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    document
    for pattern in ("*.md", "docs/**/*.md", "bindings/*/README.md", "examples/**/README.md")
    for document in REPOSITORY.glob(pattern)
)


def links(document: Path) -> Iterator[str]:
    """The targets of links to other files, without the anchor."""
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:|#", target):
            yield target.partition("#")[0]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(REPOSITORY)))
def test_every_link_to_a_file_resolves(document: Path) -> None:
    assert [link for link in links(document) if not (document.parent / link).exists()] == []


def test_the_index_of_decisions_has_every_decision() -> None:
    folder = REPOSITORY / "docs/adr"
    pages = {page.name for page in folder.glob("[0-9]*.md")}
    assert set(links(folder / "README.md")) == pages


@pytest.mark.parametrize("name", ["security.md", "reliability.md"])
def test_every_test_that_a_promise_names_exists(name: str) -> None:
    """Names of tests are claims: four words and more."""
    text = (REPOSITORY / "docs" / name).read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z0-9]+(?:_[a-z0-9]+){3,})`", text))
    sources = [
        source
        for folder in ("protocol", "server", "src", "tests")
        for source in (REPOSITORY / folder).rglob("*.rs")
    ]
    tests = {
        test
        for source in sources
        for test in re.findall(r"fn ([a-z0-9_]+)\(", source.read_text(encoding="utf-8"))
    }
    assert named
    assert sorted(named - tests) == []
