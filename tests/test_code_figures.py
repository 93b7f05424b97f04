"""How the code reads, in figures: what a new file must not lower."""

import code_figures
import pytest


@pytest.fixture(scope="module")
def figures() -> code_figures.Figures:
    return code_figures.measure()


def test_comments_say_why(figures):
    assert figures.comments_per_code_line >= 0.06


def test_parameters_of_public_functions_are_named_in_their_docstrings(figures):
    assert figures.share_of_parameters_named >= 0.85, figures.unnamed


def test_functions_that_take_or_return_arrays_say_dims_and_units(figures):
    assert figures.without_dims_or_units == []


def test_a_long_file_says_why(figures):
    assert figures.long_files == []


def test_no_imports_go_in_a_circle(figures):
    assert figures.cycles == []


def test_comments_and_pages_name_only_modules_and_files_that_are_there(figures):
    assert figures.dead_names == []
