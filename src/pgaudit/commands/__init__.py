"""One module a command; each is a function that prints and returns an exit code."""
