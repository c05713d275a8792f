"""A model behind HTTP: routes that clients already speak, limits that hold, and a page to try it."""
