"""The command `deepseek-r1 cluster`: a gateway that exists, before several servers."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click

from deepseek_r1.cli import console
from deepseek_r1.cli.command import PATH, command, flag, option
from deepseek_r1.cli.serve_command import api_key
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.i18n import tr
from deepseek_r1.server.gateway import checked_servers, haproxy_configuration, smg_arguments


@command("cluster", tr("Start a gateway before several servers, or print its configuration."))
@option("--server", tr("A server's address, http://HOST:PORT. May be repeated."), multiple=True)
@option("--host", tr("The address to listen on."), default="127.0.0.1")
@click.option("--port", type=click.IntRange(1, 65_535), default=8000)
@option("--api-key-file", tr("A file with the servers' key."), PATH)
@option(
    "--per-server",
    tr("HAProxy: requests that a server gets at once."),
    click.IntRange(min=1),
    default=8,
)
@flag("--print-smg", tr("Print smg's command line, start nothing."))
@flag("--print-haproxy", tr("Print a file for HAProxy 3, start nothing."))
def cluster(
    *,
    server: tuple[str, ...],
    host: str,
    port: int,
    api_key_file: Path | None,
    per_server: int,
    print_smg: bool,
    print_haproxy: bool,
) -> None:
    """Start a gateway before several servers, or print its configuration."""
    servers = checked_servers(server)
    if print_haproxy:
        console.result(haproxy_configuration(servers, host, port, per_server).rstrip())
        return
    arguments = smg_arguments(servers, host, port)
    if print_smg:
        console.result(shlex.join(["smg", *arguments]))
        return
    key = api_key(api_key_file)
    done = subprocess.run([_smg(), *arguments, *(["--api-key", key] if key else [])], check=False)
    raise SystemExit(done.returncode)


def _smg() -> str:
    """Return the program's path. Raises WrongUsage."""
    own = Path(sys.executable).parent
    found = shutil.which("smg", path=str(own)) or shutil.which("smg")
    if found is None:
        raise WrongUsage(detail=tr("smg is not installed: pip install 'r1desk[cluster]'."))
    return found
