from .check import check_league as check_league
from .league import League as League
from .opening import is_league as is_league
from .opening import open_league as open_league
from .release import Release as Release
from .release import write_release as write_release
from .settings import LeagueSettings as LeagueSettings
