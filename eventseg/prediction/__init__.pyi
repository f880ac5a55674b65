from .predictor import Passes as Passes
from .predictor import network_input as network_input
from .predictor import probabilities as probabilities
