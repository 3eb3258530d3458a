"""pgaudit turns what a PostgreSQL server says about itself into findings; it changes nothing."""

__version__ = "0.1.0"
