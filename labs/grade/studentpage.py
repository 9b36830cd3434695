"""One student's page."""

from labs.grade.results import Grade
from labs.page import document, text


def page(grade: Grade, above: str) -> str:
    """The whole page. `above` is where the class's page is."""
    return document(grade.id, f"<h1>{text(grade.id)}</h1>")
