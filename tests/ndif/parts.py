"""The processes that make a server: their command lines and the environment they share."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.ndif.install import environment_folder, find_program
from tests.ndif.ports import Ports

HERE = Path(__file__).parent
ON_SERVER = HERE / "on_server"
REPOSITORY = HERE.parent.parent
BUCKET = "results"
GIB = 2**30

RAY_PORTS = (
    "port",
    "ray-client-server-port",
    "dashboard-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "runtime-env-agent-port",
    "metrics-export-port",
    "node-manager-port",
    "object-manager-port",
)
PORTS = ("api", "hub", "redis", "object_store", "postgres", *RAY_PORTS)


@dataclass(frozen=True)
class Options:
    """What can be chosen about a server."""

    auth: bool
    sandbox: bool
    execution_timeout: float
    min_nnsight_version: str | None


def address(ports: Ports, part: str) -> str:
    return f"http://127.0.0.1:{ports[part]}"


def shared_environment(state: Path, ports: Ports, options: Options) -> dict[str, str]:
    """What every part gets: nothing of the user's but where programs and locales are."""
    actor = "CPUSandboxModelActor" if options.sandbox else "CPUModelActor"
    kept = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {
        "HOME": str(state),
        "PYTHONPATH": str(ON_SERVER),
        "OMP_NUM_THREADS": "1",
        "NO_PROXY": "127.0.0.1,localhost",
        # Where each model's process leaves its pid.
        "CAA_NDIF_ACTORS": str(state / "actors"),
        "HF_ENDPOINT": address(ports, "hub"),
        "HF_HOME": str(state / "hf"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NDIF_API_URL": address(ports, "api"),
        "NDIF_REDIS_URL": f"redis://127.0.0.1:{ports['redis']}",
        "NDIF_OBJECT_STORE_URL": address(ports, "object_store"),
        "NDIF_OBJECT_STORE_BUCKET": BUCKET,
        "NDIF_RAY_ADDRESS": f"ray://127.0.0.1:{ports['ray-client-server-port']}",
        "NDIF_CONTROLLER_IMPORT_PATH": "cpu_actor.CPUControllerActor",
        "NDIF_DEFAULT_MODEL_ACTOR_CLASS": f"cpu_actor.{actor}",
        "NDIF_SANDBOX_POOL_SIZE": "1",
        "NDIF_DEFAULT_DTYPE": "float32",
        "NDIF_DEFAULT_EXECUTION_TIMEOUT_SECONDS": str(options.execution_timeout),
        "NDIF_DEFAULT_PADDING_BIAS": "0",
        "NDIF_MINIMUM_DEPLOYMENT_TIME_SECONDS": "0",
        "NDIF_AUTOSCALING_MAX_REPLICAS": "1",
        # Tests change things and look: no second may pass on an old answer.
        "NDIF_STATUS_TTL_S": "1",
        "RAY_ADDRESS": f"127.0.0.1:{ports['port']}",
        # Off, it listens on 127.0.0.1 only; on (as elsewhere), on every interface.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        # Ray's client proxy forks beside gRPC's threads, and its children would sometimes die.
        "GRPC_ENABLE_FORK_SUPPORT": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    if options.auth:
        url = f"postgresql://postgres@127.0.0.1:{ports['postgres']}/postgres"
        environment["NDIF_POSTGRES_URL"] = url
    if options.min_nnsight_version:
        environment["NDIF_MIN_NNSIGHT_VERSION"] = options.min_nnsight_version
    return environment


def command(part: str, state: Path, ports: Ports) -> list[str]:
    """The command line that starts a part."""
    return COMMANDS[part](state, ports)


def environment_of(part: str, shared: dict[str, str]) -> dict[str, str]:
    """The hub is code of these tests; the server itself must not find the package under test."""
    return {**shared, "PYTHONPATH": str(REPOSITORY)} if part == "hub" else shared


def _hub(state: Path, ports: Ports) -> list[str]:
    return [sys.executable, "-m", "tests.ndif.hub", str(state / "hub"), str(ports["hub"])]


def _redis(state: Path, ports: Ports) -> list[str]:
    program = find_program("redis-server")
    nowhere = ["--save", "", "--appendonly", "no", "--dir", str(state)]
    return [program, "--bind", "127.0.0.1", "--port", str(ports["redis"]), *nowhere]


def _object_store(state: Path, ports: Ports) -> list[str]:
    program = str(environment_folder() / "bin/moto_server")
    return [program, "-H", "127.0.0.1", "-p", str(ports["object_store"])]


def _postgres(state: Path, ports: Ports) -> list[str]:
    folder = str(state / "postgres")
    command = [find_program("postgres"), "-D", folder, "-p", str(ports["postgres"])]
    for setting in (
        "listen_addresses=127.0.0.1",
        f"unix_socket_directories={folder}",
        "dynamic_shared_memory_type=mmap",
        "fsync=off",
    ):
        command += ["-c", setting]
    return command


def _ray(state: Path, ports: Ports) -> list[str]:
    # NDIF places models on nodes that have a GPU with enough memory.
    resources = {"head": 10, "cuda_memory_bytes": 4 * GIB, "cpu_memory_bytes": 4 * GIB}
    command = [str(environment_folder() / "bin/ray"), "start", "--head"]
    command += ["--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1"]
    # The dashboard answers NDIF's questions about actors; neither scaling nor logs are watched.
    command += ["--include-dashboard=true", "--no-monitor", "--include-log-monitor=false"]
    command += ["--num-cpus=1", "--num-gpus=1", f"--resources={json.dumps(resources)}"]
    command += ["--object-store-memory=200000000", f"--temp-dir={state / 'ray'}"]
    # Whatever ports are free for workers: two clusters with one range could clash.
    command += ["--min-worker-port=0", "--max-worker-port=0"]
    return command + [f"--{name}={ports[name]}" for name in RAY_PORTS]


def _controller(state: Path, ports: Ports) -> list[str]:
    python = str(environment_folder() / "bin/python")
    return [python, str(ON_SERVER / "launch.py"), str(ports["port"])]


def _api(state: Path, ports: Ports) -> list[str]:
    program = str(environment_folder() / "bin/gunicorn")
    settings = ["--config", "python:ndif.services.api.gunicorn_conf"]
    return [program, *settings, "--bind", f"127.0.0.1:{ports['api']}", "ndif.services.api.app:app"]


COMMANDS = {
    "hub": _hub,
    "redis": _redis,
    "object_store": _object_store,
    "postgres": _postgres,
    "ray": _ray,
    "controller": _controller,
    "api": _api,
}
