"""Recognises the text of pictures: PaddleOCR's models, run by onnxruntime, in the locked reader.

The models are PP-OCRv6's small ones for Chinese and English (Apache-2.0), as `rapidocr` carries
them; of that package only these files are used. `documents.pictures` alone knows this package.
"""
