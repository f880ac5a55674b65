from .image_folders import Folder as Folder
from .leagues import League as League
from .live import EventBatch as EventBatch
from .live import LiveWindow as LiveWindow
from .picture_source import PictureSource as PictureSource
from .recorded import EventSource as EventSource
from .source import Source as Source
from .source import open_source as open_source
