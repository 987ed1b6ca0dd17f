"""Streaming into a long conversation: how long is the window's event loop ever held up?

    python tests/benchmarks/bench_stream.py [--seconds 10] [--rate 100] [--tokens 100000]

A real ChatView is filled with a conversation, then an answer is streamed into it at the given
rate. A timer that wants to fire each millisecond records the gaps. Ends with 1 if the longest
gap, from opening the conversation to the last word, is over 50 ms.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path[:0] = [str(Path(__file__).parents[2] / "app"), str(Path(__file__).parents[1])]

import psutil
from PySide6.QtCore import QCoreApplication, QEventLoop, Qt, QTimer
from PySide6.QtWidgets import QApplication

from r1desk.chat.message import ChatMessage
from r1desk.chat.widgets.view import ChatView
from r1desk.theme.theme import Theme, ThemeChoice

LIMIT_MS = 50.0
CHARS_PER_TOKEN = 4
ANSWER = """## A part of the answer

Some **running text** with `code` in it, which goes on for a while so that lines are wrapped, and
then a list:

1. first, with *emphasis*
2. second, with [a link](https://example.org/page)
   - and something below it

```python
def area(width: float, height: float) -> float:
    \"\"\"The area of a rectangle.\"\"\"
    return width * height  # simple
```

| name | value |
| --- | ---: |
| one | 1 |
| two | 2 |

埃拉托斯特尼筛法是一种用来找出一定范围内所有质数的算法，其步骤如下所述。

"""


def conversation(tokens: int) -> list[ChatMessage]:
    """Questions and answers of about `tokens` tokens in total."""
    messages: list[ChatMessage] = []
    chars = 0
    while chars < tokens * CHARS_PER_TOKEN:
        number = len(messages)
        question = f"Question {number}: how does this part work, and what follows from it?"
        answer = ANSWER * (1 + number % 5)
        messages.append(ChatMessage(number + 1, "user", question))
        messages.append(
            ChatMessage(number + 2, "assistant", answer, thinking=ANSWER, thinking_s=3.0)
        )
        chars += len(question) + 2 * len(answer)
    return messages


class Heartbeat:
    """Gaps between the beats of a timer that wants to fire each millisecond."""

    def __init__(self) -> None:
        self.gaps_ms: list[float] = []
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(1)
        self._timer.timeout.connect(self._beat)
        self._timer.start()

    def _beat(self) -> None:
        now = time.perf_counter()
        self.gaps_ms.append((now - self._last) * 1000)
        self._last = now

    def take(self) -> list[float]:
        """The gaps since the last call, sorted."""
        taken, self.gaps_ms = sorted(self.gaps_ms), []
        return taken

    def stop(self) -> None:
        """Beat no more."""
        self._timer.stop()


def wait(seconds: float) -> None:
    """Let events happen."""
    loop = QEventLoop()
    QTimer.singleShot(round(seconds * 1000), loop.quit)
    loop.exec()


def stream(view: ChatView, message_id: int, *, rate: float, seconds: float) -> int:
    """Send tokens at `rate` per second, as many as are due each time; returns their number."""
    text = ANSWER * (1 + round(rate * seconds * CHARS_PER_TOKEN / len(ANSWER)))
    started = time.perf_counter()
    sent = 0
    loop = QEventLoop()
    timer = QTimer()
    timer.setInterval(10)

    def due() -> None:
        nonlocal sent
        elapsed = time.perf_counter() - started
        while sent < rate * min(elapsed, seconds):
            at = sent * CHARS_PER_TOKEN
            view.stream_answer(message_id, text[at : at + CHARS_PER_TOKEN])
            sent += 1
        if elapsed >= seconds:
            loop.quit()

    timer.timeout.connect(due)
    timer.start()
    loop.exec()
    return sent


def row(name: str, gaps: list[float]) -> float:
    """Print one line of the table; returns the longest gap."""

    def at(share: float) -> float:
        return gaps[min(len(gaps) - 1, int(share * len(gaps)))]

    over = sum(gap > LIMIT_MS for gap in gaps)
    print(
        f"{name:<28}{len(gaps):>7}{at(0.5):>9.1f}{at(0.99):>9.1f}{gaps[-1]:>9.1f}{over:>7}",
        flush=True,
    )
    return gaps[-1]


def main() -> int:
    """Run and print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=10.0)
    options.add_argument("--rate", type=float, default=100.0)
    options.add_argument("--tokens", type=int, default=100_000)
    chosen = options.parse_args()

    app = QApplication.instance() or QApplication([])
    Theme(app).choose(ThemeChoice.LIGHT)
    process = psutil.Process()
    view = ChatView()
    view.resize(900, 800)
    view.show()
    wait(0.3)
    before_mib = process.memory_info().rss / 2**20
    messages = conversation(chosen.tokens)
    heart = Heartbeat()
    wait(0.2)
    heart.take()
    print(f"{'phase':<28}{'beats':>7}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'>50':>7}")

    started = time.perf_counter()
    view.show_branch(messages)
    QCoreApplication.processEvents()
    opened_ms = (time.perf_counter() - started) * 1000
    wait(1.0)
    worst = [row("open", heart.take())]

    bar = view.column.verticalScrollBar()
    for step in range(60):
        bar.setValue(bar.maximum() * (60 - step) // 60)
        wait(0.02)
    worst.append(row("scroll through", heart.take()))
    view.jump_to_end()
    wait(0.5)
    heart.take()

    answer = ChatMessage(10_000_001, "assistant", "", state="streaming")
    view.append(ChatMessage(10_000_000, "user", "Go on."))
    view.append(answer)
    view.begin_stream(answer.id)
    cpu = process.cpu_times()
    sent = stream(view, answer.id, rate=chosen.rate, seconds=chosen.seconds)
    after = process.cpu_times()
    worst.append(row(f"stream {chosen.rate:.0f} tok/s", heart.take()))
    busy = (after.user + after.system - cpu.user - cpu.system) / chosen.seconds * 100

    text = view.messages[-1].content
    view.finish_stream(ChatMessage(answer.id, "assistant", text))
    wait(0.5)
    worst.append(row("finish", heart.take()))
    view.resize(700, 800)
    wait(0.5)
    worst.append(row("resize", heart.take()))
    heart.stop()

    wait(0.5)
    cpu = process.cpu_times()
    wait(2.0)
    after = process.cpu_times()
    idle = (after.user + after.system - cpu.user - cpu.system) / 2.0 * 100
    rss_mib = process.memory_info().rss / 2**20
    print(f"\nmessages {len(messages)}, about {chosen.tokens:,} tokens; {sent} tokens streamed")
    print(f"first answer of the loop after opening: {opened_ms:.1f} ms")
    print(f"built message widgets: {view.built_count}")
    print(f"CPU of one core: {busy:.0f} % while streaming, {idle:.1f} % idle")
    print(f"RSS {rss_mib:.0f} MiB, of which the conversation {rss_mib - before_mib:.0f} MiB")
    failed = max(worst) > LIMIT_MS
    print(f"longest stall {max(worst):.1f} ms: {'over' if failed else 'within'} {LIMIT_MS:.0f} ms")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
