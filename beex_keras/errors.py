"""What speaks to the user: the one exception, and the one warning."""


class BeexError(ValueError):
    """A mistake in what the caller gave: one sentence that names the problem and the fix.

    The command line prints it after ``error:`` and exits with code 2; nothing is left half-written.
    """


class BeexWarning(UserWarning):
    """Warns of something that works, but probably not as the caller intended: one sentence.

    The command line prints it after ``warning:`` and goes on.
    """
