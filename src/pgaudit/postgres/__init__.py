"""Everything that talks to PostgreSQL: connect, learn what is true of a server, ask one question safely."""
