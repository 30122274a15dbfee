"""`python -m bonescint`: the command line."""

from bonescint.cli import main

if __name__ == "__main__":
    main()
