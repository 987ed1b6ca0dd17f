"""Writes a contact sheet of two hundred formulas as R1 writes them, and a chat with some.

    python tests/take_formula_pictures.py [FOLDER] [--chats]       # docs/pictures by default

`--chats` takes only the chat, in both languages, light, dark and high contrast; with
QT_SCALE_FACTOR=2 at 200 %.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "app"), str(ROOT / "tests")]

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QImage, QPainter

from r1desk.chat.formulas.formula_layout import FormulaLayout, GlyphOutlines, read_reply
from r1desk.chat.formulas.formula_painter import FormulaPainter, FormulaStyle
from r1desk.chat.formulas.latex import CannotTypeset, typeset
from support.formula_corpus import FORMULAS
from support.photographer import chat_photographer
from window.stored_conversations import store_conversation

COLUMNS = 4
CELL = (420, 108)
EM = 17.0
THINKING = {
    "en": "The roots add up to 5 and multiply to 6, so they are 2 and 3. Let me check by formula.",
    "zh_CN": "两根之和为 5，两根之积为 6，所以是 2 和 3。再用公式检查一遍。",
}
QUESTIONS = {"en": "Solve x² − 5x + 6 = 0.", "zh_CN": "解方程 x² − 5x + 6 = 0。"}
ANSWERS = {
    "en": r"""To solve \( ax^2 + bx + c = 0 \) we use the **quadratic formula**:

\[
x = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}
\]

Here \(a = 1\), \(b = -5\) and \(c = 6\), so the discriminant is $D = b^2 - 4ac = 1$:

\[
D = b^2 - 4ac \begin{cases}
> 0 & \text{two real roots} \\
= 0 & \text{one real root} \\
< 0 & \text{no real root}
\end{cases}
\]

1. First root: \( x_1 = \frac{5 + 1}{2} = 3 \)
2. Second root: \( x_2 = \frac{5 - 1}{2} = 2 \)

| Function | Derivative |
|:--|:-:|
| \(x^n\) | \(n x^{n-1}\) |
| \(\sin x\) | \(\cos x\) |

**Final answer:** \boxed{x = 2 \text{ or } x = 3}
""",
    "zh_CN": r"""解 \( ax^2 + bx + c = 0 \) 用**求根公式**：

\[
x = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}
\]

这里 \(a = 1\)，\(b = -5\)，\(c = 6\)，所以判别式是 $D = b^2 - 4ac = 1$：

\[
D = b^2 - 4ac \begin{cases}
> 0 & \text{两个实根} \\
= 0 & \text{一个实根} \\
< 0 & \text{没有实根}
\end{cases}
\]

1. 第一个根：\( x_1 = \frac{5 + 1}{2} = 3 \)
2. 第二个根：\( x_2 = \frac{5 - 1}{2} = 2 \)

| 函数 | 导数 |
|:--|:-:|
| \(x^n\) | \(n x^{n-1}\) |
| \(\sin x\) | \(\cos x\) |

**最终答案：** \boxed{x = 2 \text{ 或 } x = 3}
""",
}


def main() -> int:
    """Take the pictures; returns how many formulas were not set."""
    given = [name for name in sys.argv[1:] if not name.startswith("--")]
    folder = Path(given[0]) if given else ROOT / "docs/pictures"
    if "--chats" in sys.argv:
        for language in ANSWERS:
            take_chats(folder, language, "light", "dark", "high_contrast")
        return 0
    for language in ANSWERS:
        take_chats(folder, language, "light")
    return take_sheet(folder / "formulas.png")


def take_chats(folder: Path, language: str, *themes: str) -> None:
    """Save the real window with formulas below a folded thought, once for each theme."""

    def prepare(profile: Path) -> None:
        texts = QUESTIONS[language], ANSWERS[language]
        store_conversation(profile, *texts, thinking=THINKING[language], thinking_s=12.0)

    photographer = chat_photographer(folder, language, themes[0], prepare=prepare)
    view = photographer.session.window.chat
    for theme in themes:
        photographer.session.appearance.set_theme(theme)
        photographer.live(1_500)
        view.column.verticalScrollBar().setValue(0)
        photographer.live(500)
        tag = f"-{language}" if language != "en" else ""
        photographer.save(f"formulas-chat{tag}{'' if theme == 'light' else '-' + theme}")
    photographer.close()


def take_sheet(target: Path) -> int:
    """Draw every formula with its number and its source; returns how many were not set."""
    outlines = GlyphOutlines()
    painter_of = FormulaPainter(outlines)
    rows = -(-len(FORMULAS) // COLUMNS)
    image = QImage(COLUMNS * CELL[0], rows * CELL[1], QImage.Format.Format_RGB32)
    image.fill(Qt.GlobalColor.white)
    painter = QPainter(image)
    failed = 0
    for index, source in enumerate(FORMULAS):
        box = QRectF(index % COLUMNS * CELL[0], index // COLUMNS * CELL[1], *CELL)
        painter.setPen(QColor("#dddddd"))
        painter.drawRect(box)
        painter.setFont(small_font())
        painter.setPen(QColor("#777777"))
        painter.drawText(box.adjusted(4, 2, -4, -2), f"{index + 1}  {source[:76]}")
        layout = layout_of(source, outlines)
        if layout is None:
            failed += 1
            painter.setPen(QColor("#c00000"))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, "not set")
            continue
        em = min(EM, EM * (CELL[0] - 16) / max(1.0, layout.width * EM / 1000))
        em = min(em, EM * (CELL[1] - 24) / max(1.0, (layout.ascent + layout.descent) * EM / 1000))
        style = FormulaStyle(em_px=em, colour=QColor("#1a1a1a"), font=QFont())
        height = (layout.ascent + layout.descent) * em / 1000
        top = box.y() + 18 + (CELL[1] - 20 - height) / 2
        painter_of.paint(
            painter, QPointF(box.x() + 8, top + layout.ascent * em / 1000), layout, style
        )
    painter.end()
    image.convertToFormat(QImage.Format.Format_Grayscale8).save(str(target))
    print(f"{len(FORMULAS) - failed} of {len(FORMULAS)} formulas set: {target}")
    return failed


def layout_of(source: str, outlines: GlyphOutlines) -> FormulaLayout | None:
    """The layout of `source`, read as the window reads it."""
    try:
        data = typeset(source, display=True, language="en")
    except CannotTypeset:
        return None
    return read_reply(json.dumps({"number": 0, "layout": data}).encode(), outlines)[1]


def small_font() -> QFont:
    """The font of the sources."""
    font = QFont()
    font.setPixelSize(9)
    return font


if __name__ == "__main__":
    sys.exit(main())
