"""What others published: trained on KonIQ-10k, SRCC and PLCC per test set. None was re-run here."""

from iqa.report.document import Paragraph, say

TRAINED_ON = "koniq"
_DEQA = "DeQA-Score, table 3"
_SEED = "an earlier attempt on subsets, selected on test"

Scores = dict[str, tuple[str, str]]


def _peer(koniq: str, spaq: str, kadid: str, agiqa: str) -> Scores:
    """ "srcc/plcc" of each set, "" where nothing was published."""
    given = {"koniq": koniq, "spaq": spaq, "kadid": kadid, "agiqa": agiqa}
    return {name: (text.split("/")[0], text.split("/")[1]) for name, text in given.items() if text}


PEERS: dict[str, tuple[Scores, str]] = {
    "HyperIQA": (_peer("0.906/0.917", "0.788/0.791", "0.468/0.506", "0.640/0.702"), _DEQA),
    "MUSIQ": (_peer("0.929/0.924", "0.863/0.868", "0.556/0.575", "0.630/0.722"), _DEQA),
    "MANIQA": (_peer("0.834/0.849", "0.758/0.768", "0.465/0.499", "0.636/0.723"), _DEQA),
    "CLIP-IQA+": (_peer("0.895/0.909", "0.864/0.866", "0.654/0.653", "0.685/0.736"), _DEQA),
    "Q-Align": (_peer("0.940/0.941", "0.887/0.886", "0.684/0.674", "0.735/0.772"), _DEQA),
    "DeQA-Score": (_peer("0.941/0.953", "0.896/0.895", "0.687/0.694", "0.729/0.809"), _DEQA),
    "ARNIQA (self-supervised)": (_peer("0.864/0.876", "0.845/0.855", "0.699/0.686", ""), "its paper (WACV 2024)"),
    "Swin-B + HyperIQA head": (_peer("0.9378/0.9485", "0.8698/0.8709", "0.5412/0.5591", "0.6484/0.6830"), _SEED),
    "Previous best": (_peer("0.9343/0.9463", "", "", ""), _SEED),
}


def letter(source: str) -> str:
    """The mark of a quoted source: a, b, c in the order of PEERS."""
    return chr(ord("a") + list(dict.fromkeys(source for _, source in PEERS.values())).index(source))


def quotations() -> Paragraph:
    """Where the quoted numbers were published."""
    sources = dict.fromkeys(source for _, source in PEERS.values())
    return Paragraph(say("Quoted from " + "; ".join(f"[{letter(one)}] {one}" for one in sources) + "."), "note")
