"""What the documentation quotes is what the product says, and its links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def messages() -> list[str]:
    """The pieces, between ellipses, of every message that the troubleshooting page quotes."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^\| `([^`]+)`.* \|", page, flags=re.MULTILINE)
    pieces = [piece.strip(" ()") for message in quoted for piece in re.split("…|N faults", message)]
    return [piece for piece in pieces if len(piece) > 3 and not piece.startswith("mlflow")]


@pytest.fixture(scope="module")
def said() -> str:
    """Every sentence of the product, literals that stand beside each other joined, values left out."""
    sources = [
        path.read_text(encoding="utf-8") for top in ("iqa", "entrypoints") for path in (ROOT / top).rglob("*.py")
    ]
    return re.sub(r'"\s*\n\s*f?"', "", "\n".join(sources))


@pytest.mark.parametrize("piece", messages())
def test_a_message_that_is_explained_is_one_that_the_product_says(piece, said):
    assert piece in said


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_links_to_files_lead_to_files(page):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in local if not (page.parent / link).exists()] == []
