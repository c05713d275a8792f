"""The classic script: press a model from the command line or with ``apply_quantization``.

python quantization_code.py --model_path MODEL --output_path OUT
"""

from prensa.classic.optimize import apply_quantization, main

__all__ = ["apply_quantization"]

if __name__ == "__main__":
    main()
