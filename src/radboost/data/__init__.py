"""What crosses stage borders: types and files, never models."""
