"""`python -m docs.generate`: write the reference pages."""

from pathlib import Path

from docs.generate import pages

folder = Path(__file__).parents[1] / "reference"
folder.mkdir(exist_ok=True)
for name, text in pages().items():
    (folder / name).write_text(text, encoding="utf-8")
