"""Text made safe for Markdown, LaTeX and HTML; `code` between backticks becomes code in all three."""

from __future__ import annotations

import html as _html
import re
from collections.abc import Callable
from typing import Literal

Format = Literal["md", "tex", "html"]


class Raw(str):
    """Text that is markup already and must not be escaped again."""


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "±": r"$\pm$", "−": r"$-$", "–": "--", "—": "---", "…": r"\ldots{}",
    "→": r"$\rightarrow$", "×": r"$\times$", "≥": r"$\geq$", "≤": r"$\leq$", "≈": r"$\approx$", "\u00a0": "~",
}  # fmt: skip

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$])")


def escape(text: object, format: Format) -> str:
    """Text as it must stand in a document of that format; `Raw` text passes."""
    if isinstance(text, Raw):
        return text
    parts = re.split(r"`([^`]*)`", str(text))
    return "".join(_CODE[format](part) if odd % 2 else _PLAIN[format](part) for odd, part in enumerate(parts))


def attribute(text: object) -> str:
    """Text as it must stand in an attribute of HTML, where there is no place for <code>."""
    return _html.escape(str(text).replace("`", ""))


def emphasise(text: str, mark: str, format: Format) -> str:
    """Escaped text in bold (`best`) or underlined (`second`); any other mark leaves it."""
    if mark == "best":
        return {"md": f"**{text}**", "tex": rf"\textbf{{{text}}}", "html": f"<strong>{text}</strong>"}[format]
    if mark == "second":
        return {"md": f"<u>{text}</u>", "tex": rf"\underline{{{text}}}", "html": f"<u>{text}</u>"}[format]
    return text


def slug(name: str) -> str:
    """A name as part of a file name and of a LaTeX label."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "unnamed"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _markdown(text: str) -> str:
    # Some viewers read & as the start of an entity; a line must not begin a list or a heading by accident.
    text = _MARKDOWN.sub(r"\\\1", text.replace("&", "&amp;"))
    return re.sub(r"(?m)^(\s*\d+)([.)])(?=\s)", r"\1\\\2", re.sub(r"(?m)^(\s*)([-+])(?=\s)", r"\1\\\2", text))


_PLAIN: dict[str, Callable[[str], str]] = {"md": _markdown, "tex": _latex, "html": _html.escape}
_CODE: dict[str, Callable[[str], str]] = {
    "md": lambda text: f"`{text.replace('|', chr(92) + '|')}`",
    "tex": lambda text: rf"\texttt{{{_latex(text)}}}",
    "html": lambda text: f"<code>{_html.escape(text)}</code>",
}
