#!/bin/sh
# Prints the path of Python 3.13, which is fetched once, at the first start, after a question.
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
uv=$here/../MacOS/uv
export UV_PYTHON_INSTALL_DIR="$HOME/Library/Application Support/r1desk/python" UV_NO_CONFIG=1

interpreter() {
    "$uv" python find --managed-python --no-python-downloads --no-project 3.13 2>/dev/null
}

interpreter && exit 0
osascript -e 'display dialog "R1 Desk fetches Python 3.13 from github.com once: 25 MB, then it needs no network.

R1 Desk 需要从 github.com 下载一次 Python 3.13（25 MB），之后无需联网。" with title "R1 Desk" buttons {"Quit", "Download"} default button 2 cancel button 1' >/dev/null || exit 1
if ! messages=$("$uv" python install --no-bin 3.13 2>&1); then
    osascript -e 'on run {reason}' -e 'display alert "R1 Desk could not fetch Python / 无法下载 Python" message reason' -e 'end run' "$messages" >/dev/null
    exit 1
fi
interpreter
