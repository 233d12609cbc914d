"""`caa remote`: what an NDIF server needs and offers, before any work is sent to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caa_nnsight.cli import options as opt

if TYPE_CHECKING:
    from caa_nnsight.remote import RemoteSettings

app = typer.Typer(
    help="NDIF servers: whether one can be used, and what it runs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("check")
def check(
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Alias or Hub id of a model to look for.")
    ] = None,
    host: opt.HostOption = None,
    api_key_file: opt.ApiKeyFileOption = None,
    revision: Annotated[str | None, typer.Option(help="Revision of that model.")] = None,
) -> None:
    """Check the server, the key, the versions on both sides, and a model.

    Sends no work. Exit code 2 where something would keep a job from running.
    """
    from caa_nnsight.models.aliases import ALIASES
    from caa_nnsight.remote import preflight

    settings = _settings(host, api_key_file)
    alias = ALIASES.get((model or "").lower())
    repo_id = alias.hub_id if alias else model
    checks = preflight(settings, repo_id, revision).checks
    for one in checks:
        typer.echo(f"{one.name:<13} {one.state:<8} {one.sentence}")
    if any(one.state == "failed" for one in checks):
        raise typer.Exit(2)


@app.command("models")
def models(host: opt.HostOption = None, api_key_file: opt.ApiKeyFileOption = None) -> None:
    """List the models that the server has, and whether each is running."""
    from caa_nnsight.remote import served_models

    settings = _settings(host, api_key_file)
    found = served_models(settings)
    if not found:
        typer.echo(f"{settings.host} has no models now: the first job asks it to load one.")
    width = max((len(one.repo_id) for one in found), default=0)
    for one in found:
        copies = f"  {one.replicas} copies" if one.replicas > 1 else ""
        revision = f"  revision {one.revision}" if one.revision else ""
        typer.echo(f"{one.repo_id:<{width}}  {one.readiness}{copies}{revision}")


def _settings(host: str | None, api_key_file: Path | None) -> RemoteSettings:
    from caa_nnsight.remote import remote_settings

    return remote_settings(host, api_key_file=api_key_file, configured=_configured)


def _configured() -> tuple[str | None, str | None]:
    # nnsight takes seconds to load, and is needed only where the environment doesn't say.
    from caa_nnsight.tracer import configured_server

    return configured_server()
