"""A trained pipeline as one folder to hand on: its files, its card, and the hub that it may lie on."""
