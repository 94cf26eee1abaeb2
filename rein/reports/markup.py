"""Text made safe for Markdown, LaTeX and HTML; `code` between backticks becomes code in all three."""

from __future__ import annotations

import html as _html
import re
import unicodedata
from collections.abc import Callable
from itertools import pairwise
from typing import Literal

Format = Literal["md", "tex", "html"]


class Raw(str):
    """Text that is markup already and must not be escaped again."""


_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau phi chi psi omega "
    "Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"
)


def _greek(name: str) -> str:
    case, name = "CAPITAL" if name[0].isupper() else "SMALL", name.upper().replace("LAMBDA", "LAMDA")
    return unicodedata.lookup(f"GREEK {case} LETTER {name}")


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "`": r"\textasciigrave{}", "±": r"$\pm$", "−": r"$-$", "–": "--", "—": "---",
    "…": r"\ldots{}", "→": r"$\rightarrow$", "×": r"$\times$", "≥": r"$\geq$", "≤": r"$\leq$", "≈": r"$\approx$",
    "\u00a0": "~", "‘": "`", "’": "'", "“": "``", "”": "''", "°": r"$^\circ$", "·": r"$\cdot$", "²": r"$^2$",
    "³": r"$^3$", "†": r"\dag{}", "‡": r"\ddag{}", "§": r"\S{}", "∞": r"$\infty$", "µ": r"$\mu$",
    **{_greek(name): rf"$\{name}$" for name in _GREEK.split()},
}  # fmt: skip
#: What pdflatex sets as it is, beside ASCII and the accented letters of Latin-1 and Latin Extended-A.
_LETTERS = "ßæøåÆØÅœŒłŁı¡¿"
#: Of two of them in a row TeX would make one dash, quotation mark or comma.
_LIGATURES = "-,'"

#: Characters of a word that must fit into a line.
_LONG = 20
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_INDENT = re.compile(r"^[ \t]+", re.MULTILINE)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$])")


def escape(text: object, format: Format, cell: bool = False) -> str:
    """Text as it must stand in a document of that format; `Raw` text passes. `cell`: in a table, on one line."""
    if isinstance(text, Raw):
        return text
    plain = _CONTROL.sub("", str(text).replace("\r\n", "\n").replace("\r", "\n"))
    if cell:
        plain = " ".join(plain.split())
    elif format == "md":  # a line that is indented further may become a block of code
        plain = _INDENT.sub(" ", plain)
    parts = [
        _CODE[format](part) if odd % 2 else _PLAIN[format](part)
        for odd, part in enumerate(re.split(r"`([^`]+)`", plain))
    ]
    if cell and format == "md":  # a table ends a cell at a pipe, in code too
        parts[1::2] = [part.replace("|", r"\|") for part in parts[1::2]]
    return "".join(parts)


def attribute(text: object) -> str:
    """Text as it must stand in an attribute of HTML, where there is no place for <code>."""
    return _html.escape(str(text).replace("`", ""))


def emphasise(text: str, mark: str, format: Format) -> str:
    """Escaped text in bold (`best`), underlined (`second`) or in italics (`told`); any other mark leaves it."""
    if mark == "best":
        return {"md": f"**{text}**", "tex": rf"\textbf{{{text}}}", "html": f"<strong>{text}</strong>"}[format]
    if mark == "second":
        return {"md": f"<u>{text}</u>", "tex": rf"\underline{{{text}}}", "html": f"<u>{text}</u>"}[format]
    if mark == "told":
        return {"md": f"*{text}*", "tex": rf"\textit{{{text}}}", "html": f"<em>{text}</em>"}[format]
    return text


def headline(caption: str, name: str) -> str:
    """The first sentence of what a report says of a table or figure, without its full stop; the name where it says
    nothing."""
    found = re.match(r"(.+?)\.(?=\s+[^a-z\s]|\s*$)", caption.strip(), re.DOTALL)
    return (found[1] if found else caption.strip()) or name


def after(caption: str, title: str) -> str:
    """What a caption says after its title."""
    return caption.strip().removeprefix(title).lstrip(". \n") if caption.strip().startswith(title) else caption


def join(*parts: str) -> str:
    """Sentences after another, without the empty ones."""
    return " ".join(part.strip() for part in parts if part.strip())


def raised(text: str, format: Format) -> str:
    """A footnote's mark as it stands behind what it is about; empty for none."""
    marked = escape(text, format)
    return (rf"\textsuperscript{{{marked}}}" if format == "tex" else f"<sup>{marked}</sup>") if text else ""


def slug(name: str) -> str:
    """A name as part of a file name and of a LaTeX label."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "unnamed"


def _latex(text: str) -> str:
    # An empty line ends a paragraph, which no caption may contain.
    text = re.sub(r"\s*\n\s*", "\n", unicodedata.normalize("NFC", text))
    return "".join(_word(part) if len(part) > _LONG else _letters(part) for part in re.split(r"(\s+)", text))


def _word(text: str) -> str:
    """A word too long to be left in one piece, such as a backbone's name: it may break behind punctuation."""
    return r"\allowbreak{}".join(_letters(part) for part in re.split(r"(?<=[_./=:,-])(?=\w)", text))


def _letters(text: str) -> str:
    pairs = pairwise([*text, ""])
    return "".join(_letter(one) + "{}" * (one == following and one in _LIGATURES) for one, following in pairs)


def _letter(letter: str) -> str:
    """What pdflatex cannot set is named by its code point: a document with a gap in it would be worse."""
    if letter in _LATEX:
        return _LATEX[letter]
    accented = letter <= "\u017f" and unicodedata.decomposition(letter)[:1].isdigit()
    return letter if letter.isascii() or accented or letter in _LETTERS else f"[U+{ord(letter):04X}]"


def _markdown(text: str) -> str:
    # Some viewers read & as the start of an entity; a line must not begin a list or a heading, nor end in a break.
    text = _MARKDOWN.sub(r"\\\1", text.replace("&", "&amp;"))
    text = re.sub(r"[ \t]+(?=\n)", "", text)  # not at its end, where a span of code may follow
    return re.sub(r"(?m)^(\s*\d+)([.)])(?=\s|$)", r"\1\\\2", re.sub(r"(?m)^(\s*)([-+=])", r"\1\\\2", text))


def _code(text: str) -> str:
    # One space at both ends would be taken for padding.
    return f"` {text} `" if text[:1] == text[-1:] == " " and text.strip() else f"`{text}`"


_PLAIN: dict[str, Callable[[str], str]] = {"md": _markdown, "tex": _latex, "html": _html.escape}
_CODE: dict[str, Callable[[str], str]] = {
    "md": _code,
    "tex": lambda text: rf"\texttt{{{_latex(text)}}}",
    "html": lambda text: f"<code>{_html.escape(text)}</code>",
}
