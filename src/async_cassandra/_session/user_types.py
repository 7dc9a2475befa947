"""The classes that an application has registered for user-defined types."""

from collections.abc import Callable, Sequence

from async_cassandra._cql.literals import LiteralEncoder
from async_cassandra._driver.control_plane import ControlPlane
from async_cassandra._wire.codecs import CodecRegistry


class UserTypes:
    """Makes one session read and write values of registered classes.

    :param registry: gets the classes that are registered from now on
    :param encoder: gets those, and the classes that were registered earlier
    """

    def __init__(
        self, control: ControlPlane, registry: CodecRegistry, encoder: LiteralEncoder
    ) -> None:
        self._control = control
        self._registry = registry
        self._encoder = encoder
        for (keyspace, name), klass in control.user_types.items():
            self._encoder.register(klass, f"{keyspace}.{name}", self._fields_of(keyspace, name))

    def register(self, keyspace: str, name: str, klass: type) -> None:
        """Use ``klass`` for values of the type ``name`` in ``keyspace``."""
        self._registry.register_user_type(keyspace, name, klass)
        self._encoder.register(klass, f"{keyspace}.{name}", self._fields_of(keyspace, name))

    def _fields_of(self, keyspace: str, name: str) -> Callable[[], Sequence[str]]:
        """A type's fields, as the driver's metadata has them when asked."""

        def read() -> Sequence[str]:
            metadata = self._control.metadata
            try:
                assert metadata is not None
                names: Sequence[str] = metadata.keyspaces[keyspace].user_types[name].field_names
            except KeyError:
                raise LookupError(f"the schema metadata has no type {keyspace}.{name}") from None
            return names

        return read
