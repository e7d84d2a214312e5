"""The face of history: the engine's rooms put together, with the outbox running behind them."""

from services.config import DynamicConfig
from services.history.activity_operations import ActivityOperations
from services.history.callbacks import Post
from services.history.engine import Engine, Home
from services.history.executor import OutboxExecutor
from services.history.options import Options
from services.history.pauses import Pauses
from services.history.queries import Queries
from services.history.reads import Reads
from services.history.requests import Requests
from services.history.resets import Resets
from services.history.updates import UpdateWithStart
from services.history.visibility import VisibilityWriter
from services.history.workers import ActivityTasks, WorkflowTasks
from services.namespaces import NamespaceRegistry
from services.persistence import Store
from services.rpc import HistoryClient, MatchingClient, post
from services.runtime import Chance, Clock


class HistoryService(
    UpdateWithStart, Requests, WorkflowTasks, ActivityTasks, Queries, Reads, Pauses, Options, Resets, ActivityOperations
):
    """A HistoryClient over the shards of this host. `peers` leads to the workflows of others, and to our own."""

    def __init__(
        self,
        store: Store,
        matching: MatchingClient,
        namespaces: NamespaceRegistry,
        clock: Clock,
        chance: Chance,
        config: DynamicConfig,
        home: Home,
        peers: HistoryClient | None = None,
        post: Post = post,
    ) -> None:
        super().__init__(Engine(store, matching, namespaces, clock, chance, config, home))
        self._visibility = VisibilityWriter(self.engine)
        self._outbox = OutboxExecutor(self.engine, peers or self, self._visibility.hide, post)

    async def start(self) -> None:
        """Acquires the shards and takes up the work that was left. Raises what the store raises."""
        await self.engine.start(self._outbox.execute, self._visibility.show)

    async def drain(self) -> None:
        """Ends long polls politely: whoever waits is answered with what there is."""
        self.engine.release_waiters()

    async def stop(self) -> None:
        await self._visibility.drain()
        await self.engine.stop()
