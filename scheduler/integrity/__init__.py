"""Trees over the replica's tables, published, and held against SurrealDB."""
