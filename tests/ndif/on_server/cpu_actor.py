"""What NDIF needs to run on a machine without a GPU, imported by the server's own processes.

NDIF's model actors want CUDA for loading a model and for parking it. Only these are replaced:
taking requests apart, running them, time limits and results stay NDIF's own.
"""

from __future__ import annotations

import gc
import inspect
import json
import os
from pathlib import Path

import ray
import torch
from ndif.services.ray.deployments.controller.controller import _ControllerActor
from ndif.services.ray.deployments.modeling.base import (
    KILL_REASON_PREEMPTED,
    BaseModelDeployment,
)
from ndif.services.ray.sandbox import host
from ndif.services.ray.sandbox.model import SandboxModelDeployment
from nnsight.modeling.huggingface import HuggingFaceModel
from nnsight.modeling.mixins.remotable import Remotable

# NDIF calls both after every request.
torch.cuda.synchronize = torch.cuda.empty_cache = lambda *_, **__: None

# A sandbox sees only the variables that are listed, and has to find the Hub that we serve.
host.RUNNER_ENV += ("HF_ENDPOINT", "HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_TELEMETRY")


def _accept_trust_remote_code(name: str) -> None:
    """NDIF 0.1.2 passes it; nnsight 0.8.1 reads it from the model's key and takes it no more."""
    method = getattr(Remotable, name).__func__
    if "trust_remote_code" in inspect.signature(method).parameters:
        return

    def tolerant(cls, *args, trust_remote_code=False, **kwargs):
        return method(cls, *args, **kwargs)

    setattr(Remotable, name, classmethod(tolerant))


_accept_trust_remote_code("describe_checkpoint")
_accept_trust_remote_code("max_tp_size")


class OnCPU:
    """Loads a model into main memory, and gives it up instead of parking it."""

    CACHEABLE = False

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._leave_pid()

    def load_from_disk(self):
        model = HuggingFaceModel.from_model_key(
            self.model_key, dispatch=True, dtype=self.dtype_name, device="cpu", **self.kwargs
        )
        model._module.requires_grad_(False)
        return model

    def _leave_pid(self) -> None:
        """Write which process serves the model, for tests that kill it."""
        repo = json.loads(self.model_key.split(":", 1)[1])["repo_id"]
        path = Path(os.environ["CAA_NDIF_ACTORS"], repo.replace("/", "--"))
        new = path.with_name(f"{path.name}.new")
        new.write_text(str(os.getpid()))
        new.rename(path)

    async def to_cache(self):
        await self.cancel(KILL_REASON_PREEMPTED)
        gc.collect()
        self.cached = True

    def from_cache(self, gpu_mem_bytes_by_id):
        self.gpu_mem_bytes_by_id = gpu_mem_bytes_by_id
        self.cached = False


@ray.remote(num_cpus=0, max_restarts=-1)
class CPUModelActor(OnCPU, BaseModelDeployment):
    """Runs requests in its own process."""


@ray.remote(num_cpus=0, max_restarts=-1)
class CPUSandboxModelActor(OnCPU, SandboxModelDeployment):
    """Runs every request that isn't trusted in a process of its own."""


@ray.remote(num_cpus=0, max_restarts=-1, resources={"head": 1})
class CPUControllerActor(_ControllerActor):
    """NDIF's controller, in a process that has the changes above."""

    def __init__(self, *args, **kwargs):
        # Ray sends this class by value, without the module that it stands in.
        import cpu_actor  # noqa: F401

        super().__init__(*args, **kwargs)
