"""An approval rule as a sentence. Pure."""

from server.core.i18n import _, ngettext
from server.seals.schemas import ApprovalRule, Stage


def rule_sentence(rule: ApprovalRule) -> str:
    """For example "2 approvals from Finance, then 1 approval from Legal", and whether the requester may stamp."""
    ladder = _(", then ").join(_stage(stage) for stage in rule.stages)
    keeper = _("Who asks may also stamp.") if rule.requester_may_keep else _("Who asks must not stamp.")
    return _("Needs %(ladder)s. %(keeper)s") % {"ladder": ladder, "keeper": keeper}


def _stage(stage: Stage) -> str:
    words = ngettext("%(n)s approval from %(name)s", "%(n)s approvals from %(name)s", stage.quorum)
    return words % {"n": stage.quorum, "name": stage.name}
