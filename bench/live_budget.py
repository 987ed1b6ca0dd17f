"""The budget's slider during an answer, in the real window with the real engine.

    .venv/bin/python bench/live_budget.py MODEL [--from 1280] [--to 768] [--tokens 240]
        [--within 2]

A question is answered twice: calmly, and with the slider moved in the middle. Afterwards the
slider goes up and down without an answer, and the window's own process grows: the model has to
leave it the room. Prints one JSON object; exit status 1 where a promise was not kept.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "app"), str(ROOT / "tests")]

from bench.own_process import ask_again, own_session, until
from deepseek_r1.core.settings import LoadSettings
from r1desk.shell.session import Session

QUESTION = "Tell me about the sea."
GROWN_MIB = 96


def move_slider(session: Session, mib: int) -> None:
    """To the step of `mib`, as a drag does; returns when the engine has taken it."""
    row = session.window.panel.load.rows["memory_budget"]
    row.slider.setValue(row._nearest(mib))
    if row.value != mib:
        raise SystemExit(f"the slider has no step of {mib} MiB")
    until(lambda: session.models.current.bill.budget_mib == mib, f"the budget is {mib} MiB")


def trial(session: Session, before_mib: int, after_mib: int) -> dict[str, Any]:
    until(lambda: session.models.current is not None, "the model loads")
    if not session.models.current.bill.streams:
        raise SystemExit("the model fits into the first budget: it is in memory whole")
    values = lambda: session.window.gauge.values.sample  # noqa: E731
    calm = ask_again(session, QUESTION)
    found: dict[str, Any] = {"budgets_mib": [before_mib, after_mib]}

    def shrink() -> None:
        found["before_mib"] = round(values().app_mib)
        move_slider(session, after_mib)
        found["under_after_s"] = round(until(lambda: values().app_mib < after_mib, "under"), 2)
        found["after_mib"] = round(values().app_mib)
        found["answering_then"] = session.chat.busy

    found["equal"] = ask_again(session, QUESTION, shrink) == calm
    found["characters"] = len(calm)
    found["bill_says"] = session.window.panel.bill.total.text()
    small = values().engine_mib
    more = (before_mib - after_mib) / 2
    move_slider(session, before_mib)
    ask_again(session, QUESTION)
    until(lambda: values().engine_mib > small + more, "weights are kept again")
    move_slider(session, after_mib)
    found["at_rest_after_s"] = round(until(lambda: values().engine_mib < small + 60, "rest"), 2)
    grown = bytearray(b"x") * (GROWN_MIB << 20)
    until(lambda: values().app_mib > after_mib, "the window has outgrown its share")
    found["makes_room_after_s"] = round(until(lambda: values().app_mib <= after_mib, "room"), 2)
    del grown
    return found


def kept(found: dict[str, Any], within_s: float) -> bool:
    """Whether everything that was promised was kept, the new budget within `within_s` seconds."""
    before_mib, after_mib = found["budgets_mib"]
    return (
        found["equal"]
        and found["characters"] > 0
        and found["answering_then"]
        and after_mib < found["before_mib"] <= before_mib
        and found["under_after_s"] <= within_s
        and found["bill_says"].endswith(f"/ {after_mib / 1024:.1f} GB")
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--from", type=int, default=1280, dest="before", metavar="MIB")
    parser.add_argument("--to", type=int, default=768, dest="after", metavar="MIB")
    parser.add_argument("--tokens", type=int, default=240)
    parser.add_argument("--within", type=float, default=2.0, metavar="SECONDS")
    given = parser.parse_args()
    load = LoadSettings(
        memory_budget=given.before, context_length=1024, micro_batch=64, threads=2,
        swap_enabled=True,
    )  # fmt: skip
    with own_session(given.model, load, given.tokens) as session:
        found = trial(session, given.before, given.after)
    print(json.dumps(found, indent=1))
    return 0 if kept(found, given.within) else 1


if __name__ == "__main__":
    sys.exit(main())
