from .config import TrainConfig as TrainConfig
from .config import load_config as load_config
from .config import recipe_names as recipe_names
from .optimisation import LossSpec as LossSpec
from .optimisation import OptimiserSpec as OptimiserSpec
from .optimisation import ScheduleSpec as ScheduleSpec
from .recipes import Recipe as Recipe
from .recipes import load_recipe as load_recipe
