"""What separates, each asked alike."""
