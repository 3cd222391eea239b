"""Exercises for paper: drawn with blanks, and graded so that a wrong answer names its slip."""

from minicnn.inspection.worksheets.draw import worksheet
from minicnn.inspection.worksheets.grade import Grade, Mark, grade
from minicnn.inspection.worksheets.sheet import Worksheet

__all__ = ["Grade", "Mark", "Worksheet", "grade", "worksheet"]
