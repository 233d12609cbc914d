"""`caa play`: a local page to steer a model on."""

from __future__ import annotations

from typing import Annotated

import typer

from caa_nnsight.cli import options as opt


def play(
    what: Annotated[
        list[str] | None,
        typer.Argument(help="Behaviors, vector files and run folders; all behaviors by default."),
    ] = None,
    model: opt.ModelOption = opt.DEFAULT_MODEL,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes a free one.")
    ] = 7860,
    layers: opt.LayersOption = None,
    limit: Annotated[
        int, typer.Option(min=2, help="Pairs that a behavior's vectors are made from, at most.")
    ] = 100,
    device: opt.DeviceOption = "auto",
    dtype: opt.DtypeOption = "auto",
    revision: opt.RevisionOption = None,
    layers_path: opt.LayersPathOption = None,
    device_map: opt.DeviceMapOption = None,
    memory_budget: opt.MemoryBudgetOption = None,
    remote: opt.RemoteOption = False,
    host: opt.HostOption = None,
    api_key_file: opt.ApiKeyFileOption = None,
    remote_timeout: opt.RemoteTimeoutOption = None,
    quiet: opt.QuietOption = False,
) -> None:
    """Open a local page: plain and steered answers side by side, by behavior, layer, multiplier."""
    from caa_nnsight.play.choices import find_choices
    from caa_nnsight.play.server import ADDRESS, bind, load_library, serve
    from caa_nnsight.settings import ModelSettings

    load_library()
    chosen = opt.parse_layers(layers)
    choices = find_choices(what or [])
    settings = ModelSettings(
        model=model,
        revision=revision,
        layers_path=layers_path,
        device=device,
        dtype=dtype,
        device_map=device_map,
        remote=remote,
        host=host,
    )
    with bind(port) as sock:
        from caa_nnsight.play.page import pages
        from caa_nnsight.play.workbench import Workbench
        from caa_nnsight.progress import progress_steps

        with progress_steps(quiet) as steps:
            loaded = settings.load(
                steps,
                memory_budget=memory_budget,
                api_key_file=api_key_file,
                remote_timeout=remote_timeout,
            )
        build, end = pages(Workbench(loaded, settings, choices, chosen, limit))
        typer.echo(f"Page: http://{ADDRESS}:{sock.getsockname()[1]} (Ctrl-C ends it)")
        try:
            serve(sock, build, end)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
