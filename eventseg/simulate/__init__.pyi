from .files import Summary as Summary
from .fit import fit_street as fit_street
from .images import simulate_images as simulate_images
from .statistics import distances as distances
from .statistics import measure_recording as measure_recording
from .street import simulate_street as simulate_street
