from .audit import Audit as Audit
from .audit import audit as audit
from .report import write_audit as write_audit
