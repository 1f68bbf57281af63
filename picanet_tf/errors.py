"""The exceptions that are a user's to mend."""


class PicanetError(ValueError):
    """A mistake of the user's, told in one line: what, the rule, what came.

    The entry scripts print it without a traceback and exit with 1.
    """
