"""What speaks to the user: the one exception, and the one warning."""


class BeexError(ValueError):
    """A mistake in what the caller gave: one sentence that names the problem and the fix.

    The command line prints it after ``error:`` and exits with code 2; nothing is left half-written.
    """


class BeexWarning(UserWarning):
    """Something that works, but hardly as the caller meant it: one sentence, as of `BeexError`.

    The command line prints it after ``warning:`` and goes on.
    """
