"""A model that comes as an ONNX file: writes one, and the two .npz files that edgekit asks for beside it."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

digits = load_digits()
pixels = (digits.data / 16).astype(np.float32)
train, test, train_labels, test_labels = train_test_split(pixels, digits.target, random_state=0)
trained = LogisticRegression(max_iter=500).fit(train, train_labels)

graph = helper.make_graph(
    [helper.make_node("Gemm", ["pixels", "weights", "bias"], ["scores"])],
    "digits",
    [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 64])],
    [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 10])],
    [
        numpy_helper.from_array(trained.coef_.T.astype(np.float32), "weights"),
        numpy_helper.from_array(trained.intercept_.astype(np.float32), "bias"),
    ],
)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), "digits.onnx")

# The first axis counts samples; the evaluation file adds what each of them should give.
np.savez("calibration.npz", pixels=train[:256])
np.savez("evaluation.npz", pixels=test, target=test_labels)
