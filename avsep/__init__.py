"""What the stages share, in the order a clip passes through."""
