"""What happened to a document, read from the tables of a finished corpus."""
