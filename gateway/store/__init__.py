"""PostgreSQL: the one store. Everything that waits for it stands here."""
