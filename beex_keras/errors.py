"""The one exception that speaks to the user."""


class BeexError(ValueError):
    """A mistake in what the caller gave: one sentence that names the problem and the fix.

    The command line prints it after ``error:`` and exits with code 2; nothing is left half-written.
    """
