"""Regions of interest: masks found by their content, patches drawn around them, and rows of a table for both."""
