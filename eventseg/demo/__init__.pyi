from .drives import Drive as Drive
from .drives import streets as streets
from .run import Plan as Plan
from .run import run_demo as run_demo
