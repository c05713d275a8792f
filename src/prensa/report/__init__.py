"""An evaluation as tables, as a page, and as a model card. Nothing here measures."""
