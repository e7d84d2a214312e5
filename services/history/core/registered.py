"""The fold of completion callbacks: events register them with a run, and nothing takes them off it."""

from collections.abc import Iterable

from temporalio.api.common.v1 import Callback as CallbackAddress
from temporalio.api.enums.v1 import CallbackState

from services.history.core.run import Run
from services.protos.run_pb2 import Callback


def register(run: Run, addresses: Iterable[CallbackAddress], at_ns: int, request_id: str = "") -> Iterable[int]:
    """Registers callbacks and yields their numbers, by which all else calls them."""
    for address in addresses:
        number = len(run.callbacks) + 1
        run.callbacks[number] = Callback(
            callback=address,
            registration_time_ns=at_ns,
            request_id=request_id,
            state=CallbackState.CALLBACK_STATE_STANDBY,
        )
        yield number


def settled_callback(callback: Callback) -> Callback:
    """What events say of it: its registration."""
    return Callback(
        callback=callback.callback,
        registration_time_ns=callback.registration_time_ns,
        request_id=callback.request_id,
        state=CallbackState.CALLBACK_STATE_STANDBY,
    )
