"""What the mesh installs in SurrealDB: SurrealQL files, and how they are applied."""
