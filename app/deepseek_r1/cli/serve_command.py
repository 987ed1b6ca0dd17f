"""The command `deepseek-r1 serve`: an OpenAI-compatible server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from deepseek_r1.cli import console
from deepseek_r1.cli import options as o
from deepseek_r1.cli.generation_progress import show_progress
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.events import ModelLoaded
from deepseek_r1.core.i18n import tr
from deepseek_r1.server.serve_profile import ServeProfile, with_profile

DEFAULT_PARALLEL = 4
MOST_PROMPT_BYTES = 1 << 20
KEY_VARIABLE = "DEEPSEEK_R1_API_KEY"
_MIB = 1 << 20


@o.grouped
def serve(
    *,
    model: o.ModelPath = None,
    host: Annotated[
        str,
        typer.Option(
            "--host", help=tr("The address to listen on; others than this computer's need a key.")
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help=tr("0 takes any free port."))
    ] = 8080,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            "--api-key-file",
            help=tr("A file with the key that clients send. Also: the variable {name}.").format(
                name=KEY_VARIABLE
            ),
        ),
    ] = None,
    served_name: Annotated[
        str,
        typer.Option("--served-model-name", help=tr("The model's name for clients.")),
    ] = "",
    profile: Annotated[
        ServeProfile,
        typer.Option(
            "--profile",
            help=tr("edge: a small context, no drafts, the memory pinned, one answer at a time."),
        ),
    ] = ServeProfile.STANDARD,
    system_prompt_file: Annotated[
        Path | None,
        typer.Option(
            "--system-prompt-file",
            help=tr(
                "The system prompt of conversations without one. It is kept computed, which needs "
                "--parallel 1 or --profile edge."
            ),
        ),
    ] = None,
    parallel: Annotated[
        int | None,
        typer.Option(
            "--parallel",
            min=1,
            max=64,
            help=tr(
                "The most answers computed together; they share the context's tokens. By default "
                "4, with the profile edge 1."
            ),
        ),
    ] = None,
    instances: Annotated[
        int,
        typer.Option(
            "--instances",
            min=1,
            max=64,
            help=tr("Servers on this address, each with its engine and its share of the budget."),
        ),
    ] = 1,
    max_queue: Annotated[
        int,
        typer.Option("--max-queue", min=0, help=tr("Requests that may wait; more get 429.")),
    ] = 64,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", min=1, help=tr("The most tokens of an answer."))
    ] = 4096,
    max_body_mib: Annotated[
        int, typer.Option("--max-body-mib", min=1, max=16, help=tr("The largest request."))
    ] = 4,
    request_timeout: Annotated[
        float,
        typer.Option("--request-timeout", min=1.0, help=tr("Seconds that a request may take.")),
    ] = 3600.0,
    drain_timeout: Annotated[
        float,
        typer.Option(
            "--drain-timeout",
            min=0.0,
            help=tr("Seconds that running answers have to end when the server is stopped."),
        ),
    ] = 60.0,
    ping_interval: Annotated[
        float,
        typer.Option(
            "--ping-interval",
            min=0.05,
            help=tr("Seconds between the comments that keep a waiting client connected."),
        ),
    ] = 15.0,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-origin",
            help=tr("The origin of web pages that may use the server. May be repeated."),
        ),
    ] = None,
    load: o.LoadOptions,
    prompt_cache: o.PromptCacheDir = None,
) -> None:
    """Serve a model over HTTP, as OpenAI's clients expect it. Ctrl-C or SIGTERM ends it."""
    try:
        from deepseek_r1.server.instances import InstanceSupervisor  # noqa: PLC0415 - an extra
        from deepseek_r1.server.serve_options import ServeOptions  # noqa: PLC0415
        from deepseek_r1.server.serving import serve as run_server  # noqa: PLC0415
    except ModuleNotFoundError as error:
        detail = tr("The server's libraries are missing: pip install 'r1desk[serve]'.")
        raise WrongUsage(detail=detail) from error
    path = o.chosen_model(model).absolute()
    options = ServeOptions(
        model=path,
        settings=load.settings,
        served_name=served_name or path.stem,
        host=host,
        port=port,
        api_key=api_key(api_key_file),
        parallel=parallel or DEFAULT_PARALLEL,
        max_queue=max_queue,
        max_body_bytes=max_body_mib * _MIB,
        max_tokens=max_tokens,
        request_s=request_timeout,
        drain_s=drain_timeout,
        ping_s=ping_interval,
        allowed_origins=tuple(allow_origin or ()),
        prompt_cache=o.prompt_cache_folder(prompt_cache),
        system_prompt=_text_of(system_prompt_file),
    )
    options = with_profile(options, profile)
    if instances > 1:
        InstanceSupervisor(options, instances, _show_address).run()
        return
    run_server(options, on_listening=_show_address, on_event=show_progress, on_loaded=_show_loaded)


def api_key(path: Path | None) -> str:
    """Return the key from the file or the environment; empty without one. Raises WrongUsage."""
    if path is None:
        return os.environ.get(KEY_VARIABLE, "").strip()
    try:
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUsage(
            detail=tr("{path} cannot be read: {reason}.", path=path, reason=error)
        ) from error
    if not key:
        raise WrongUsage(detail=tr("{path} contains no key.", path=path))
    return key


def _text_of(path: Path | None) -> str:
    """Return the file's text; empty without one. Raises WrongUsage."""
    if path is None:
        return ""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_PROMPT_BYTES + 1)
        text = data.decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUsage(
            detail=tr("{path} cannot be read: {reason}.", path=path, reason=error)
        ) from error
    if not text or len(data) > MOST_PROMPT_BYTES:
        raise WrongUsage(detail=tr("{path} is empty or longer than 1 MiB.", path=path))
    return text


def _show_address(address: str) -> None:
    console.note(tr("Listening on {address}", address=address))


def _show_loaded(loaded: ModelLoaded) -> None:
    console.status("")
    console.note(
        tr(
            "Ready: {name}, {n} tokens of context, {mib} of {budget} MiB planned",
            name=loaded.facts.name,
            n=f"{loaded.facts.context_length:,}",
            mib=f"{loaded.bill.total_mib:,.0f}",
            budget=f"{loaded.bill.budget_mib:,.0f}",
        )
    )
