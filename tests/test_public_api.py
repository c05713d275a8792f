import prensa


def test_the_public_names():
    assert prensa.__all__ == [
        "AccelerationError",
        "CalibrationError",
        "ModelError",
        "DataError",
        "Evaluation",
        "EvaluationError",
        "FormatError",
        "Manifest",
        "MissingPackageError",
        "OutputError",
        "RecipeError",
        "PrensaError",
        "Recipe",
        "RecipeError",
        "TrimVocabulary",
        "VocabularyError",
        "accelerate",
        "compress",
        "compress_within",
        "evaluate",
        "export",
        "inspect",
        "load",
        "load_preset",
        "load_recipe",
        "load_results",
        "write_cards",
        "write_report",
    ]
    assert all(getattr(prensa, name).__doc__ for name in prensa.__all__)
