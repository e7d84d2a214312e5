"""Values of enums as the reference writes them in texts: `UnhandledCommand`; one that it does not know is a number."""

from temporalio.api.enums.v1 import CommandType, WorkflowTaskFailedCause


def camel(name: str, prefix: str) -> str:
    """`SCHEDULE_TO_START` after its prefix, as `ScheduleToStart`."""
    return "".join(word.capitalize() for word in name.removeprefix(prefix).split("_"))


def cause_name(cause: WorkflowTaskFailedCause.ValueType) -> str:
    if cause not in WorkflowTaskFailedCause.values():
        return str(cause)
    return camel(WorkflowTaskFailedCause.Name(cause), "WORKFLOW_TASK_FAILED_CAUSE_")


def command_name(command_type: CommandType.ValueType) -> str:
    if command_type not in CommandType.values():
        return str(command_type)
    return camel(CommandType.Name(command_type), "COMMAND_TYPE_")
