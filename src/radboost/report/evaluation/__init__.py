"""How good predictions are, as a page: what `radboost report` writes."""
