"""One request's life: from admission to its result, over the connections and the control plane."""
