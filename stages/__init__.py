"""What runs: one file per DVC stage, `python -m stages.<stage>`."""
