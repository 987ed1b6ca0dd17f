"""Opens ten chats of one model in turn, for an hour: memory, disk, and what is written.

    python tests/benchmarks/soak_ten_chats.py MODEL.gguf [--minutes 60] [--tokens 2000]
        [--budget 2048] [--context 4096] [--disk 2048]

As the window does it: a chat is opened, its message is answered with a few tokens, and the next
turn is prepared; then comes the next chat. A chat that has become a quarter longer begins anew, as
a version of its beginning. The engine has a process of its own. Prints one JSON object; ends with
1 where the engine's memory passes its bill, or the folder its budget.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / "app")]

from bench_warm_chats import conversation, text

from deepseek_r1.core.events import (
    GenerationFinished,
    PrefillProgress,
    PromptCacheState,
)
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.host.client import EngineClient
from deepseek_r1.host.protocol import PromptCacheFolder
from deepseek_r1.memory.meter import peak_mib

CHATS, DAY_S = 10, 86_400
ANSWER = SamplingSettings(max_tokens=16)
_MIB = 1 << 20


class Visits:
    """What was seen while chats were opened, answered and prepared."""

    def __init__(self, client: EngineClient, folder: Path, tokens: int) -> None:
        self._client, self._folder, self._tokens = client, folder, tokens
        self._chats = [self._begin(number) for number in range(CHATS)]
        self._begun = [False] * CHATS
        self.opened_s: list[float] = []
        self.restored, self.missing = 0, 0
        self.computed: list[int] = []
        self.disk_mib = self.written_mib = 0.0

    def _begin(self, number: int) -> list[Message]:
        """A chat whose first message no other one has."""
        chat = conversation(self._tokens)
        own = f"This is chat {number}. {chat[0].content}"
        return [Message(role=Role.USER, content=own), *chat[1:]]

    def visit(self, number: int, count: int) -> None:
        """Open a chat, ask something, and have its next turn prepared."""
        chat, client = self._chats[number], self._client
        began = time.perf_counter()
        opened = self._prepare(number, chat, compute=False)
        if self._begun[number]:  # else it was never computed
            self.opened_s.append(time.perf_counter() - began)
            self.restored += opened.done
            self.missing += opened.total - opened.done
        message = Message(role=Role.USER, content=f"Question {count}: {text(12, count)}?")
        for event in client.generate([*chat, message], ANSWER):
            if isinstance(event, GenerationFinished) and self._begun[number]:
                self.computed.append(event.stats.prompt_tokens - event.stats.cached_tokens)
        chat += [message, Message(role=Role.ASSISTANT, content=text(40, count))]
        self._prepare(number, chat, compute=True)
        self._begun[number] = True
        if client.count_tokens(chat) > 1.25 * self._tokens:
            self._chats[number] = self._begin(number)
        size = sum(path.stat().st_size for path in (self._folder / "segments").iterdir())
        self.disk_mib = max(self.disk_mib, size / _MIB)

    def _prepare(self, number: int, chat: list[Message], *, compute: bool) -> PrefillProgress:
        last = None
        for event in self._client.prepare(chat, owner=str(number), compute=compute):
            if isinstance(event, PrefillProgress):
                last = event
            elif isinstance(event, PromptCacheState):
                self.written_mib = event.written_today_mib
        assert last is not None
        return last


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--budget", type=int, default=2048)
    parser.add_argument("--context", type=int, default=4096)
    parser.add_argument("--disk", type=int, default=2048, help="MiB")
    given = parser.parse_args()
    settings = LoadSettings(
        memory_budget=given.budget, context_length=given.context, swap_enabled=True
    )
    with tempfile.TemporaryDirectory(dir=given.model.parent) as place, EngineClient() as client:
        folder = PromptCacheFolder(path=place, budget_mib=given.disk)
        loaded = client.load(given.model, settings, prompt_cache=folder)
        visits, began, count = Visits(client, Path(place), given.tokens), time.monotonic(), 0
        peaks = []
        while (seconds := time.monotonic() - began) < given.minutes * 60 or count < CHATS:
            visits.visit(count % CHATS, count)
            peaks.append(peak_mib(client.pid))
            count += 1
    bill_mib = loaded.bill.total_mib
    within = max(peaks) <= bill_mib and visits.disk_mib <= given.disk
    report = {
        "model": given.model.name,
        "minutes": round(seconds / 60, 1),
        "visits": count,
        "opened_s": {
            "median": round(statistics.median(visits.opened_s or [0.0]), 3),
            "most": round(max(visits.opened_s, default=0.0), 3),
        },
        "tokens found when opened": visits.restored,
        "tokens missing when opened": visits.missing,
        "tokens computed for a message": statistics.median(visits.computed or [0]),
        "memory_mib": {
            "peak": round(max(peaks)),
            "peak after the first ten": round(peaks[min(CHATS, count) - 1]),
            "bill": round(bill_mib),
        },
        "disk_mib": {"most": round(visits.disk_mib), "budget": given.disk},
        "written_mib": round(visits.written_mib),
        "written_mib_a_day_at_this_rate": round(visits.written_mib * DAY_S / seconds),
        "within": within,
    }
    print(json.dumps(report, indent=1))
    return int(not within)


if __name__ == "__main__":
    sys.exit(main())
