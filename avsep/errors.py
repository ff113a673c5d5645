"""The one exception that a user may see: what is wrong, where, and what to do, in one line."""

LONGEST = 2000  # characters of a message: what it quotes of a file may be a megabyte
_KEPT_LAST = 500  # of these; what to do stands at the end


class InputError(Exception):
    """Bad input: a param, a file, a checkpoint. Its message is one line for the user.

    Whatever it quotes: line ends become blanks, what does not print is escaped, so that no file's name moves a
    terminal's cursor, and of a long message the middle is left out.
    """

    def __init__(self, message: str) -> None:
        super().__init__(_one_line(message))


def _one_line(message: str) -> str:
    line = message
    if not message.isprintable():
        line = "".join(
            c if c.isprintable() else " " if c.isspace() else c.encode("unicode_escape").decode() for c in message
        )
    if len(line) > LONGEST:
        line = f"{line[: LONGEST - _KEPT_LAST - 5]} ... {line[-_KEPT_LAST:]}"
    return line
