"""What is learned: networks, and nothing else."""
