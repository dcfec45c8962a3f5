"""Image-processing functions: pure, arrays and numbers in, arrays and tables out."""
