"""Networks: weights to and from torch in the documented order, checks of a user's own module."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from sciml_dsl.errors import InputError
from sciml_dsl.model.spec import Network
from sciml_dsl.nn import networks
from sciml_dsl.nn.weights import initial_weights, layers

ACTIVATIONS = ["tanh", "sigmoid", "softplus", "relu", "gelu", "swish", "sin", "rbf", "identity"]
NET = Network("U", 2, 3, (4, 5), "tanh")


def test_flat_order_is_the_matrix_row_by_row_then_the_bias():
    flat = np.arange(NET.n_weights, dtype=float) / 100
    module = networks.build(NET, flat)
    (w0, b0), (w1, b1), (w2, b2) = layers(NET, flat)
    x = np.array([0.3, -0.7])
    expected = w2 @ np.tanh(w1 @ np.tanh(w0 @ x + b0) + b1) + b2
    np.testing.assert_allclose(module(torch.tensor(x)).detach().numpy(), expected, rtol=1e-14)
    assert w0.shape == (4, 2) and w0[0, 1] == 0.01 and w0[1, 0] == 0.02 and b0[0] == 0.08
    np.testing.assert_array_equal(networks.flatten(module), flat)
    np.testing.assert_array_equal(torch.nn.utils.parameters_to_vector(module.parameters()).detach().numpy(), flat)


def test_initial_weights_are_glorot_uniform_and_seeded():
    wide = Network("W", 100, 1, (200,))
    flat = initial_weights(wide, seed=3)
    np.testing.assert_array_equal(flat, initial_weights(wide, seed=3))
    assert not np.array_equal(flat, initial_weights(wide, seed=4))
    (w0, b0), (w1, b1) = layers(wide, flat)
    bound = np.sqrt(6 / 300)
    assert abs(w0).max() <= bound and w0.std() == pytest.approx(bound / np.sqrt(3), rel=0.02)
    assert not b0.any() and not b1.any()
    scaled = layers(wide, initial_weights(wide, seed=3, last_scale=0.1))
    np.testing.assert_allclose(scaled[1][0], 0.1 * w1)
    np.testing.assert_array_equal(scaled[0][0], w0)


def test_initial_weights_do_not_need_torch():
    code = "import sys, sciml_dsl.nn.weights; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_wrong_number_of_weights():
    with pytest.raises(InputError, match="`U` has 55 weights, not 3"):
        layers(NET, [1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="the module has 55 weights, not 3"):
        networks.build(NET, [1.0, 2.0, 3.0])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_own_module_is_recognised(name):
    network = Network("U", 2, 1, (4,), name)
    networks.check(network, networks.build(network, dtype=torch.float32))
    networks.check(network, networks.build(network))


def own(*parts):
    torch.manual_seed(0)
    return torch.nn.Sequential(*parts).double()


Linear, Tanh = torch.nn.Linear, torch.nn.Tanh


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (own(Linear(2, 4), Tanh(), Linear(4, 3)), "has layers 2-4-3"),
        (own(Tanh()), "has no torch.nn.Linear layers"),
        (own(Linear(2, 4), Tanh(), Linear(4, 5, bias=False), Tanh(), Linear(5, 3)), "has no bias"),
        (own(Linear(2, 4), Tanh(), Linear(4, 5), torch.nn.ReLU(), Linear(5, 3)), "computes something else"),
        (own(Linear(2, 4), Tanh(), Linear(4, 5), Tanh(), Linear(5, 3), Tanh()), "computes something else"),
        (own(Linear(2, 4), Tanh(), torch.nn.BatchNorm1d(4), Linear(4, 5), Tanh(), Linear(5, 3)), "has 63"),
    ],
)
def test_other_modules_are_refused_with_the_reason(module, says):
    with pytest.raises(InputError, match=f"the network `U` is 2-4-5-3 with tanh.*{says}"):
        networks.check(NET, module)


def test_a_users_ordinary_module_is_accepted():
    class Mine(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = Linear(2, 4), Linear(4, 5), Linear(5, 3)

        def forward(self, x):
            return self.c(torch.tanh(self.b(torch.tanh(self.a(x)))))

    module = Mine()
    networks.check(NET, module)
    networks.load(module, np.linspace(-1, 1, NET.n_weights))
    np.testing.assert_allclose(networks.flatten(module), np.linspace(-1, 1, NET.n_weights), rtol=1e-6)
