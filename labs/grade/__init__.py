"""`lab grade`: many submissions, side by side, each by one `lab test` of its own, until every one has its grade.

Three parts that know little of each other: what there is to grade (`intake`, `unpacking`), how one submission is graded
(`job`, here or on a cluster's worker), and what is told of it (`results`, and the files that `report` makes of them).
Between them stands a journal: what is in it has happened, whatever happens next.
"""
