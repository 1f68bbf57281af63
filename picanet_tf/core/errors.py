"""The project's exceptions. `PicanetError` is their base class."""


class PicanetError(ValueError):
    """A user error, as one line: the argument, the rule and the value received.

    Commands print it without a traceback and exit with code 1.
    """


class DatasetError(PicanetError):
    """A converted data set that is missing, incomplete or of the wrong kind."""
