"""The command `deepseek-r1 cluster`: a gateway that exists, before several servers."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from deepseek_r1.cli import console
from deepseek_r1.cli.serve_command import api_key
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.i18n import tr
from deepseek_r1.server.gateway import checked_servers, haproxy_configuration, smg_arguments


def cluster(
    *,
    server: Annotated[
        list[str] | None,
        typer.Option("--server", help=tr("A server's address, http://HOST:PORT. May be repeated.")),
    ] = None,
    host: Annotated[str, typer.Option("--host", help=tr("The address to listen on."))] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=1, max=65_535)] = 8000,
    api_key_file: Annotated[
        Path | None, typer.Option("--api-key-file", help=tr("A file with the servers' key."))
    ] = None,
    per_server: Annotated[
        int,
        typer.Option(
            "--per-server", min=1, help=tr("HAProxy: requests that a server gets at once.")
        ),
    ] = 8,
    print_smg: Annotated[
        bool, typer.Option("--print-smg", help=tr("Print smg's command line, start nothing."))
    ] = False,
    print_haproxy: Annotated[
        bool,
        typer.Option("--print-haproxy", help=tr("Print a file for HAProxy 3, start nothing.")),
    ] = False,
) -> None:
    """Start a gateway before several servers, or print its configuration."""
    servers = checked_servers(server or [])
    if print_haproxy:
        console.result(haproxy_configuration(servers, host, port, per_server).rstrip())
        return
    arguments = smg_arguments(servers, host, port)
    if print_smg:
        console.result(shlex.join(["smg", *arguments]))
        return
    key = api_key(api_key_file)
    done = subprocess.run([_smg(), *arguments, *(["--api-key", key] if key else [])], check=False)
    raise typer.Exit(done.returncode)


def _smg() -> str:
    """Return the program's path. Raises WrongUsage."""
    own = Path(sys.executable).parent
    found = shutil.which("smg", path=str(own)) or shutil.which("smg")
    if found is None:
        raise WrongUsage(detail=tr("smg is not installed: pip install 'r1desk[cluster]'."))
    return found
