"""`avsep web`: a page that separates videos that are dropped on it, on this machine alone."""
