"""A hub on this computer: a repository's list of files, and the files, as Hugging Face has them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from support.hostile_server import HostileServer, Reply, Request

REPOSITORY = "owner/Some-Model-GGUF"


def tree_of(files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """The entries of the list, with folders and other files as real ones have."""
    entries: list[dict[str, Any]] = [
        {"type": "directory", "oid": "0" * 40, "size": 0, "path": "images"},
        {"type": "file", "oid": "1" * 40, "size": 1200, "path": "README.md"},
    ]
    for path, content in files.items():
        digest = hashlib.sha256(content).hexdigest()
        size = len(content)
        lfs = {"oid": digest, "size": size, "pointerSize": 134}
        entries.append({"type": "file", "oid": "2" * 40, "size": size, "path": path, "lfs": lfs})
    return entries


def hub_server(
    files: Mapping[str, bytes], listing: bytes | None = None, repository: str = REPOSITORY
) -> HostileServer:
    """Serves `files`; `listing` replaces the list."""
    body = json.dumps(tree_of(files)).encode() if listing is None else listing

    def script(request: Request, reply: Reply) -> None:
        path = request.path.partition("?")[0]
        if path == f"/api/models/{repository}/tree/main":
            reply.head(200, f"Content-Length: {len(body)}", "Content-Type: application/json")
            reply.raw(body)
            return
        content = files.get(path.removeprefix(f"/{repository}/resolve/main/"))
        if content is None:
            reply.head(404, "Content-Length: 0")
        elif request.headers.get("range", "").endswith("-65535"):
            start = content[:65536]
            last = f"bytes 0-{len(start) - 1}/{len(content)}"
            reply.head(206, f"Content-Length: {len(start)}", f"Content-Range: {last}")
            reply.raw(start, body=True)
        else:
            reply.file(content)

    return HostileServer(script)


def page(server: HostileServer) -> str:
    """The address of the repository's page."""
    return f"{server.url}/{REPOSITORY}"
