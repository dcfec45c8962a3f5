"""Functions whose parameters Python does not know cannot be steps."""

import pytest

from wellfield.errors import UnknownFunctionError
from wellfield.pipeline.functions import resolve_function


@pytest.mark.parametrize("func", ["builtins:max", "builtins:min", "builtins:dict"])
def test_a_function_of_unknown_parameters_is_refused_by_name(func):
    with pytest.raises(UnknownFunctionError, match=f"'{func}' cannot be used: .* Name a function of your own"):
        resolve_function(func)
