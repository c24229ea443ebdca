"""Torch parts that two stages share: where a network runs, and in what precision."""
