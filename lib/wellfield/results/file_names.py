"""Names of files of the report that other stages know."""

UNFINISHED_NAME = "unfinished.html"
