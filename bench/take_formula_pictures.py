"""Takes the pictures of a chat with formulas.

    python bench/take_formula_pictures.py [FOLDER]       # docs/pictures by default

With QT_SCALE_FACTOR=2 at 200 %.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "app"), str(ROOT / "tests")]

from bench.photographer import chat_photographer
from window.stored_conversations import store_conversation

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


def main() -> None:
    """Save the real window with formulas below a folded thought, in both languages."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/pictures"
    for language in ANSWERS:
        take_chat(folder, language)


def take_chat(folder: Path, language: str) -> None:
    def prepare(profile: Path) -> None:
        texts = QUESTIONS[language], ANSWERS[language]
        store_conversation(profile, *texts, thinking=THINKING[language], thinking_s=12.0)

    photographer = chat_photographer(folder, language, "light", prepare=prepare)
    photographer.live(1_500)
    photographer.session.window.chat.column.verticalScrollBar().setValue(0)
    photographer.live(500)
    photographer.save("formulas-chat" if language == "en" else f"formulas-chat-{language}")
    photographer.close()


if __name__ == "__main__":
    main()
