"""The command `deepseek-r1 serve`: an OpenAI-compatible server."""

from pathlib import Path
from typing import Any

import click

from deepseek_r1.cli import console
from deepseek_r1.cli import options as o
from deepseek_r1.cli.answering import note_missing_lock, show_progress
from deepseek_r1.cli.command import PATH, Decorator, command, option
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.events import ModelLoaded
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.core.units import format_part
from deepseek_r1.server.serve_options import ServeOptions, ServeProfile, with_profile

_MIB = 1 << 20


def _served(names: str, text: str, kind: Any = None) -> Decorator:
    """Returns the option of a field of `ServeOptions`, which is the last name, with its default."""
    default = ServeOptions.model_fields[names.rsplit(maxsplit=1)[-1]].default
    return option(names, text, kind, default=default)


@command(
    "serve",
    tr("Serve a model over HTTP, as OpenAI's clients expect it. Ctrl-C or SIGTERM ends it."),
)
@o.model_option
@_served("--host host", tr("The address to listen on; others than this computer's need a key."))
@_served("--port port", tr("0 picks any free port."), click.IntRange(0, 65_535))
@option(
    "--api-key-file",
    tr("A file with the key that clients send. Also: the variable {name}.", name=o.KEY_VARIABLE),
    PATH,
)
@option("--served-model-name served_name", tr("The model's name for clients."), default="")
@option(
    "--profile",
    tr("edge: a small context, no drafts, the memory pinned, one answer at a time."),
    o.choice(ServeProfile),
    default=ServeProfile.STANDARD.value,
)
@option(
    "--system-prompt-file",
    tr(
        "The system prompt of conversations without one. It is kept computed, which needs "
        "--parallel 1 or --profile edge."
    ),
    PATH,
)
@option(
    "--parallel",
    tr(
        "The most answers computed together; they share the context's tokens. By default "
        "4, with the profile edge 1."
    ),
    click.IntRange(1, 64),
)
@option(
    "--instances",
    tr("Servers on this address, each with its engine and its share of the budget."),
    click.IntRange(1, 64),
    default=1,
)
@_served(
    "--max-queue max_queue", tr("Requests that may wait; more get 429."), click.IntRange(min=0)
)
@_served("--max-tokens max_tokens", tr("The most tokens of an answer."), click.IntRange(min=1))
@option("--max-body-mib", tr("The largest request."), click.IntRange(1, 16), default=4)
@_served(
    "--request-timeout request_s", tr("Seconds that a request may take."), click.FloatRange(min=1.0)
)
@_served(
    "--drain-timeout drain_s",
    tr("Seconds that running answers have to end when the server is stopped."),
    click.FloatRange(min=0.0),
)
@_served(
    "--ping-interval ping_s",
    tr("Seconds between the comments that keep a waiting client connected."),
    click.FloatRange(min=0.05),
)
@option(
    "--allow-origin allowed_origins",
    tr("The origin of web pages that may use the server. May be repeated."),
    multiple=True,
)
@option(
    "--trusted-proxy trusted_proxies",
    tr(
        "The address of a proxy whose header X-Forwarded-For says who its clients are. May be "
        "repeated."
    ),
    multiple=True,
)
@o.load_options
@o.prompt_cache_option
def serve(
    *,
    model: Path | None,
    api_key_file: Path | None,
    served_name: str,
    profile: str,
    system_prompt_file: Path | None,
    parallel: int | None,
    instances: int,
    max_body_mib: int,
    load: LoadSettings,
    prompt_cache: Path | None,
    **fields: Any,
) -> None:
    """Serve a model over HTTP. `fields` are those of `ServeOptions` with an option of their own."""
    try:
        from deepseek_r1.server.instances import InstanceSupervisor  # noqa: PLC0415 - an extra
        from deepseek_r1.server.serving import serve as run_server  # noqa: PLC0415
    except ModuleNotFoundError as error:
        detail = tr("The server's libraries are missing: pip install 'r1desk[serve]'.")
        raise WrongUsage(detail=detail) from error
    path = o.chosen_model(model).absolute()
    if parallel is not None:
        fields["parallel"] = parallel
    options = ServeOptions(
        model=path,
        settings=load,
        served_name=served_name or path.stem,
        api_key=o.api_key(api_key_file),
        max_body_bytes=max_body_mib * _MIB,
        prompt_cache=o.prompt_cache_folder(prompt_cache),
        system_prompt=o.text_in(system_prompt_file) if system_prompt_file else "",
        **fields,
    )
    options = with_profile(options, ServeProfile(profile))
    note_missing_lock()
    if instances > 1:
        InstanceSupervisor(options, instances, _show_address).run()
        return
    run_server(options, on_listening=_show_address, on_event=show_progress, on_loaded=_show_loaded)


def _show_address(address: str) -> None:
    console.note(tr("Listening on {address}", address=address))


def _show_loaded(loaded: ModelLoaded) -> None:
    console.status("")
    console.note(
        tr(
            "Ready: {name}, {n} tokens of context, {part} planned",
            name=loaded.facts.name,
            n=f"{loaded.facts.context_length:,}",
            part=format_part(loaded.bill.total_mib, loaded.bill.budget_mib),
        )
    )
