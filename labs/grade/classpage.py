"""The class's page."""

from labs.grade.results import ClassResult
from labs.page import document


def page(result: ClassResult, students: str) -> str:
    """The whole page. `students` is the folder with the pages of the students."""
    return document(result.lab, f"<h1>{result.lab}</h1>")
