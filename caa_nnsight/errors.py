"""The errors a user can meet; each message says what is wrong, where, and what to do."""


class CAAError(Exception):
    """Base of every error that `caa_nnsight` raises on purpose.

    The command line prints its message as one sentence and exits with code 2.
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
