"""A process that writes until it is killed, and says over its output what it has committed."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from r1desk.store import Store


def main(path: str) -> None:
    with Store(Path(path)) as store:
        conversation = store.create_conversation().id
        parent = None
        number = 0
        while True:
            question = store.append_user(conversation, f"question {number}", parent)
            print("said", question.id, f"question {number}", flush=True)
            answer = store.begin_answer(conversation, question.id)
            for step in range(4):
                store.save_progress(answer.id, "word " * (step + 1))
                print("progress", answer.id, len("word " * (step + 1)), flush=True)
                time.sleep(0.002)
            store.finish_answer(answer.id, f"answer {number}")
            print("said", answer.id, f"answer {number}", flush=True)
            parent, number = answer.id, number + 1


if __name__ == "__main__":
    main(sys.argv[1])
