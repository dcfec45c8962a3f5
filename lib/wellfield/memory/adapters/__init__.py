"""One module per array library; only the module of a library may import it."""
