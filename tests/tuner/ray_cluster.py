"""A Ray cluster of four nodes on this machine, in a process of its own.

Says its address; then removes, as a power cut would, each node whose id it is sent.
"""

from __future__ import annotations

import os
import sys
from multiprocessing.connection import Connection

if __name__ == "__main__":
    test = Connection(int(sys.argv[1]))
    os.environ["RAY_TMPDIR"] = sys.argv[2]
    # A node that is gone is missed at once, not after a quarter of a minute.
    os.environ.update(RAY_health_check_period_ms="500", RAY_health_check_timeout_ms="2000")
    from ray.cluster_utils import Cluster

    common = {"include_dashboard": False, "object_store_memory": 100_000_000}
    cluster = Cluster(
        initialize_head=True,
        # The search is at the head; trials run on the others.
        head_node_args={"num_cpus": 0, **common},
    )
    nodes = {node.node_id: node for node in (cluster.add_node(num_cpus=1, **common) for _ in "123")}
    cluster.wait_for_nodes()
    test.send(cluster.address)
    while True:
        cluster.remove_node(nodes[test.recv()], allow_graceful=False)
        test.send("removed")
