"""Table → LaTeX (booktabs), to be pasted into a paper; a cell without a number says so."""

from iqa.report.document import MINUS, Atom, Cell, Missing, Quoted, Table, Text, Undefined, led, plain

SPECIAL = {
    "\\": r"\textbackslash{}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
    "✓": r"$\checkmark$",
    "✗": r"$\times$",
    "≈": r"$\approx$",
    "×": r"$\times$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "λ": r"$\lambda$",
    "→": r"$\rightarrow$",
    MINUS: "$-$",
    "–": "--",
    "…": r"\ldots{}",
}


def table(block: Table) -> str:
    """A complete table environment: \\usepackage{booktabs,amssymb} is all it needs."""
    columns = "l" * len(block.columns)
    head = " & ".join(map(escaped, block.columns)) + r" \\"
    rows = [" & ".join(_cell(cell) for cell in row) + r" \\" for row in block.rows]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escaped(plain(block.caption))}}}",
        rf"\label{{tab:{block.name}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        head,
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text in which no character means anything to TeX."""
    return "".join(SPECIAL.get(char, char) for char in text)


def _cell(cell: Cell) -> str:
    return "".join(lead.replace("to fill:", r"\textit{to fill:}") + _atom(atom) for lead, atom in led(cell))


def _atom(atom: Atom) -> str:
    if isinstance(atom, Missing):
        return rf"\texttt{{{escaped(atom.command)}}}"
    if isinstance(atom, Undefined):
        return rf"\textit{{undefined}} ({escaped(atom.reason)})"
    if isinstance(atom, Quoted):
        return rf"\textit{{{escaped(atom.text)}}}"
    text = escaped(atom.text)
    if isinstance(atom, Text) and atom.code:
        return rf"\texttt{{{text}}}"
    return rf"\textbf{{{text}}}" if isinstance(atom, Text) and atom.strong else text
