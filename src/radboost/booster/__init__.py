"""Stage two: from embeddings and metadata to out-of-fold predictions."""
