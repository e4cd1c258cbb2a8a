"""The demonstration facility: cameras, a board, a broker and platforms. Imported by the CLI alone."""
