"""Pages, figures and tables from what the stages hand over."""
