"""One request's life: from admission to its result, over the connections and the control plane."""

import async_cassandra._exec._compiled as _compiled  # type: ignore[import-not-found]
from async_cassandra._libraries import LIBRARIES

LIBRARIES.add(_compiled)
