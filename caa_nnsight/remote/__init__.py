"""The transport to NDIF servers: settings and keys, jobs, the ledger, and the preflight.

Plain HTTP. What a job computes is none of its business, and it knows nothing of nnsight.
"""

from caa_nnsight.remote.events import JobEvent
from caa_nnsight.remote.jobs import RemoteJobs
from caa_nnsight.remote.ledger import Ledger
from caa_nnsight.remote.preflight import Check, Preflight, preflight, served_models
from caa_nnsight.remote.settings import RemoteSettings, remote_settings
from caa_nnsight.remote.traffic import Traffic, summary

__all__ = [
    "Check",
    "JobEvent",
    "Ledger",
    "Preflight",
    "RemoteJobs",
    "RemoteSettings",
    "Traffic",
    "preflight",
    "remote_settings",
    "served_models",
    "summary",
]
