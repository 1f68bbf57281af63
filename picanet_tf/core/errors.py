"""The exceptions of this project. `PicanetError` is the root of all of them."""


class PicanetError(ValueError):
    """A mistake that the user can mend, in one line: what, the rule, what was received.

    Commands print it without a traceback and exit with code 1.
    """


class DatasetError(PicanetError):
    """A converted data set that is missing, incomplete or of another kind."""
