"""Graph to graph: what happens to an onnx_ir.Model between export and compilation."""
