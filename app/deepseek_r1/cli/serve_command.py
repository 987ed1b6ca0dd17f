"""The command `deepseek-r1 serve`: an OpenAI-compatible server."""

from __future__ import annotations

import os
from pathlib import Path

import click

from deepseek_r1.cli import console
from deepseek_r1.cli import options as o
from deepseek_r1.cli.command import PATH, Command
from deepseek_r1.cli.generation_progress import note_missing_lock, show_progress
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.events import ModelLoaded
from deepseek_r1.core.i18n import tr
from deepseek_r1.server.serve_profile import ServeProfile, with_profile

DEFAULT_PARALLEL = 4
MOST_PROMPT_BYTES = 1 << 20
KEY_VARIABLE = "DEEPSEEK_R1_API_KEY"
_MIB = 1 << 20


@click.command(
    "serve",
    cls=Command,
    help=tr("Serve a model over HTTP, as OpenAI's clients expect it. Ctrl-C or SIGTERM ends it."),
)
@o.model_option
@click.option(
    "--host",
    default="127.0.0.1",
    help=tr("The address to listen on; others than this computer's need a key."),
)
@click.option(
    "--port",
    type=click.IntRange(min=0, max=65_535),
    default=8080,
    help=tr("0 takes any free port."),
)
@click.option(
    "--api-key-file",
    type=PATH,
    help=tr("A file with the key that clients send. Also: the variable {name}.").format(
        name=KEY_VARIABLE
    ),
)
@click.option(
    "--served-model-name", "served_name", default="", help=tr("The model's name for clients.")
)
@click.option(
    "--profile",
    type=o.choice(ServeProfile),
    default=ServeProfile.STANDARD.value,
    help=tr("edge: a small context, no drafts, the memory pinned, one answer at a time."),
)
@click.option(
    "--system-prompt-file",
    type=PATH,
    help=tr(
        "The system prompt of conversations without one. It is kept computed, which needs "
        "--parallel 1 or --profile edge."
    ),
)
@click.option(
    "--parallel",
    type=click.IntRange(min=1, max=64),
    help=tr(
        "The most answers computed together; they share the context's tokens. By default "
        "4, with the profile edge 1."
    ),
)
@click.option(
    "--instances",
    type=click.IntRange(min=1, max=64),
    default=1,
    help=tr("Servers on this address, each with its engine and its share of the budget."),
)
@click.option(
    "--max-queue",
    type=click.IntRange(min=0),
    default=64,
    help=tr("Requests that may wait; more get 429."),
)
@click.option(
    "--max-tokens",
    type=click.IntRange(min=1),
    default=4096,
    help=tr("The most tokens of an answer."),
)
@click.option(
    "--max-body-mib", type=click.IntRange(min=1, max=16), default=4, help=tr("The largest request.")
)
@click.option(
    "--request-timeout",
    type=click.FloatRange(min=1.0),
    default=3600.0,
    help=tr("Seconds that a request may take."),
)
@click.option(
    "--drain-timeout",
    type=click.FloatRange(min=0.0),
    default=60.0,
    help=tr("Seconds that running answers have to end when the server is stopped."),
)
@click.option(
    "--ping-interval",
    type=click.FloatRange(min=0.05),
    default=15.0,
    help=tr("Seconds between the comments that keep a waiting client connected."),
)
@click.option(
    "--allow-origin",
    multiple=True,
    help=tr("The origin of web pages that may use the server. May be repeated."),
)
@o.load_options
@o.prompt_cache_option
def serve(
    *,
    model: Path | None,
    host: str,
    port: int,
    api_key_file: Path | None,
    served_name: str,
    profile: str,
    system_prompt_file: Path | None,
    parallel: int | None,
    instances: int,
    max_queue: int,
    max_tokens: int,
    max_body_mib: int,
    request_timeout: float,
    drain_timeout: float,
    ping_interval: float,
    allow_origin: tuple[str, ...],
    load: o.LoadOptions,
    prompt_cache: Path | None,
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
    options = with_profile(options, ServeProfile(profile))
    note_missing_lock()
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
