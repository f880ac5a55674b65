from .files import Summary as Summary
from .images import simulate_images as simulate_images
from .report import report_statistics as report_statistics
from .street import simulate_street as simulate_street
