"""Put the tables of benchmarks/results/*.md into the documents, between their marks.

    .venv/bin/python scripts/result_tables.py

`<!-- table NAME -->` begins what comes from `benchmarks/results/NAME.md`, `<!-- end -->` ends it.
Headings of the table become a level deeper.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MARKED = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str, results: Path) -> str:
    """Return a document with the present tables.

    Args:
        text: of the document.
        results: folder of the tables; one that is missing there stays as it is.
    """

    def table(found: re.Match[str]) -> str:
        path = results / f"{found[2]}.md"
        if not path.exists():
            return found[0]
        lines = path.read_text(encoding="utf-8").replace("\n## ", "\n### ").strip()
        return f"{found[1]}\n{lines}\n\n{found[3]}"

    return MARKED.sub(table, text)


def main() -> None:
    """Rewrite all documents that have marks."""
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        if (new := filled(text, ROOT / "benchmarks" / "results")) != text:
            path.write_text(new, encoding="utf-8")
            sys.stdout.write(f"{path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
