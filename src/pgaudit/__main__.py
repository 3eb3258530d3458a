"""Run pgaudit as `python -m pgaudit`."""

from pgaudit.cli import main

if __name__ == "__main__":
    main()
