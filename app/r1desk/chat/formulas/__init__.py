"""Typesetting of LaTeX formulas: found in Markdown, set in a child process, painted with Qt.

The child imports `formula_worker`, `latex`, `svg_reader` and `formula_layout`, and none of these
imports Qt: the child stays small.
"""
