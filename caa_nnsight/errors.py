"""The errors a user can meet; each message says what is wrong, where, and what to do."""


class CAAError(Exception):
    """Base of every error that `caa_nnsight` raises on purpose.

    The command line prints its message as one sentence and exits with code 2.

    Example:
        >>> from caa_nnsight import get_behavior
        >>> try:
        ...     get_behavior("refusel")
        ... except CAAError as error:
        ...     print(error)
        There is no behavior 'refusel'. Did you mean 'refusal'?
    """


class BehaviorError(CAAError):
    """A behavior, its pairs or its files are unusable."""


class ModelError(CAAError):
    """A model can't be found, loaded or understood."""


class PromptError(CAAError):
    """A prompt can't be rendered or tokenised for this model."""


class SteeringError(CAAError):
    """A layer, multiplier, operator or start of steering is unusable."""


class VectorError(CAAError):
    """Steering vectors can't be made, read, combined or applied."""


class RunError(CAAError):
    """A run folder can't be written, resumed or read."""


class HubError(CAAError):
    """A repository on the Hugging Face Hub can't be found, read or written."""


class RemoteError(CAAError):
    """An NDIF server can't be reached, refuses, or fails a job.

    Attributes:
        details: all that the server said, such as a whole traceback; "" where the message has it.
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


class RemoteTooLargeError(RemoteError):
    """A request is too large for the server, or ran longer than it allows: a smaller one may do."""


class RemoteMemoryError(RemoteError):
    """The server ran out of memory: smaller passes may do."""


class RemoteInterventionError(RemoteError):
    """An intervention raised an exception on the server: the same would fail again."""
