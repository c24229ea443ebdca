"""One file a command: parse, call, print. Heavy imports stay inside the functions, so that --help answers at once."""
