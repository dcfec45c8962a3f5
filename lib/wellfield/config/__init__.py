"""The configuration: typed models, the plate sheet, and the schemas that are generated from them."""
