"""``python -m radboost``: the command line."""

from __future__ import annotations

from radboost.cli import main

if __name__ == "__main__":
    main()
