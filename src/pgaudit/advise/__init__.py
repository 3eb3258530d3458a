"""From statements and their plans to a small set of indexes that earn what they cost."""
