"""`python -m avsep` is the word `avsep`."""

from avsep.cli import main

if __name__ == "__main__":
    main()
