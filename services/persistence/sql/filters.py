"""A list filter's tree -> a condition in SQL. Names and values never become part of the text: they are bound."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from services.persistence.visibility_query import And, Condition, Not, Or, Predicate
from services.persistence.visibility_values import Attribute, AttributeType, Value

# The system attributes. Absent is NULL; some are there only once the run is closed.
_WHEN_CLOSED = "CASE WHEN close_time_ns != 0 THEN {} END"
_SYSTEM = {
    "WorkflowId": "workflow_id",
    "RunId": "run_id",
    "WorkflowType": "workflow_type",
    "TaskQueue": "task_queue",
    "ScheduleId": "workflow_id",
    "ParentWorkflowId": "nullif(parent_workflow_id, '')",
    "ParentRunId": "nullif(parent_run_id, '')",
    "RootWorkflowId": "nullif(root_workflow_id, '')",
    "RootRunId": "nullif(root_run_id, '')",
    "StartTime": "start_time_ns",
    "ExecutionTime": "execution_time_ns",
    "ExecutionStatus": "status",
    "CloseTime": "nullif(close_time_ns, 0)",
    "HistoryLength": _WHEN_CLOSED.format("history_length"),
    "HistorySizeBytes": _WHEN_CLOSED.format("history_bytes"),
    "StateTransitionCount": _WHEN_CLOSED.format("state_transitions"),
    "ExecutionDuration": _WHEN_CLOSED.format("(close_time_ns - start_time_ns)"),
}
LAST_CHARACTER = "\U0010ffff"


class Translator(ABC):
    """What is the same in every SQL. A room says how values are bound and how attributes are taken from JSON.

    Absent is NULL, so that neither a comparison nor its negation holds; but a list, or a text, that is absent does not
    contain what is looked for.
    """

    @abstractmethod
    def bind(self, value: Value) -> str:
        """What stands for the value in the text."""

    @abstractmethod
    def custom(self, of: Attribute) -> str:
        """The value of one of the namespace's attributes, in its type."""

    @abstractmethod
    def is_absent(self, of: Attribute) -> str:
        """Whether a run has not got one of the namespace's attributes."""

    @abstractmethod
    def contains(self, of: Attribute, values: Sequence[Value]) -> str:
        """Whether a list holds one of the values. Never NULL."""

    @abstractmethod
    def has_words(self, of: Attribute, wanted: str) -> str:
        """Whether a text has one of the wanted words (visibility_values.has_word). Never NULL."""

    def translate(self, condition: Condition | None) -> str:
        match condition:
            case None:
                return "1 = 1"
            case Not(part):
                return f"NOT ({self.translate(part)})"
            case And(left, right):
                return f"({self.translate(left)}) AND ({self.translate(right)})"
            case Or(left, right):
                return f"({self.translate(left)}) OR ({self.translate(right)})"
            case Predicate():
                return self._predicate(condition)

    def _predicate(self, predicate: Predicate) -> str:
        of, operator, values = predicate.attribute, predicate.operator, predicate.values
        if of.name in _SYSTEM:
            return self._compare(_SYSTEM[of.name], operator, values)
        if operator == "IS NULL":
            return self.is_absent(of)
        if of.type is AttributeType.KEYWORD_LIST:
            found = self.contains(of, values)
        elif of.type is AttributeType.TEXT:
            found = self.has_words(of, str(values[0]))
        else:
            return self._compare(self.custom(of), operator, values)
        return f"NOT {found}" if operator == "!=" else found

    def _compare(self, operand: str, operator: str, values: Sequence[Value]) -> str:
        match operator:
            case "IS NULL":
                return f"{operand} IS NULL"
            case "IN":
                return f"{operand} IN ({', '.join(self.bind(value) for value in values)})"
            case "BETWEEN":
                return f"{operand} BETWEEN {self.bind(values[0])} AND {self.bind(values[1])}"
            case "STARTS_WITH":  # as a range, which an index can serve; the last code point is no character
                prefix = str(values[0])
                return f"{operand} BETWEEN {self.bind(prefix)} AND {self.bind(prefix + LAST_CHARACTER)}"
        assert operator in ("=", "!=", "<", "<=", ">", ">="), operator
        return f"{operand} {operator} {self.bind(values[0])}"
