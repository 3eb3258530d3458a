"""The text of a statement → what it reads, compares, joins and returns; no server is needed."""
