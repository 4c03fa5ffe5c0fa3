"""When no judgement can be given, and the digest that ties facts to alternative sources."""

import hashlib
import json

from patchwright.core.baselines import PatchBaseline, PatchSource
from patchwright.core.facts import NodeFacts
from patchwright.core.judgement import Unjudged, UnjudgedCode
from patchwright.core.values import FAMILY_OF, Family

ALTERNATIVE_PREFIX = "alternative:"
"""Begins HostState.sources_digest of facts that were gathered from a baseline's own sources."""

NEVER_REPORTED = "the node has not reported its packages yet"
_MANAGERS: dict[str, frozenset[Family]] = {
    "apt": frozenset({Family.APT}),
    "dnf": frozenset({Family.DNF, Family.YUM}),
    "yum": frozenset({Family.YUM, Family.DNF}),
    "zypper": frozenset({Family.ZYPPER}),
    "windows_update": frozenset({Family.WINDOWS}),
    "softwareupdate": frozenset({Family.MACOS}),
}
"""The managers whose facts these rules can read. Source: decisions.md 7, patch-baselines.md 4.1."""


def matching_sources(baseline: PatchBaseline, product: str) -> tuple[PatchSource, ...]:
    """The alternative sources that name `product` or `*`. Source: patch-baselines.md 1.9."""
    wanted = {"*", product.lower()}
    return tuple(source for source in baseline.sources if any(name.lower() in wanted for name in source.products))


def sources_digest(baseline: PatchBaseline, product: str) -> str:
    """What `sources_digest` of facts must be for this baseline: "" without sources, else prefix and SHA-256.

    The digest is of the matching sources' names and configurations, in the order given.
    Source: decisions.md 9.
    """
    sources = matching_sources(baseline, product)
    if not sources:
        return ""
    text = json.dumps([[source.name, source.configuration] for source in sources], ensure_ascii=True)
    return ALTERNATIVE_PREFIX + hashlib.sha256(text.encode("ascii")).hexdigest()


def judgeable(facts: NodeFacts | None, baseline: PatchBaseline) -> NodeFacts | Unjudged:
    """`facts` themselves when they can be judged under `baseline`, else why not.

    A Linux or macOS node with nothing installed has sent no facts worth the name: it must not look compliant.
    """
    if facts is None:
        return Unjudged(code=UnjudgedCode.NO_FACTS, reason=NEVER_REPORTED)
    if facts.operating_system is not baseline.operating_system:
        return Unjudged(
            code=UnjudgedCode.WRONG_OPERATING_SYSTEM,
            reason=f"the baseline is for {baseline.operating_system}, the node runs {facts.operating_system}",
        )
    family = FAMILY_OF[baseline.operating_system]
    if family not in _MANAGERS.get(facts.state.manager, frozenset()):
        return Unjudged(
            code=UnjudgedCode.UNSUPPORTED_MANAGER,
            reason=f"reports of the package manager {facts.state.manager!r} can't be judged for "
            f"{baseline.operating_system}",
        )
    if not facts.installed and family is not Family.WINDOWS:
        return Unjudged(code=UnjudgedCode.NO_FACTS, reason="the node's last report lists no installed package")
    return _wrong_sources(facts, baseline) or facts


def _wrong_sources(facts: NodeFacts, baseline: PatchBaseline) -> Unjudged | None:
    if baseline.sources and not matching_sources(baseline, facts.product):
        return Unjudged(
            code=UnjudgedCode.NO_MATCHING_SOURCE,
            reason=f"the baseline has alternative sources, but none for the product {facts.product or 'unknown'!r}",
        )
    expected = sources_digest(baseline, facts.product)
    found = facts.state.sources_digest if facts.state.sources_digest.startswith(ALTERNATIVE_PREFIX) else ""
    if expected == found:
        return None
    return Unjudged(
        code=UnjudgedCode.NEEDS_SCAN,
        reason="the last scan read other package sources than the baseline names; scan the node again",
    )
