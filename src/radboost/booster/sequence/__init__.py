"""Heads over the slices of a series: what a slice shows is judged with its neighbours in sight."""
