"""The models, their manifest, and the recipe that makes the .onnx files from public packages."""
