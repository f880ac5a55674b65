from .files import Summary as Summary
from .images import simulate_images as simulate_images
from .report import report_statistics as report_statistics
from .street import simulate_street as simulate_street
from .streets import StreetsSummary as StreetsSummary
from .streets import merge_streets as merge_streets
from .streets import simulate_streets as simulate_streets
from .streets import simulate_streets_shard as simulate_streets_shard
