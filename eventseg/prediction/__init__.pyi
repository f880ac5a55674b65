from .predict import Prediction as Prediction
from .predict import Predictions as Predictions
from .predict import predict as predict
from .predictor import Passes as Passes
from .predictor import Predictor as Predictor
from .predictor import network_input as network_input
from .predictor import predictor as predictor
from .predictor import probabilities as probabilities
