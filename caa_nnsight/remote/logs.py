"""What the HTTP library logs of our requests, without secrets."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from caa_nnsight.remote.keys import ApiKey, scrub

# A filter holds for records of its own logger only, not for those of loggers below it.
_LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)


@contextmanager
def scrubbed_logs(key: ApiKey | None) -> Iterator[None]:
    """Take secrets out of what the HTTP library logs inside the block.

    It logs whole addresses, which for a download hold a signature, and at DEBUG the headers that
    a server sends, which may hold anything.
    """

    def clean(record: logging.LogRecord) -> bool:
        record.msg, record.args = scrub(record.getMessage(), key), ()
        return True

    for name in _LOGGERS:
        logging.getLogger(name).addFilter(clean)
    try:
        yield
    finally:
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(clean)
