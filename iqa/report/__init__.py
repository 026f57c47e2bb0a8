"""The report: rows and artifacts → tables, figures, marks → HTML, Markdown, LaTeX, CSV. It never loads a model.

evidence (which run stands in which place), setup · results · trials · training · analysis · cost · looks · appendix
(the sections), verdicts, claims and epochs (marks), beside (what never decides), figures · plots · pictures, composing
→ document → html · markdown · latex, building (the files), provenance and links, checking and bundle, pairing and
differing (`iqa compare`).
"""

from iqa.report.building import Report, build
from iqa.report.checking import check, check_bundle, pack
from iqa.report.evidence import ReportError, titled

__all__ = ["Report", "ReportError", "build", "check", "check_bundle", "pack", "titled"]
