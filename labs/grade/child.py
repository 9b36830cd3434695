"""`python -m labs.grade.child PARENT WORD…`: the `lab` command, which ends when the grader that began it has ended."""

import sys

from labs.process import system

if __name__ == "__main__":
    system.die_with_parent(int(sys.argv.pop(1)))
    from labs.cli import main

    main()
