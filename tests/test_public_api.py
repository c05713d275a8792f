import prensa


def test_the_public_names():
    assert prensa.__all__ == [
        "CheckpointError",
        "FormatError",
        "Manifest",
        "MissingPackageError",
        "OutputError",
        "PlanError",
        "PrensaError",
        "Recipe",
        "RecipeError",
        "compress",
        "inspect",
        "load",
        "load_preset",
        "load_recipe",
    ]
    assert all(getattr(prensa, name).__doc__ for name in prensa.__all__)
