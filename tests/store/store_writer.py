"""A process that writes until it is killed, and says over its output what it has committed."""

import os
import sys
import time
from pathlib import Path

from r1desk.store import Store


def say(kind: str, key: int, text: object) -> None:
    """One write for the whole line, which a kill can't cut: unbuffered, `print` makes several."""
    os.write(1, f"{kind} {key} {text}\n".encode())


def main(path: str) -> None:
    with Store(Path(path)) as store:
        conversation = store.conversations.create().id
        parent = None
        number = 0
        while True:
            question = store.messages.append_user(conversation, f"question {number}", parent)
            say("said", question.id, f"question {number}")
            answer = store.messages.begin_answer(conversation, question.id)
            for step in range(4):
                store.messages.save_progress(answer.id, "word " * (step + 1))
                say("progress", answer.id, len("word " * (step + 1)))
                time.sleep(0.002)
            store.messages.finish_answer(answer.id, f"answer {number}")
            say("said", answer.id, f"answer {number}")
            parent, number = answer.id, number + 1


if __name__ == "__main__":
    main(sys.argv[1])
