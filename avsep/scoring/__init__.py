"""How good: separation, grounding, silence."""
