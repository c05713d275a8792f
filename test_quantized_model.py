"""The classic comparison: size on disk, inference time and precision of predictions of two models.

python test_quantized_model.py --original_path MODEL --optimized_path OUT [--data TEXTS.csv]
"""

from prensa.classic.compare import compare_models, main

__all__ = ["compare_models"]
__test__ = False  # the classic name begins like a test's; pytest leaves it alone

if __name__ == "__main__":
    main()
