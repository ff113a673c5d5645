"""A thing is written whole or not at all; hashes, ledgers, safe names and paths."""
