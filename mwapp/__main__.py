"""``python -m mwapp``."""

from mwapp.cli import main

if __name__ == "__main__":
    main()
