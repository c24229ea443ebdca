"""Stage three: out-of-fold predictions become a certified blend with an honest score."""
