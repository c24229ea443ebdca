"""Synthetic cohorts in the exact layout of the public data sets, one package or module a data set."""
