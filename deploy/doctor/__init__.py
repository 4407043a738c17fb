"""What `spky doctor` looks at: the host, SurrealDB, and the running mesh."""
