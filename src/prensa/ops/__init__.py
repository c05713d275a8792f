"""Pure mathematics on tensors: no files, no modules, no global state."""
