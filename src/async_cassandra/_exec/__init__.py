"""One request's life: from admission to its result, over the connections and the control plane."""

from async_cassandra._libraries import LIBRARIES

LIBRARIES.add(__name__)
