"""Versioning overrides in requests, in the reference's words. (events_commands.md section 13)"""

from temporalio.api.enums.v1 import VersioningBehavior
from temporalio.api.workflow.v1 import VersioningOverride

from services.errors import InvalidArgument

Behavior = VersioningBehavior


def check(override: VersioningOverride, *, version_required: bool = True) -> None:
    """Raises InvalidArgument when it contradicts itself. A run that is pinned already may stay where it is."""
    match override.WhichOneof("override"):
        case "pinned":
            if version_required and not override.pinned.HasField("version"):
                raise InvalidArgument("must provide version if override is pinned.")
            if not override.pinned.behavior:
                raise InvalidArgument("must specify pinned override behavior if override is pinned.")
        case "auto_upgrade":
            if not override.auto_upgrade:
                raise InvalidArgument("auto-upgrade override must be true")
        case "one_time":
            if not override.one_time.HasField("target_deployment_version"):
                raise InvalidArgument("must provide target deployment version if override is one-time.")
        case None:
            _check_old(override)


def _check_old(override: VersioningOverride) -> None:
    """As requests said it before there were versions of deployments."""
    version = bool(override.pinned_version or override.HasField("deployment"))
    if override.behavior == Behavior.VERSIONING_BEHAVIOR_UNSPECIFIED:
        raise InvalidArgument("override behavior is required")
    if override.behavior == Behavior.VERSIONING_BEHAVIOR_PINNED and not version:
        raise InvalidArgument("must provide deployment (deprecated) or pinned version if behavior is 'PINNED'")
    if override.pinned_version and "." not in override.pinned_version:
        expected = "<deployment_name>.<build_id>"
        raise InvalidArgument(f'invalid version string "{override.pinned_version}", expected format is "{expected}"')
    if override.behavior == Behavior.VERSIONING_BEHAVIOR_AUTO_UPGRADE and version:
        raise InvalidArgument("only provide pinned version if behavior is 'PINNED'")
