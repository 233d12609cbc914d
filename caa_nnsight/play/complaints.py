"""What went wrong, as one sentence for the page."""

from __future__ import annotations

import logging

from caa_nnsight.errors import CAAError

_log = logging.getLogger(__name__)


def sentence(error: Exception) -> str:
    """What to tell the user; what nobody foresaw is logged with its traceback."""
    if isinstance(error, CAAError):
        return str(error)
    from caa_nnsight.tracer.out_of_memory import give_back, is_out_of_memory

    if is_out_of_memory(error):
        give_back()
        return "Memory ran out: give a shorter prompt, ask for shorter answers, or close programs."
    _log.error("Unforeseen", exc_info=error)
    return (
        f"That failed ({type(error).__name__}); the terminal that `caa play` runs in says more. "
        "You can go on here."
    )
