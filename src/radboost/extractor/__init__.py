"""Stage one: a cohort's crops through a frozen backbone into an embedding store."""
